"""The published result files: figures by hand and as scikit-learn has them, columns and rows to the letter."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import precision_recall_fscore_support

from evaluation.metrics import confusion_matrix
from evaluation.published_tables import METRICS, averages, write_classes, write_epochs, write_figures


def test_averages_by_hand() -> None:
    found = averages([[3, 1], [2, 4]])
    f1 = 2 * 3 / (5 + 4), 2 * 4 / (5 + 6)
    assert found["f1_macro"] == pytest.approx(sum(f1) / 2)
    assert found["f1_weighted"] == pytest.approx(0.4 * f1[0] + 0.6 * f1[1])
    assert found["precision_macro"] == pytest.approx((3 / 5 + 4 / 5) / 2)
    assert found["recall_weighted"] == pytest.approx(0.7)


@pytest.mark.parametrize("classes", [4, 6])
def test_averages_are_those_of_scikit_learn(classes: int) -> None:
    """Also where a class is never predicted and where one is neither predicted nor true."""
    draw = np.random.default_rng(classes)
    label, prediction = draw.integers(0, 4, 40), draw.integers(0, 3, 40)
    found = averages(confusion_matrix(label, prediction, classes).tolist())
    for kind in ("weighted", "macro"):
        expected = precision_recall_fscore_support(label, prediction, average=kind, zero_division=0)[:3]
        names = ("precision", "recall", "f1")
        np.testing.assert_allclose([found[f"{name}_{kind}"] for name in names], expected)


def test_files_to_the_letter(tmp_path: Path) -> None:
    figures = {epoch: {name: epoch + place / 8 for place, name in enumerate(METRICS)} for epoch in (2, 1)}
    write_epochs(tmp_path / "new" / "epochs.csv", figures)
    assert (tmp_path / "new" / "epochs.csv").read_text() == (
        "metric,epoch-1,epoch-2\nf1_weighted,1.0,2.0\nf1_macro,1.125,2.125\nprecision_weighted,1.25,2.25\n"
        "precision_macro,1.375,2.375\nrecall_weighted,1.5,2.5\nrecall_macro,1.625,2.625\nloss,1.75,2.75\n"
    )
    write_figures(tmp_path / "figures.csv", figures[1])
    assert (tmp_path / "figures.csv").read_text().splitlines()[:2] == ["metric,result", "f1_weighted,1.0"]
    write_classes(tmp_path / "classes.csv", ["7", "a"], np.array([0, 2]), np.array([1, 2]))
    assert (tmp_path / "classes.csv").read_text() == "data_id,label,prediction\n7,0,1\na,2,2\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["classes.csv", "figures.csv", "new"]


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=r"figures.csv cannot be written: .*; see --results_dir"):
        write_figures(tmp_path / "file" / "figures.csv", dict.fromkeys(METRICS, 0.0))
