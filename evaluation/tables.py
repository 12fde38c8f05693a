"""Prediction files: one line a post, CSV or Parquet, the same columns everywhere."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from datasets.folders import new_file
from evaluation.predict import Predictions

if TYPE_CHECKING:
    from datasets.store import PostStore

SELECTION = ("selection_text", "selection_image", "selection_common")
CHUNK = 65_536
"""Posts that are turned into a table at a time, so that the file of millions of posts needs little memory."""


def _name(class_id: int, classes: Sequence[str]) -> str | None:
    return classes[class_id] if class_id >= 0 else None


def _chunk(store: PostStore, predictions: Predictions, classes: Sequence[str]) -> pa.Table:
    """The columns of a prediction file for these posts; null where a post lacks what the value is about."""
    columns: dict[str, pa.Array] = {"id": pa.array(store.ids(predictions.rows), pa.string())}

    def add(names: Sequence[str], values: np.ndarray | None) -> None:
        if values is not None:
            for position, name in enumerate(names):
                columns[name] = pa.array(values[:, position].astype(np.float32), from_pandas=True)

    add(classes, predictions.probabilities)
    columns["prediction"] = pa.array([_name(value, classes) for value in predictions.prediction], pa.string())
    columns["label"] = pa.array([_name(value, classes) for value in predictions.label], pa.string())
    add(SELECTION, predictions.selection)
    add([f"image_{name}" for name in classes], predictions.image_probabilities)
    add([f"text_{name}" for name in classes], predictions.text_probabilities)
    return pa.table(columns)


def _write_csv(path: Path, chunks: Iterator[pa.Table]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        for position, chunk in enumerate(chunks):
            if position == 0:
                writer.writerow(chunk.column_names)
            for row in zip(*(column.to_pylist() for column in chunk.columns), strict=True):
                writer.writerow([f"{value:.6f}" if isinstance(value, float) else value for value in row])


def _write_parquet(path: Path, chunks: Iterator[pa.Table]) -> None:
    first = next(chunks)
    with pyarrow.parquet.ParquetWriter(path, first.schema) as writer:
        writer.write_table(first)
        for chunk in chunks:
            writer.write_table(chunk)


def write_predictions(path: Path | str, store: PostStore, predictions: Predictions, classes: Sequence[str]) -> Path:
    """Write `path` (.csv or .parquet): id, a probability for each class, prediction, label, then what else is known.

    What else: `selection_text`, `selection_image`, `selection_common`, `image_<class>` and `text_<class>`, where the
    net has them. Empty (CSV) or null (Parquet): not known. CSV has six decimals, Parquet float32. The file appears
    whole or not at all. Raises ValueError for another suffix, and for a class whose name is that of another column.
    """
    path = Path(path)
    if path.suffix not in (".csv", ".parquet"):
        raise ValueError(f"{path}: a prediction file is .csv or .parquet")
    clash = sorted({"id", "prediction", "label", *SELECTION} & set(classes))
    if clash:
        raise ValueError(
            f"a class is called {clash[0]!r}, which is a column of every prediction file: rename the class"
        )
    pieces = (slice(start, start + CHUNK) for start in range(0, len(predictions), CHUNK))
    chunks = (_chunk(store, predictions.take(piece), classes) for piece in pieces)
    write = _write_csv if path.suffix == ".csv" else _write_parquet
    with new_file(path) as unfinished:
        write(unfinished, chunks)
    return path
