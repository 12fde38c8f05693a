"""Writing a new post store, batch by batch, with a fingerprint of what it holds."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from datasets.store_format import (
    CORE,
    FORMAT,
    LABELS,
    OPTIONAL,
    RESERVED,
    SPLITS,
    column_as,
    is_store,
    order_classes,
    write_file,
)

BATCH_ROWS = 8192
BATCH_BYTES = 64 << 20
"""A batch is written once it has so many posts or so many bytes, whichever comes first."""
EXACT = 1 << 53
"""Up to here a floating-point number holds every whole one."""
FILE_BYTES = 2 << 30
"""A file that has grown so large is followed by another."""


class _Fingerprint:
    """sha256 of what the columns hold, whatever the batches they are written in."""

    def __init__(self) -> None:
        self._columns: dict[str, tuple[hashlib._Hash, hashlib._Hash]] = {}

    def add(self, batch: pa.RecordBatch) -> None:
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            if name == "thumbnail":  # follows from the image: a store with it and one without hold the same posts
                continue
            shape, content = self._columns.setdefault(name, (hashlib.sha256(), hashlib.sha256()))
            if pa.types.is_string(column.type) or pa.types.is_binary(column.type):
                shape.update(pc.fill_null(pc.binary_length(column), -1).to_numpy(zero_copy_only=False).tobytes())
                offsets = np.frombuffer(column.buffers()[1], np.int32, len(column) + 1, column.offset * 4)
                if column.buffers()[2] is not None:
                    content.update(memoryview(column.buffers()[2])[int(offsets[0]) : int(offsets[-1])])
            elif pa.types.is_fixed_size_list(column.type):
                content.update(column.flatten().to_numpy().tobytes())
            elif not pa.types.is_null(column.type):
                shape.update(pc.is_valid(column).to_numpy(zero_copy_only=False).tobytes())
                filled = pc.fill_null(column, False if pa.types.is_boolean(column.type) else 0)
                content.update(filled.to_numpy(zero_copy_only=False).tobytes())

    def of_columns(self) -> dict[str, str]:
        """Of each column by itself."""
        found = self._columns.items()
        return {name: hashlib.sha256(shape.digest() + content.digest()).hexdigest() for name, (shape, content) in found}

    def hexdigest(self, classes: Sequence[str]) -> str:
        whole = hashlib.sha256(json.dumps([FORMAT, list(classes)]).encode())
        for name, (shape, content) in sorted(self._columns.items()):
            whole.update(name.encode() + b"\0" + shape.digest() + content.digest())
        return whole.hexdigest()


class StoreWriter:
    """Writes a new store, batch by batch. Use as a context manager: `store.json` is written at its regular end.

    `classes` None: those that the labels name, found at the end. Raises ValueError where `path` holds a store already,
    for a label that is not among the classes, and for a column that cannot be stored.
    """

    def __init__(self, path: Path | str, classes: Sequence[str] | None = None, source: str = "") -> None:
        self.path = Path(path)
        if is_store(self.path):
            raise ValueError(f"{self.path} is a post store already; remove it or name another folder")
        self.path.mkdir(parents=True, exist_ok=True)
        self._classes = None if classes is None else tuple(classes)
        self._source = source
        self._found: set[str] = set()
        self._rows: list[tuple] = []
        self._extras: list[Mapping[str, object]] = []
        self._pending_bytes = 0
        self._schema: pa.Schema | None = None
        self._file: pa.ipc.RecordBatchFileWriter | None = None
        self._sink: pa.NativeFile | None = None
        self._names: list[str] = []
        self._counts: list[int] = []
        self._batches: list[int] = []
        self._fingerprint = _Fingerprint()
        self._exact: set[str] = set()
        self.rows = 0

    def __enter__(self) -> StoreWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
        else:
            self._close_file()

    def add(
        self,
        id: str,
        *,
        text: str | None = None,
        image: bytes | None = None,
        label: str | None = None,
        text_label: str | None = None,
        image_label: str | None = None,
        split: str | None = None,
        group: str | None = None,
        linked_group: str | None = None,
        of_benchmark: bool | None = None,
        image_hash: int | None = None,
        teacher: Sequence[float] | None = None,
        paraphrase: str | None = None,
        thumbnail: bytes | None = None,
        extra: Mapping[str, object] = MappingProxyType({}),
    ) -> None:
        """Add one post. `image` is JPEG bytes as `images.shrink` gives them, `thumbnail` its 16 x 16 x 3 levels;
        labels are class names."""
        for name in (label, text_label, image_label):
            if name is not None and name not in self._found:
                self._check_label(name, id)
        if split not in SPLITS:
            raise ValueError(f"post {id}: the split is {split!r}, it can be {', '.join(SPLITS[1:])} or none")
        core = (id, text or None, image, label, text_label, image_label, SPLITS.index(split), group, image_hash)
        self._rows.append((*core, teacher, paraphrase or None, thumbnail, linked_group, of_benchmark))
        self._extras.append(extra)
        self._pending_bytes += 64 + len(text or "") + len(image or b"") + len(thumbnail or b"")
        if len(self._rows) >= BATCH_ROWS or self._pending_bytes >= BATCH_BYTES:
            self._flush()

    def add_batch(self, batch: pa.RecordBatch) -> None:
        """Add many posts at once: any columns of CORE (`id` at least), those of RESERVED and extras, as Arrow."""
        self._flush()
        self._note_labels(batch)
        self._write(batch)

    def _note_labels(self, batch: pa.RecordBatch) -> None:
        for name in set(LABELS) & set(batch.schema.names):
            for label in pc.unique(batch.column(name)).drop_null().to_pylist():
                self._check_label(label, f"one of {batch.num_rows}")

    def _check_label(self, name: str, id: str) -> None:
        if self._classes is not None and name not in self._classes:
            raise ValueError(f"post {id}: unknown label {name!r}; the classes are {', '.join(self._classes)}")
        self._found.add(name)

    def _flush(self) -> None:
        """Turn the pending rows into one batch."""
        if not self._rows:
            return
        values = list(zip(*self._rows, strict=True))
        core, teacher, optional = values[: len(CORE)], values[len(CORE)], values[len(CORE) + 1 :]
        columns = {field.name: pa.array(values, field.type) for field, values in zip(CORE, core, strict=True)}
        if any(value is not None for value in teacher):
            columns["teacher"] = self._teacher(teacher)
        for (name, kind), said in zip(OPTIONAL.items(), optional, strict=True):
            if any(value is not None for value in said):
                columns[name] = pa.array(said, kind)
        for name in dict.fromkeys(name for extra in self._extras for name in extra):
            if name in RESERVED:
                raise ValueError(f"an extra column of the posts is called {name!r}, which means something else here")
            columns[name] = _extra_column(name, [extra.get(name) for extra in self._extras])
        self._rows, self._extras, self._pending_bytes = [], [], 0
        self._write(pa.RecordBatch.from_pydict(columns))

    def _teacher(self, rows: Sequence[Sequence[float] | None]) -> pa.Array:
        width = next(len(row) for row in rows if row is not None)
        wrong = [len(row) for row in rows if row is not None and len(row) != width]
        if wrong:
            raise ValueError(f"teacher probabilities for {width} classes in some posts and {wrong[0]} in others")
        values = np.array([(0.0,) * width if row is None else row for row in rows], np.float32)
        return pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), width)

    def _write(self, batch: pa.RecordBatch) -> None:
        """Write one batch; a column or type not seen so far starts a new file."""
        known = CORE if self._schema is None else self._schema
        self._note_exact(batch)
        try:
            schema = pa.unify_schemas([known, batch.schema.remove_metadata()], promote_options="permissive")
        except (pa.ArrowTypeError, pa.ArrowInvalid) as error:
            raise ValueError(f"a column of the posts changes its kind: {error}") from None
        if rounded := [name for name in self._exact if pa.types.is_floating(schema.field(name).type)]:
            raise ValueError(
                f"column {rounded[0]!r} of the posts has whole numbers above 2^53 and fractions: write it as text"
            )
        if self._sink is not None and (schema != self._schema or self._sink.tell() >= FILE_BYTES):
            self._close_file()
        if self._file is None:
            name = f"posts-{len(self._names):05d}.arrow"
            self._sink = pa.OSFile(str(self.path / name), "wb")
            self._file = pa.ipc.new_file(self._sink, schema)
            self._names.append(name)
            self._counts.append(0)
            self._batches.append(0)
        self._schema = schema
        batch = pa.RecordBatch.from_arrays([column_as(batch, field) for field in schema], schema=schema)
        self._file.write_batch(batch)
        self._fingerprint.add(batch)
        self._counts[-1] += batch.num_rows
        self._batches[-1] += 1
        self.rows += batch.num_rows

    def _note_exact(self, batch: pa.RecordBatch) -> None:
        """Which columns have whole numbers that no floating-point number can hold."""
        for field, values in zip(batch.schema, batch.columns, strict=True):
            if field.name not in self._exact and field.type == pa.int64():
                limits = pc.min_max(values).as_py()
                if max(-(limits["min"] or 0), limits["max"] or 0) > EXACT:
                    self._exact.add(field.name)

    def _close_file(self) -> None:
        file, sink, self._file, self._sink = self._file, self._sink, None, None
        try:
            if file is not None:
                file.close()
        finally:
            if sink is not None:
                sink.close()
                self._sync_last()

    def _sync_last(self) -> None:
        with open(self.path / self._names[-1], "rb") as file:
            os.fsync(file.fileno())

    def sync(self) -> list[tuple[str, int, int]]:
        """Have the disk hold every batch that was written: name, rows and batches of each file, for `restore`."""
        if self._sink is not None:
            self._sink.flush()
            self._sync_last()
        return list(zip(self._names, self._counts, self._batches, strict=True))

    def restore(self, files: Sequence[Sequence]) -> None:
        """Go on after what `sync` said, in the folder of a writer that was interrupted; call it before `add`.

        The last file has no end yet: its batches are written anew, from a copy that is there until this is done.
        Raises ValueError where the files do not hold what they should.
        """
        try:
            for name, rows, batches in files[:-1]:
                for batch in _stream(self.path / name, rows, batches):
                    self._note_labels(batch)
                    self._note_exact(batch)
                    self._fingerprint.add(batch)
                    self._schema = batch.schema
                self._names.append(name)
                self._counts.append(rows)
                self._batches.append(batches)
                self.rows += rows
            for name, rows, batches in files[-1:]:
                before = self.path / f"{name}.before"
                if not before.exists():
                    os.replace(self.path / name, before)
                for batch in _stream(before, rows, batches):
                    self._note_labels(batch)
                    self._write(batch)
                self.sync()
                before.unlink()
        except (FileNotFoundError, pa.ArrowInvalid) as error:
            raise ValueError(
                f"{self.path}: what an interrupted ingest left is damaged ({error}); it is removed, start again"
            ) from error

    def close(self) -> None:
        """Write what is pending and, last of all, `store.json`. Raises ValueError where there is no post."""
        self._flush()
        self._close_file()
        if not self.rows:
            raise ValueError(f"{self._source or self.path}: there are no posts in it")
        assert self._schema is not None
        classes = order_classes(self._found) if self._classes is None else self._classes
        if "teacher" in self._schema.names and self._schema.field("teacher").type.list_size != len(classes):
            width = self._schema.field("teacher").type.list_size
            raise ValueError(f"teacher probabilities for {width} classes, the labels name {len(classes)}: {classes}")
        about = {
            "format": FORMAT,
            "rows": self.rows,
            "classes": list(classes),
            "fingerprint": self._fingerprint.hexdigest(classes),
            "column_fingerprints": self._fingerprint.of_columns(),
            "source": self._source,
            "columns": self._schema.names,
            "files": [{"name": name, "rows": rows} for name, rows in zip(self._names, self._counts, strict=True)],
        }
        write_file(self.path / "store.json", json.dumps(about, indent=1, ensure_ascii=False).encode())


def _stream(path: Path, rows: int, batches: int) -> Iterator[pa.RecordBatch]:
    """The first `batches` of an Arrow IPC file, whether it has its end or not: after the magic it is a stream."""
    for batch in islice(pa.ipc.open_stream(pa.memory_map(str(path)).read_buffer().slice(8)), batches):
        rows -= batch.num_rows
        yield batch
    if rows:
        raise pa.ArrowInvalid(f"{path.name} has lost {rows} posts")


def _extra_column(name: str, values: list[object]) -> pa.Array:
    try:
        return pa.array(values, from_pandas=True)  # not-a-number is what some formats write where there is nothing
    except (pa.ArrowTypeError, pa.ArrowInvalid, pa.ArrowNotImplementedError, OverflowError) as error:
        raise ValueError(f"column {name!r} of the posts is neither all text nor all numbers: {error}") from None
