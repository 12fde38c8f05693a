"""Images at 16 x 16 pixels, to compare pictures by: as ingest left them in the store, or made at the first call."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import numpy as np
import pyarrow as pa

from datasets.folders import claim
from datasets.images import THUMBNAIL_SIZE, thumbnail
from datasets.store import PostStore

SHAPE = (THUMBNAIL_SIZE, THUMBNAIL_SIZE, 3)
BYTES = THUMBNAIL_SIZE * THUMBNAIL_SIZE * 3
RELEASED = 64 << 20
"""Bytes after which the store's pages are given back, so that a walk through a large store needs little memory."""
CHUNK = 256
"""Images that a thread shrinks at a time."""


class Thumbnails:
    """The thumbnails of a store's images, read where they lie: `thumbnails[rows]` is (B, 16, 16, 3) uint8.

    Ingest keeps them beside the images, since it has these decoded. For a store that was written otherwise they are
    made from its images and kept in `thumbnails.npy` within it. Zeros where a post has no image.
    """

    def __init__(self, store: PostStore, num_workers: int = 0) -> None:
        self._map: mmap.mmap | None = None
        """Of the file in which those lie that were made here."""
        self._chunks: list[tuple[np.ndarray, np.ndarray]] = []
        """Bytes of each piece of the store, and where in them those of each post begin and the last ones end."""
        chunks = store.chunks("thumbnail") if "thumbnail" in store.columns else []
        known = np.concatenate([_is_whole(chunk) for chunk in chunks]) if chunks else np.zeros(len(store), bool)
        if (known >= store.has_image).all():
            self._chunks = [_buffers(chunk) for chunk in chunks]
        else:
            self._map = _made(store, num_workers)
            content = np.frombuffer(self._map, np.uint8)[len(self._map) - BYTES * len(store) :]  # behind NumPy's header
            self._chunks = [(content, BYTES * np.arange(len(store) + 1))]
        self._stops = np.cumsum([len(offsets) - 1 for _, offsets in self._chunks])
        self._store, self._read = store, 0

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        found = np.zeros((len(rows), BYTES), np.uint8)
        pieces = np.searchsorted(self._stops, rows, side="right")
        for number in np.unique(pieces):
            content, offsets = self._chunks[number]
            places = np.flatnonzero(pieces == number)
            inner = rows[places] - (self._stops[number] - len(offsets) + 1)
            there = offsets[inner + 1] > offsets[inner]
            found[places[there]] = content[offsets[inner[there]][:, None] + np.arange(BYTES)]
        self._read += found.size
        if self._read > RELEASED:
            self._store.release()
            if self._map is not None and hasattr(mmap, "MADV_DONTNEED"):
                self._map.madvise(mmap.MADV_DONTNEED)
            self._read = 0
        return found.reshape(len(rows), *SHAPE)


def _is_whole(chunk: pa.Array) -> np.ndarray:
    """(N,) bool: which posts of a piece have a thumbnail."""
    return np.diff(_buffers(chunk)[1]) == BYTES


def _buffers(chunk: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """Bytes of a column of bytes, and (N + 1,) where those of each post begin."""
    offsets, content = chunk.buffers()[1:]
    if offsets is None or content is None:
        return np.zeros(0, np.uint8), np.zeros(len(chunk) + 1, np.int32)
    return np.frombuffer(content, np.uint8), np.frombuffer(offsets, np.int32, len(chunk) + 1, 4 * chunk.offset)


def _made(store: PostStore, num_workers: int) -> mmap.mmap:
    """A file in the store of (N, 16, 16, 3) uint8, that is made at the first call, mapped."""
    path = store.path / "thumbnails.npy"
    if not path.is_file():
        partial = store.path / f"thumbnails.{os.getpid()}.partial"
        try:
            array = np.lib.format.open_memmap(partial, mode="w+", dtype=np.uint8, shape=(len(store), *SHAPE))
            claim(partial)
            for rows, small in _shrunk(store, num_workers):
                array[rows] = small
            array.flush()
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def _shrunk(store: PostStore, num_workers: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    rows = np.flatnonzero(store.has_image)
    chunks = iter([rows[start : start + CHUNK] for start in range(0, len(rows), CHUNK)])

    def shrink(chunk: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return chunk, np.stack([thumbnail(store.image(int(row)) or b"") for row in chunk])

    with ThreadPoolExecutor(max(1, num_workers)) as pool:
        while some := list(islice(chunks, 4 * max(1, num_workers))):
            yield from pool.map(shrink, some)
