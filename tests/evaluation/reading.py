"""Prediction files, read again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from datasets.store import PostStore
from evaluation.predict import Predictions
from evaluation.tables import SELECTION


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
