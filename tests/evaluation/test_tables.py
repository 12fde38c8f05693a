"""Prediction files: columns, missing values, and the way back."""

from __future__ import annotations

import csv
import errno
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest

from evaluation import tables
from evaluation.predict import Predictions, predict
from evaluation.tables import write_predictions
from tests.evaluation.reading import read_predictions
from tests.evaluation.standins import SmallNet, SmallStore, batches

CLASSES = ("negative", "neutral", "positive")


def answers(store: SmallStore, rows: np.ndarray) -> Predictions:
    """Answers of the small net with the truth of the store."""
    return replace(predict(SmallNet(), batches(store, rows, 16)), label=store.label[rows])


def test_csv_begins_with_the_columns_that_everyone_knows(tmp_path: Path) -> None:
    store = SmallStore(6)
    predictions = Predictions(
        rows=np.array([1, 4]),
        probabilities=np.array([[0.5, 0.25, 0.25], [0.125, 0.125, 0.75]], dtype=np.float32),
        label=np.array([0, -1]),
        image_probabilities=np.array([[np.nan] * 3, [0.25, 0.25, 0.5]], dtype=np.float32),
    )
    with write_predictions(tmp_path / "new" / "p.csv", store, predictions, CLASSES).open() as file:
        lines = list(csv.reader(file))
    assert lines == [
        ["id", *CLASSES, "prediction", "label", "image_negative", "image_neutral", "image_positive"],
        ["001", "0.500000", "0.250000", "0.250000", "negative", "negative", "", "", ""],
        ["004", "0.125000", "0.125000", "0.750000", "positive", "", "0.250000", "0.250000", "0.500000"],
    ]
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["p.csv"]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_what_is_written_is_read_again(tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "CHUNK", 7)
    store, rows = SmallStore(), np.arange(3, 50, 2)
    expected = answers(store, rows)
    path = write_predictions(tmp_path / f"predictions{suffix}", store, expected, CLASSES)
    found = read_predictions(path, store, rows)
    assert (found.rows == rows).all() and (found.label == store.label[rows]).all()
    assert (found.prediction == expected.prediction).all()
    for name in ("probabilities", "image_probabilities", "text_probabilities", "selection"):
        tolerance = 0 if suffix == ".parquet" else 1e-6
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), atol=tolerance)


def test_parquet_has_null_where_nothing_is_known(tmp_path: Path) -> None:
    store, rows = SmallStore(), np.arange(60)
    table = pyarrow.parquet.read_table(write_predictions(tmp_path / "p.parquet", store, answers(store, rows), CLASSES))
    assert table["image_negative"].null_count == (~store.has_image).sum() > 0
    assert table["selection_text"].null_count == 0
    assert table["id"][3].as_py() == "003"


def test_what_cannot_be_written_or_read_is_refused(tmp_path: Path) -> None:
    store, rows = SmallStore(), np.arange(10)
    predictions = answers(store, rows)
    with pytest.raises(ValueError, match=r"p\.json: a prediction file is \.csv or \.parquet"):
        write_predictions(tmp_path / "p.json", store, predictions, CLASSES)
    with pytest.raises(ValueError, match="'label'"):
        write_predictions(tmp_path / "p.csv", store, predictions, ("negative", "label", "positive"))
    path = write_predictions(tmp_path / "p.csv", store, predictions, CLASSES)
    with pytest.raises(ValueError, match="other posts"):
        read_predictions(path, store, np.arange(1, 11))
    store.classes = ("bad", "good", "other")
    with pytest.raises(ValueError, match="begin with id, bad"):
        read_predictions(path, store, rows)


def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, rows = SmallStore(), np.arange(10)
    path = write_predictions(tmp_path / "p.csv", store, answers(store, rows), CLASSES)
    before = path.read_bytes()

    def full(unfinished: Path, chunks: object) -> None:
        unfinished.write_text("id,neg")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tables, "_write_csv", full)
    with pytest.raises(OSError, match="No space"):
        write_predictions(path, store, answers(store, rows), CLASSES)
    assert path.read_bytes() == before and [found.name for found in tmp_path.iterdir()] == ["p.csv"]
