"""Benchmarks' figures: neutral dropped, ties negative, files as published."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from evaluation.metrics import area_under_curve
from evaluation.two_classes import (
    compare_two_classes,
    read_answers,
    score_two_classes,
    two_class_accuracy,
    without_neutral,
    write_answers,
)

ANSWERS = np.array([[0.1, 0.8, 0.1], [0.2, 0.5, 0.3], [0.6, 0.1, 0.3], [0.0, 0.1, 0.9]], dtype=np.float32)


def test_neutral_is_dropped_and_a_tie_is_negative() -> None:
    assert without_neutral(ANSWERS).tolist() == [0, 1, 0, 1]
    assert two_class_accuracy(ANSWERS, np.array([1, 1, 0, 1])) == 0.75


def test_an_offset_moves_where_positive_begins() -> None:
    # log ratios: 0, 0.405, -0.693, more than any
    assert without_neutral(ANSWERS, -0.5).tolist() == [1, 1, 0, 1]
    assert without_neutral(ANSWERS, 0.41).tolist() == [0, 0, 0, 1]
    found = score_two_classes(ANSWERS, np.array([0, 0, 0, 1]), offset=0.41)
    assert (found.accuracy.mean, found.f1) == (1.0, (1.0, 1.0))
    assert score_two_classes(ANSWERS, np.array([0, 0, 0, 1])).accuracy.mean == 0.75


def test_figures_by_hand() -> None:
    label = np.array([0, 0, 0, 1, 1])
    positive = np.array([0.1, 0.3, 0.4, 0.4, 0.9])
    answers = np.stack([0.9 - positive, np.full(5, 0.1), positive], axis=1)
    # answers: 0, 0, 0 (0.4 against 0.5), 0, 1
    found = score_two_classes(answers, label)
    assert found.accuracy.mean == 0.8
    assert found.f1 == pytest.approx((6 / 7, 2 / 3))
    assert found.macro_f1.mean == pytest.approx((6 / 7 + 2 / 3) / 2)
    assert found.auc.mean == pytest.approx(5.5 / 6)  # of 6 pairs 5 are in order and one is equal
    assert found == score_two_classes(answers, label) and 0 <= found.accuracy.low < 0.8 < found.accuracy.high <= 1
    assert "accuracy 80.0 [" in found.describe() and "F1 positive 66.7; 5 images" in found.describe()


def test_the_area_counts_a_weight_as_so_many_posts() -> None:
    positive, score, weight = np.array([True, False, False, True]), np.array([2, 1, 3, 3]), np.array([3, 1, 2, 0])
    # pairs: 3 of (2 above 1), 6 of (2 below 3)
    assert area_under_curve(positive, score, weight) == pytest.approx(3 / 9)


def test_probabilities_that_are_not_finite_are_refused() -> None:
    broken = ANSWERS.copy()
    broken[1] = np.nan
    with pytest.raises(ValueError, match="not finite for 1 of 4 images"):
        score_two_classes(broken, np.array([1, 1, 0, 1]))


def test_files_are_the_published_ones_and_come_back(tmp_path: Path) -> None:
    path = write_answers(tmp_path / "new" / "ViT_L16_5agree.csv", ANSWERS)
    assert path.read_text().splitlines()[:2] == ["NEG,NEU,POS", "0.1,0.8,0.1"]
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    np.testing.assert_array_equal(read_answers(path, 4).astype(np.float32), ANSWERS)


def test_two_models_are_compared_on_the_same_images() -> None:
    label = np.array([1, 1, 0, 1])
    always = np.tile(np.array([0.2, 0.0, 0.8], dtype=np.float32), (4, 1))
    found = compare_two_classes(ANSWERS, always, label)
    assert (found.first, found.second, found.p) == (1, 1, 1.0)


@pytest.mark.parametrize(("text", "reason"), [
    ("id,negative\n", "should begin with NEG,NEU,POS, found 'id,negative'"),
    ("NEG,NEU,POS\n0.1,0.2,0.7\n", "has 1 rows, the benchmark has 4 images"),
    ("NEG,NEU,POS\na,b,c\n", "three numbers in each row"),
    ("NEG,NEU,POS\n" + "nan,0,1\n" * 4, "found one that is not finite"),
    ("NEG,NEU,POS\n1,2\n3\n", "three numbers in each row"),
])  # fmt: skip
def test_other_files_are_refused(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "other.csv").write_text(text)
    with pytest.raises(ValueError, match=reason):
        read_answers(tmp_path / "other.csv", 4)
    with pytest.raises(ValueError, match=r"--against .*none.csv cannot be read"):
        read_answers(tmp_path / "none.csv", 4)


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"out\.csv cannot be written"):
        write_answers(tmp_path / "file" / "out.csv", ANSWERS)
