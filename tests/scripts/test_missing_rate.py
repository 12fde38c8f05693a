"""The curve of a finished run, and of what it was not trained for."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest

from evaluation.missing_rate import Curve
from scripts.missing_rate import MissingRateOptions, main
from tests.runs import TINY, Forker
from training.assembly import assemble, choose_device
from training.command_line import parse
from training.distributed import ALONE


def test_a_finished_run_gets_its_curve(finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = shutil.copytree(finished, tmp_path / "run")
    main(MissingRateOptions((run,), gpu=-1))
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


def test_runs_of_two_seeds_are_averaged(finished: Path, forker: Forker, cache: Path, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    shutil.copytree(finished, runs / "one")
    lost = "--seed 1 --epoch 1 --missing_text_rate 0.25".split()
    done = forker.run(*TINY, *lost, "--cache_dir", cache, "--save_dir", runs, "--save_name", "lost")
    assert done.code == 0, done.out + done.err
    main(MissingRateOptions((runs,), output=str(tmp_path / "means"), gpu=-1))
    with open(tmp_path / "means" / "missing_rate.csv", newline="") as file:
        table = list(csv.DictReader(file))
    both = [(row["missing"], float(row["rate"])) for row in table if row["lost_in"] == "training and test"]
    assert {row["method"] for row in table} == {"scrd threshold=0.4"}
    assert both == [("image", 0), ("text", 0), ("text", 0.25)]
    assert "25% of texts" in (tmp_path / "means" / "missing_rate.md").read_text()
    assert (tmp_path / "means" / "missing_rate.png").is_file()


def test_runs_that_lost_both_are_told_and_a_folder_that_cannot_be_written_is_one_sentence(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = shutil.copytree(finished, tmp_path / "run")
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=r"--output .*file/means cannot be written: Not a directory"):
        main(MissingRateOptions((run,), output=str(tmp_path / "file" / "means"), gpu=-1))
    curve = Curve("a", {"image": 0.5, "text": 0.5}, [{"missing": "image", "rate": 0.5, "macro_f1": 0.5}])
    monkeypatch.setattr("scripts.missing_rate.curve_of", lambda *_: curve)
    with pytest.raises(ValueError, match=r"--output: no run is left to average"):
        main(MissingRateOptions((run,), output=str(tmp_path / "means"), gpu=-1))
    assert f"1 runs lost images and texts in training and count in no mean, as {run}" in capsys.readouterr().err


def test_a_folder_without_a_run_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"has no results\.json: it is no run's folder"):
        main(MissingRateOptions((tmp_path,)))


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
