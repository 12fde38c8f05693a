"""The post store: posts by the million in memory-mapped Arrow files, any row in O(1), no Python object a row.

A store is a folder:
  posts-00000.arrow …   Arrow IPC files, uncompressed; pandas, polars and duckdb read them as they are
  columns/<name>.npy    numeric columns added later (group ids, a teacher's probabilities), memory-mapped
  quarantine.csv        what ingest refused, and why
  store.json            rows, classes, fingerprint; written last, so a folder without it is no store
Labels are stored by name and read as ids: the position in `classes`.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from datasets.posts import SENTIMENTS, Post
from datasets.store_format import (
    CORE,
    FORMAT,
    LABELS,
    OPTIONAL,
    REPLACED,
    RESERVED,
    SPLITS,
    column_as,
    is_store,
    order_classes,
    write_file,
)
from datasets.store_writer import StoreWriter

__all__ = [
    "LABELS",
    "RESERVED",
    "SPLITS",
    "PostStore",
    "StoreWriter",
    "is_store",
    "order_classes",
    "set_columns",
    "write_file",
]


class PostStore:
    """A post store opened for reading. Pickles as its path and is opened again where it arrives (a loader's worker).

    `path`, `classes` (names in the order of their ids), `fingerprint` (sha256 of all that ingest wrote but thumbnails,
    which follow from the images; columns added by `set_columns` do not change it), `columns` (all their names).
    Posts that nobody labelled and a teacher answered have the teacher's classes. With `labels_from` "teacher" its most
    probable class is the label of every post that it answered, and the fingerprint covers what it said. Raises
    ValueError for what is no whole store, and where there is no teacher to take labels from.
    """

    def __init__(self, path: Path | str, labels_from: str = "given") -> None:
        self.path = Path(path).resolve()
        self.labels_from = labels_from
        about = _read_about(self.path)
        self.fingerprint: str = about["fingerprint"]
        self._of_columns: dict[str, str] = about.get("column_fingerprints", {})
        self.source: str = about["source"]
        self._batches: list[pa.RecordBatch] = []
        self._files: list[mmap.mmap] = []
        for file in about["files"]:
            mapped, batches = _map_batches(self.path / file["name"])
            self._files.append(mapped)
            if sum(batch.num_rows for batch in batches) != file["rows"]:
                raise ValueError(
                    f"{self.path / file['name']} does not have the {file['rows']} rows it was written with"
                )
            self._batches += batches
        self._stops = np.cumsum([batch.num_rows for batch in self._batches])
        self._added = sorted(path.stem for path in (self.path / "columns").glob("*.npy"))
        self.columns: tuple[str, ...] = tuple(dict.fromkeys([*about["columns"], *self._added]))
        answered = SENTIMENTS if "teacher" in self.columns else ()
        self.classes: tuple[str, ...] = tuple(about["classes"]) or answered
        if labels_from == "teacher":
            if self.teacher is None:
                raise ValueError(
                    f"--labels_from teacher: {self.path} has no teacher's answers; "
                    f"have them written by scripts/label_tweets.py {self.path}"
                )
            self.fingerprint = hashlib.sha256((self.fingerprint + self.teacher_fingerprint).encode()).hexdigest()

    def __reduce__(self) -> tuple[type[PostStore], tuple[Path, str]]:
        return PostStore, (self.path, self.labels_from)

    def __len__(self) -> int:
        return int(self._stops[-1])

    def __repr__(self) -> str:
        return f"PostStore({str(self.path)!r}, {len(self):,} posts)"

    def release(self) -> None:
        """Give the system back the pages that were read of the files, which count as this process's memory while they
        are mapped; what is asked for again is read again. For walks through large stores."""
        if hasattr(mmap, "MADV_DONTNEED"):  # not on Windows
            for file in self._files:
                file.madvise(mmap.MADV_DONTNEED)

    def chunks(self, name: str) -> list[pa.Array]:
        """The column in pieces, of one type; what older files lack is null."""
        if name not in self.columns or name in self._added:
            raise ValueError(
                f"{self.path}: there is no column {name!r} in the posts; there are {', '.join(self.columns)}"
            )
        field = self._batches[-1].schema.field(name)
        return [column_as(batch, field) for batch in self._batches]

    def _added_column(self, name: str) -> np.ndarray:
        path = self.path / "columns" / f"{name}.npy"
        try:
            values = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise ValueError(f"{path} cannot be read ({error}); remove it and compute it again") from None
        if len(values) != len(self):
            raise ValueError(
                f"{path} has {len(values):,} rows, the store {len(self):,}; remove it and compute it again"
            )
        return values

    def _class_ids(self, name: str) -> np.ndarray:
        known = pa.array(self.classes, pa.string())
        found = [pc.fill_null(pc.index_in(chunk, value_set=known), -1).to_numpy() for chunk in self.chunks(name)]
        return np.concatenate(found).astype(np.int64)

    @cached_property
    def label(self) -> np.ndarray:
        """(N,) int64 class id of each post, -1 where nobody gave one."""
        if self.labels_from == "teacher" and self.teacher is not None:
            return np.where(self.teacher.sum(axis=1) > 0, self.teacher.argmax(axis=1), -1)
        return self._class_ids("label")

    @cached_property
    def text_label(self) -> np.ndarray:
        """(N,) int64 class id of the text by itself, -1 where there is none."""
        return self._class_ids("text_label")

    @cached_property
    def image_label(self) -> np.ndarray:
        """(N,) int64 class id of the image by itself, -1 where there is none."""
        return self._class_ids("image_label")

    @cached_property
    def split(self) -> np.ndarray:
        """(N,) int8 published split: 0 none, 1 train, 2 validation, 3 test."""
        return np.concatenate([chunk.to_numpy() for chunk in self.chunks("split")])

    @cached_property
    def has_image(self) -> np.ndarray:
        """(N,) bool."""
        return np.concatenate([_is_there(chunk) for chunk in self.chunks("image")])

    @cached_property
    def has_text(self) -> np.ndarray:
        """(N,) bool."""
        return np.concatenate([_is_there(chunk) for chunk in self.chunks("text")])

    @property
    def has_paraphrase(self) -> bool:
        """Whether any post has its text said otherwise."""
        return "paraphrase" in self.columns

    @cached_property
    def group(self) -> np.ndarray:
        """(N,) int64: posts of the same number never cross a split.

        Near-duplicates where ingest looked for them (datasets/duplicates.py), else the reader's groups alone.
        """
        return self._added_column("group") if "group" in self._added else self.given_group

    @cached_property
    def of_benchmark(self) -> np.ndarray:
        """(N,) bool: posts whose picture a benchmark has, where scripts/find_duplicates.py looked for them."""
        if "of_benchmark" in self._added:
            return self._added_column("of_benchmark").astype(bool)
        if "of_benchmark" not in self.columns:
            return np.zeros(len(self), bool)
        found = [pc.fill_null(chunk, False) for chunk in self.chunks("of_benchmark")]
        return np.concatenate([chunk.to_numpy(zero_copy_only=False) for chunk in found])

    @property
    def given_group(self) -> np.ndarray:
        """(N,) int64 group that the reader gave: the first row of the same group, the row itself where it gave none."""
        codes = pa.chunked_array(self.chunks("given_group")).dictionary_encode().combine_chunks().indices
        given = np.flatnonzero(pc.is_valid(codes).to_numpy(zero_copy_only=False))
        groups = np.arange(len(self))
        _, first, inverse = np.unique(codes.drop_null().to_numpy(), return_index=True, return_inverse=True)
        groups[given] = given[first[inverse]]
        return groups

    @cached_property
    def teacher(self) -> np.ndarray | None:
        """(N, C) float32 probabilities of a text teacher, zeros where it said nothing; None without a teacher."""
        if "teacher" in self._added:
            return self._added_column("teacher")
        if "teacher" not in self.columns:
            return None
        return np.concatenate([chunk.flatten().to_numpy() for chunk in self.chunks("teacher")]).reshape(len(self), -1)

    def fingerprint_of(self, column: str) -> str:
        """sha256 of what ingest wrote in a column, whatever the others hold: what is made of texts or images alone is
        still good where labels change. That of the whole store where it was written without those of columns."""
        return self._of_columns.get(column, self.fingerprint)

    @cached_property
    def teacher_fingerprint(self) -> str:
        """sha256 of the teacher's probabilities."""
        assert self.teacher is not None
        return hashlib.sha256(np.ascontiguousarray(self.teacher, "<f4").tobytes()).hexdigest()

    def column(self, name: str) -> np.ndarray:
        """The whole column (N, …): numbers as numbers (NaN where null), text as objects, labels as class ids.

        Raises ValueError for a name that there is not.
        """
        if name in (*LABELS, "split", *REPLACED, "group") and name in (*self.columns, "group"):
            return getattr(self, name)
        if name in self._added:
            return self._added_column(name)
        return pa.chunked_array(self.chunks(name)).to_numpy()

    def strings(self, name: str, rows: Sequence[int] | np.ndarray) -> list[str]:
        """What a column of ingest has in these rows, as words, "" where there is nothing."""
        rows = np.asarray(rows, np.int64)
        assert rows.size == 0 or (rows.min() >= 0 and rows.max() < len(self)), "row out of range"
        batches = np.searchsorted(self._stops, rows, side="right")
        order = np.argsort(batches, kind="stable")
        values = np.full(len(rows), "", object)
        for part in np.split(order, np.flatnonzero(np.diff(batches[order])) + 1) if len(rows) else []:
            batch = self._batches[batches[part[0]]]
            if name not in batch.schema.names:
                continue
            offsets = rows[part] - (self._stops[batches[part[0]]] - batch.num_rows)
            values[part] = pc.fill_null(batch.column(name).take(pa.array(offsets)).cast(pa.string()), "").to_pylist()
        return values.tolist()

    def ids(self, rows: Sequence[int] | np.ndarray) -> list[str]:
        """The ids of these rows."""
        return self.strings("id", rows)

    def texts(self, rows: Sequence[int] | np.ndarray) -> list[str]:
        """The texts of these rows, "" where there is none."""
        return self.strings("text", rows)

    def paraphrases(self, rows: Sequence[int] | np.ndarray) -> list[str]:
        """The texts of these rows said otherwise, "" where there is none."""
        return self.strings("paraphrase", rows)

    def image(self, row: int) -> bytes | None:
        """The JPEG of one row, None where the post has no image."""
        assert 0 <= row < len(self), "row out of range"
        index = int(np.searchsorted(self._stops, row, side="right"))
        batch = self._batches[index]
        return batch.column("image")[int(row) - int(self._stops[index]) + batch.num_rows].as_py()

    def posts(self) -> Iterator[Post]:
        """The posts as a reader would yield them, to write them into another store.

        What was added to the store comes along: the teacher's answers, which posts are of a benchmark and plain columns
        of numbers. Of row numbers, which mean nothing elsewhere, `group` is given by name and `image_group` not at all.
        """
        own = {*CORE.names, "teacher", *OPTIONAL}
        known = "of_benchmark" in self.columns
        added = {name: self._added_column(name) for name in self._added if name not in (*RESERVED, "image_group")}
        added = {name: values for name, values in added.items() if values.ndim == 1}
        row_number = 0
        for batch in self._batches:
            here = slice(row_number, row_number + batch.num_rows)
            row_number += batch.num_rows
            teacher = None if self.teacher is None else self.teacher[here].tolist()
            extra = {name: values[here].tolist() for name, values in added.items()}
            of_benchmark, linked = self.of_benchmark[here].tolist(), self._linked_names(here)
            for place, row in enumerate(batch.to_pylist()):
                core = {name: row[name] for name in ("id", "text", "image", *LABELS)}
                own_extra = {name: value for name, value in row.items() if name not in own}
                yield Post(
                    **core,
                    teacher=None if teacher is None else teacher[place],
                    paraphrase=row.get("paraphrase"),
                    group=row["given_group"],
                    linked_group=linked[place],
                    split=SPLITS[row["split"]],
                    of_benchmark=of_benchmark[place] if known else None,
                    extra=own_extra | {name: values[place] for name, values in extra.items()},
                )

    def _linked_names(self, rows: slice) -> list[str | None]:
        """The name of each row's group where near-duplicates were looked for, None where it is alone in it."""
        number, is_lone = self._linked
        start = self.fingerprint[:16]
        pairs = zip(number[rows].tolist(), is_lone[rows].tolist(), strict=True)
        return [None if lone else f"{start} {name}" for name, lone in pairs]

    @cached_property
    def _linked(self) -> tuple[np.ndarray, np.ndarray]:
        """(N,) number of each row's group, and (N,) bool whether nothing has to be said of it."""
        _, number, count = np.unique(self.group, return_inverse=True, return_counts=True)
        return number, (count[number] == 1) | ("group" not in self._added)


def _read_about(path: Path) -> dict:
    file = path / "store.json"
    if not is_store(path):
        raise ValueError(f"{path} is no post store: it has no store.json")
    try:
        about = json.loads(file.read_text(encoding="utf-8"))
        version = about["format"]
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"{file} is damaged; ingest the posts again") from None
    if version != FORMAT:
        raise ValueError(f"{file} has format {version}, this version reads format {FORMAT}; ingest the posts again")
    return about


