"""SCDR's command line, verbatim, on real tweets with pretrained encoders; skipped where these are missing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.runs import ROOT, run_main

SHARED = ROOT.parent / "shared"
POSTS = SHARED / "data" / "mvsa_single"
IMAGE_WEIGHTS = SHARED / "weights" / "mobilenetv2_100.safetensors"
TEXT_WEIGHTS = SHARED / "weights" / "minilm-l6"
NEEDED = (POSTS / "labelResultAll.txt", IMAGE_WEIGHTS, TEXT_WEIGHTS)
missing = [str(path) for path in NEEDED if not path.exists()]
pytestmark = pytest.mark.skipif(bool(missing), reason=f"not there: {', '.join(missing)}")
FIRST = 120


@pytest.fixture
def some_posts(tmp_path: Path) -> Path:
    """The first posts of the published folder, laid out as it is."""
    folder = tmp_path / "MVSA_Single"
    (folder / "data").mkdir(parents=True)
    lines = (POSTS / "labelResultAll.txt").read_text(encoding="utf-8").splitlines()[: 1 + FIRST]
    (folder / "labelResultAll.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    for line in lines[1:]:
        for file in (POSTS / "data").glob(f"{line.split()[0]}.*"):
            shutil.copy(file, folder / "data")
    return folder


def test_the_line_of_scdr_trains_all_weights(some_posts: Path, tmp_path: Path) -> None:
    line = (
        f"--data_dir {some_posts} --train_data_dir {some_posts} --test_data_dir {some_posts} --gpu 0 "
        f"--save_dir {tmp_path / 'saved_models-single' / 'n600'} "
        "--lr 1e-4 --batch_size 2 --num_labels 600 --threshold 0.95 --num_train_iter 512"
    )
    weights = f"--image_weights {IMAGE_WEIGHTS} --text_weights {TEXT_WEIGHTS}"
    short = f"--num_labels 30 --num_train_iter 3 --epoch 1 --uratio 2 --num_log_iter 1 --cache_dir {tmp_path / 'cache'}"
    done = run_main(*line.split(), *weights.split(), *short.split())
    assert done.code == 0, done.err
    run = tmp_path / "saved_models-single" / "n600" / "main"
    results = json.loads((run / "results.json").read_text())
    assert results["classes"] == ["negative", "neutral", "positive"]
    assert (results["steps"], results["skipped"], results["num_labels"]) == (3, 0, 30)
    assert results["test"]["full"]["n"] >= 10
    assert (run / "report.html").stat().st_size > 10_000
    text_config = json.loads((run / "best" / "text" / "config.json").read_text())
    assert text_config["hidden_size"] == 384
    image = json.loads((run / "best" / "net.json").read_text())["image"]
    assert (image["name"], image["size"]) == ("mobilenetv2_100", 224)
    again = run_main("--save_dir", run.parent, "--resume")
    assert again.code == 0, again.err
    assert "going on after step 3" in again.out
    assert json.loads((run / "results.json").read_text())["test"] == results["test"]
