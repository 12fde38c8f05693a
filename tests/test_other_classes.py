"""Posts whose classes are no sentiments: the names go from the reader through the store to all that a run leaves."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from tests.datasets.published import write
from tests.runs import TINY, run_main

POSTS = 60
CLASSES = ["non-commercial", "commercial"]


def layout(folder: Path) -> Path:
    """Influencers' posts: 40 to train on, 8 for validation, 12 for the test, 4 more there without an image."""
    rows = ["id,domain,year,month,label,split,text"]
    for number in range(POSTS):
        split = "train" if number < 40 else "val" if number < 48 else "test"
        rows.append(f"{number},food,2020,8,{number % 2},{split},word{number} of the day {number * 7}")
    alone = [f"{number},{number % 2},test,only words {number * 3}" for number in range(900, 904)]
    tables = {"data_key_mic.csv": "\n".join(rows), "text_data_mic.csv": "\n".join(["id,label,split,text", *alone])}
    return write(folder, tables, [f"spc_imgs_twitter/{number}_1.jpg" for number in range(POSTS)])


def test_class_names_of_a_published_set_reach_all_that_a_run_leaves(tmp_path: Path) -> None:
    line = [*TINY, "--train_data_dir", layout(tmp_path / "micd"), "--cache_dir", tmp_path / "cache"]
    line += ["--save_dir", tmp_path, "--save_name", "run", "--num_labels", 12, "--epoch", 1]
    line += ["--image_net", "small", "--text_net", "small", "--image_weights", "none", "--text_weights", "none"]
    wrong = run_main(*line, "--num_classes", 3)
    assert "--num_classes 3, but the posts have 2: non-commercial, commercial" in wrong.sentence
    done = run_main(*line, "--num_classes", 2)
    assert done.code == 0, done.err
    run = tmp_path / "run"
    results = json.loads((run / "results.json").read_text())
    assert results["classes"] == CLASSES
    assert list(results["test"]["full"]["recall"]) == CLASSES
    # The published test posts: 12 with an image, 4 of text alone.
    assert [results["test"][name]["n"] for name in ("full", "image_only", "text_only")] == [16, 12, 16]
    with (run / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0])[:5] == ["id", *CLASSES, "prediction", "label"]
    assert {row["label"] for row in rows} == set(CLASSES)
    card = (run / "best" / "README.md").read_text()
    assert "Reads the class of a post" in card and "non-commercial, commercial (class ids 0 to 1)" in card
    assert "entiment" not in card
    assert "non-commercial" in (run / "report.html").read_text()
