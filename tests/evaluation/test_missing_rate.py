"""The curve of missing modalities against answers taken one by one."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from datasets.missing import missing_numbers
from evaluation import missing_rate_report
from evaluation.metrics import score
from evaluation.missing_rate import RATES, TEST, TRAINING_AND_TEST, Curve, average, missing_rate_curve
from evaluation.missing_rate_report import draw, markdown, write_curve, write_points
from evaluation.predict import limit, predict
from tests.evaluation.standins import SmallNet, SmallStore, batches


def curve_of(store: SmallStore, rows: np.ndarray) -> list[dict]:
    return missing_rate_curve(SmallNet(), lambda rows: batches(store, rows, 8), rows, store, seed=3)


def test_every_point_is_what_the_posts_that_have_lost_it_are_answered():
    store = SmallStore()
    curve = curve_of(store, np.arange(10, 60)[::-1])
    rows = np.flatnonzero(store.has_image & store.has_text)
    rows = rows[rows >= 10]
    numbers = missing_numbers(store.ids(rows), 3)
    assert [(point["missing"], point["rate"]) for point in curve] == [(m, r) for m in ("image", "text") for r in RATES]
    for point in curve:
        left = "text_only" if point["missing"] == "image" else "image_only"
        answers = []
        for row, number in zip(rows, numbers, strict=True):
            (batch,) = batches(store, np.array([row]), 1)
            shown = limit(batch, left) if number < point["rate"] else batch
            answers.append(predict(SmallNet(), [shown]).probabilities[0])
        expected = score(np.array(answers), store.label[rows], store.classes)
        assert (point["posts"], point["without"]) == (len(rows), (numbers < point["rate"]).sum())
        assert point["macro_f1"] == expected["macro_f1"] and point["accuracy"] == expected["accuracy"]
    assert curve[0]["macro_f1"] == curve[len(RATES)]["macro_f1"]  # nothing is missing
    assert curve[len(RATES) - 1]["without"] == len(rows)


def test_the_table_and_the_picture(tmp_path: Path):
    curve = curve_of(SmallStore(), np.arange(60))
    write_curve(curve, tmp_path / "t.csv", tmp_path / "p.png", "a run")
    with open(tmp_path / "t.csv", newline="") as file:
        read = list(csv.DictReader(file))
    assert list(read[0]) == ["missing", "rate", "posts", "without", "accuracy", "macro_f1", "weighted_f1"]
    assert [float(row["accuracy"]) for row in read] == [point["accuracy"] for point in curve]
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")


def test_without_a_post_that_has_both_there_is_no_curve():
    store = SmallStore()
    with pytest.raises(ValueError, match="no test post has an image, a text and a label"):
        curve_of(store, np.flatnonzero(~store.has_image))


def run_of(method: str, trained: tuple[float, float], found: dict[tuple[str, float], float]) -> Curve:
    points = [{"missing": missing, "rate": rate, "macro_f1": value} for (missing, rate), value in found.items()]
    return Curve(method, {"image": trained[0], "text": trained[1]}, points)


CURVES = [
    run_of("a", (0, 0), {("image", 0): 0.6, ("image", 1): 0.4, ("text", 0): 0.6, ("text", 1): 0.2}),
    run_of("a", (0, 0), {("image", 0): 0.8, ("image", 1): 0.4, ("text", 0): 0.8, ("text", 1): 0.4}),
    run_of("a", (0, 1), {("image", 0): 0.1, ("image", 1): 0.1, ("text", 0): 0.1, ("text", 1): 0.5}),
]


def test_a_run_stands_for_the_rate_that_it_was_trained_with():
    found = {(one.lost_in, one.missing, one.rate): one.macro_f1 for one in average(CURVES)}
    assert {key: value.mean for key, value in found.items()} == pytest.approx({
        (TEST, "image", 0): 0.7, (TEST, "image", 1): 0.4, (TEST, "text", 0): 0.7, (TEST, "text", 1): 0.3,
        (TRAINING_AND_TEST, "image", 0): 0.7, (TRAINING_AND_TEST, "text", 0): 0.7, (TRAINING_AND_TEST, "text", 1): 0.5,
    })  # fmt: skip
    assert found[TEST, "image", 0].half == pytest.approx(12.706 * 0.1, rel=1e-4)
    assert math.isnan(found[TRAINING_AND_TEST, "text", 1].half)


def test_a_run_that_lost_images_and_texts_in_training_is_in_no_mean():
    both = run_of("a", (0.5, 1), {("image", 0.5): 0.9, ("text", 1): 0.9})
    assert both.lost_both and not any(curve.lost_both for curve in CURVES)
    assert average([*CURVES, both]) == average(CURVES)


def test_means_as_a_table_and_a_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    points = average(CURVES)
    header, _, test, both = markdown(points).splitlines()
    assert header.count("|") == 9 and "100% of texts" in header and "50% of images" in header
    assert test.startswith("| a | test | 70.0 ± 127.1 | – | 40.0 ± 0.0 | – | 30.0 ± 127.1 | 46.7 |")
    assert both.startswith("| a | training and test | 70.0 ± 127.1 | – | – | – | 50.0 | 60.0 |")
    write_points(points, tmp_path / "t.csv")
    with open(tmp_path / "t.csv", newline="") as file:
        assert [float(row["macro_f1"]) for row in csv.DictReader(file)] == [one.macro_f1.mean for one in points]
    named: list[str] = []
    monkeypatch.setattr(missing_rate_report, "save", lambda figure, path: named.extend(_names(figure)))
    draw(points, tmp_path / "p.png")
    assert "a, lost in training and test" in named, "it is drawn where texts are missing alone"
    monkeypatch.undo()
    draw(points, tmp_path / "p.png")
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")


def _names(figure: Figure) -> list[str]:
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]
