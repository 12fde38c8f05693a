"""Prediction files: one line a post, CSV or Parquet, the same columns everywhere."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

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
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    pieces = (slice(start, start + CHUNK) for start in range(0, len(predictions), CHUNK))
    chunks = (_chunk(store, predictions.take(piece), classes) for piece in pieces)
    try:
        if path.suffix == ".csv":
            _write_csv(unfinished, chunks)
        else:
            _write_parquet(unfinished, chunks)
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
    return path


def read_predictions(path: Path | str, store: PostStore, rows: np.ndarray) -> Predictions:
    """What `write_predictions` wrote for `rows` (ascending) of `store`, with the label that the store has now.

    Raises ValueError where the file is of other posts or other classes.
    """
    path = Path(path)
    if path.suffix == ".parquet":
        table = pyarrow.parquet.read_table(path)
    else:
        text = {name: pa.string() for name in ("id", "prediction", "label")}
        table = pyarrow.csv.read_csv(path, convert_options=pyarrow.csv.ConvertOptions(column_types=text))
    classes = store.classes
    if table.column_names[: len(classes) + 2] != ["id", *classes, "prediction"]:
        raise ValueError(
            f"{path}: the columns must begin with id, {', '.join(classes)}, prediction, as for these posts"
        )
    if table["id"].to_pylist() != store.ids(rows):
        raise ValueError(f"{path}: these are predictions for other posts than those of this store and split")

    def read(names: Sequence[str]) -> np.ndarray | None:
        if names[0] not in table.column_names:
            return None
        values = [table[name].cast(pa.float32()).to_numpy() for name in names]
        return np.stack(values, axis=1)

    probabilities = read(classes)
    assert probabilities is not None
    return Predictions(
        rows=rows,
        probabilities=probabilities,
        label=store.label[rows].astype(np.int64),
        image_probabilities=read([f"image_{name}" for name in classes]),
        text_probabilities=read([f"text_{name}" for name in classes]),
        selection=read(SELECTION),
    )
