"""The curve of a finished run, and of what it was not trained for."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest

from scripts.missing_rate import MissingRateOptions, main
from tests.runs import TINY
from training.assembly import assemble, choose_device
from training.command_line import parse
from training.distributed import ALONE


def test_a_finished_run_gets_its_curve(finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = shutil.copytree(finished, tmp_path / "run")
    main(MissingRateOptions(run, gpu=-1))
    with open(run / "missing_rate.csv", newline="") as file:
        table = list(csv.DictReader(file))
    with open(run / "predictions.csv", newline="") as file:
        tested = sum(1 for _ in csv.DictReader(file))
    posts = {int(row["posts"]) for row in table}
    assert len(posts) == 1 and tested / 2 < posts.pop() < tested
    assert [float(row["rate"]) for row in table[:11]] == [step / 10 for step in range(11)]
    assert (run / "missing_rate.png").is_file()
    said = capsys.readouterr().out
    assert said.count("macro-F1") == 6 and "0% of" in said and "100% of" in said


def test_a_folder_without_a_run_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no trained model"):
        main(MissingRateOptions(tmp_path))


def test_training_posts_lose_what_the_options_say_and_test_posts_nothing(cache: Path, tmp_path: Path) -> None:
    words = [*TINY, "--cache_dir", str(cache), "--save_dir", str(tmp_path), "--gpu", "-1"]
    options = parse([*words, "--missing_image_rate", "0.5", "--missing_text_rate", "0.2"])
    assembly = assemble(options, choose_device(options), ALONE)
    store, split = assembly.store, assembly.split
    for rows, image_rate, text_rate in ((split.unlabelled, 0.5, 0.2), (split.test, 0, 0), (split.validation, 0, 0)):
        batch = assembly.source.batch(rows)["clean"]
        both = (store.has_image & store.has_text)[rows]
        lost_image, lost_text = both & ~batch.has_image.numpy(), both & ~batch.has_text.numpy()
        assert np.isclose(lost_image.sum() / both.sum(), image_rate, atol=0.12)
        assert np.isclose(lost_text.sum() / both.sum(), text_rate, atol=0.12)
        assert (store.has_image[rows] == (batch.has_image.numpy() | lost_image)).all()
    (_, labelled, _), *_ = assembly.make_loader(0, 1)
    view = labelled["weak"]
    assert view.image is not None and (view.image[~view.has_image] == 0).all()
    assert assembly.meta["--missing_image_rate"] == 0.5