def _map_batches(path: Path) -> tuple[mmap.mmap, list[pa.RecordBatch]]:
    """A file, mapped, and its batches in there: nothing is read until it is asked for."""
    try:
        with path.open("rb") as opened:
            mapped = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
        file = pa.ipc.open_file(pa.py_buffer(mapped))
        return mapped, [file.get_batch(index) for index in range(file.num_record_batches)]
    except (OSError, ValueError) as error:  # an empty file; what is no Arrow file
        raise ValueError(f"{path} is damaged or missing ({error}); ingest the posts again") from None


def _is_there(column: pa.Array) -> np.ndarray:
    return pc.fill_null(pc.greater(pc.binary_length(column), 0), False).to_numpy(zero_copy_only=False)


def set_columns(path: Path | str, **columns: np.ndarray) -> None:
    """Add numeric columns to a store, or replace ones so added (and `group`, `teacher`, `of_benchmark`), without
    rewriting the posts.

    Stores that are open already do not see them. Raises ValueError for a name that ingest wrote and the fingerprint
    covers, for what is no number, and for another number of rows.
    """
    about = _read_about(Path(path))
    folder = Path(path) / "columns"
    for name, values in columns.items():
        values = np.asarray(values)
        if name in about["columns"] and name not in REPLACED:
            raise ValueError(f"{path}: column {name!r} was written at ingest; use another name")
        if len(values) != about["rows"]:
            raise ValueError(f"{path}: column {name!r} has {len(values):,} rows, the store {about['rows']:,}")
        if values.dtype.kind not in "biuf":
            raise ValueError(f"{path}: column {name!r} is no column of numbers but of {values.dtype}")
        if name == "teacher" and values.shape != (about["rows"], len(about["classes"]) or len(SENTIMENTS)):
            raise ValueError(f"{path}: teacher has the shape {values.shape}, it must have a column for each class")
        folder.mkdir(exist_ok=True)
        temporary = folder / f"{name}.partial"
        with open(temporary, "wb") as file:
            np.save(file, values)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, folder / f"{name}.npy")
