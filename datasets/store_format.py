"""What a post store looks like on disk: its columns, and how its files are written."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pyarrow as pa

from datasets.posts import SENTIMENTS

FORMAT = 1
LABELS = ("label", "text_label", "image_label")
SPLITS = (None, "train", "validation", "test")
"""Published splits by the number they are stored as."""

CORE = pa.schema(
    [
        ("id", pa.string()),
        ("text", pa.string()),
        ("image", pa.binary()),
        ("label", pa.string()),
        ("text_label", pa.string()),
        ("image_label", pa.string()),
        ("split", pa.int8()),
        ("given_group", pa.string()),  # the reader's word; `PostStore.group` is what splits go by
        ("image_hash", pa.int64()),  # images.difference_hash, null where nobody computed it
    ]
)
OPTIONAL = {
    "paraphrase": pa.string(), "thumbnail": pa.binary(), "linked_group": pa.string(), "of_benchmark": pa.bool_()
}  # fmt: skip
"""Columns that are there where any post has something in them, as the teacher's is."""
RESERVED = (*CORE.names, "teacher", *OPTIONAL, "group", "has_image", "has_text")
REPLACED = ("teacher", "of_benchmark")
"""Columns of ingest that may be found anew and then replace what ingest wrote."""


def order_classes(names: set[str]) -> tuple[str, ...]:
    """Class names in the order of their ids: sentiments from negative to positive, anything else by alphabet."""
    if names <= set(SENTIMENTS):
        return tuple(name for name in SENTIMENTS if name in names)
    return tuple(sorted(names))


def write_file(path: Path, content: bytes) -> None:
    """Write a whole file so that it is there in full or not at all, even if the machine stops."""
    temporary = path.with_name(path.name + ".partial")
    with open(temporary, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def is_store(path: Path | str) -> bool:
    """Whether the folder is a whole post store."""
    return (Path(path) / "store.json").is_file()


def column_as(batch: pa.RecordBatch, field: pa.Field) -> pa.Array:
    """The column of that name and type; where the batch has none, "none" for every row."""
    if field.name in batch.schema.names:
        return batch.column(field.name).cast(field.type)
    if field.name == "split":
        return pa.array(np.zeros(batch.num_rows, np.int8))
    if pa.types.is_fixed_size_list(field.type):
        zeros = pa.array(np.zeros(batch.num_rows * field.type.list_size, np.float32))
        return pa.FixedSizeListArray.from_arrays(zeros, field.type.list_size)
    return pa.nulls(batch.num_rows, field.type)
