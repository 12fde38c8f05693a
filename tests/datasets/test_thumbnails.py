"""Thumbnails: the same whether ingest left them or they are made, whatever lies between."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from datasets import store_writer, thumbnails
from datasets.images import shrink_and_compare, thumbnail
from datasets.ingest import ingest
from datasets.posts import Post
from datasets.store import PostStore, StoreWriter
from datasets.thumbnails import Thumbnails
from tests.datasets.pictures import encoded, scene
from tests.datasets.test_store import mapped_mib


def write(path, lacking: tuple[int, ...] = ()) -> PostStore:
    """Twenty posts, every fourth without an image; `lacking`: those whose thumbnail was not kept."""
    with StoreWriter(path) as writer:
        for number in range(20):
            look = None if number % 4 == 3 else shrink_and_compare(encoded(scene(seed=number)))
            kept = None if look is None or number in lacking else look.thumbnail
            writer.add(str(number), text="a text", image=look and look.jpeg, thumbnail=kept)
    return PostStore(path)


@pytest.mark.parametrize("rows_of_a_batch", [3, 100])
def test_they_are_those_of_the_stored_images_in_any_order(tmp_path, monkeypatch, rows_of_a_batch):
    monkeypatch.setattr(store_writer, "BATCH_ROWS", rows_of_a_batch)
    store = write(tmp_path / "s")
    expected = [np.zeros((16, 16, 3), np.uint8) if number % 4 == 3 else None for number in range(20)]
    expected = [thumbnail(store.image(row) or b"") if look is None else look for row, look in enumerate(expected)]
    looks = Thumbnails(store)
    rows = np.array([19, 0, 3, 7, 7, 12, 1])
    assert np.array_equal(looks[rows], np.stack(expected)[rows])
    assert looks[rows[:0]].shape == (0, 16, 16, 3)
    assert not (store.path / "thumbnails.npy").exists()


@pytest.mark.parametrize("num_workers", [0, 3])
def test_they_are_made_once_where_any_was_not_kept(tmp_path, num_workers):
    kept, lacking = write(tmp_path / "kept"), write(tmp_path / "lacking", lacking=(5,))
    rows = np.arange(20)
    assert lacking.fingerprint == kept.fingerprint  # they follow from the images
    assert np.array_equal(Thumbnails(lacking, num_workers)[rows], Thumbnails(kept)[rows])
    time = (lacking.path / "thumbnails.npy").stat().st_mtime_ns
    assert np.array_equal(Thumbnails(lacking)[rows], Thumbnails(kept)[rows])
    assert (lacking.path / "thumbnails.npy").stat().st_mtime_ns == time


def test_ingest_keeps_them_and_a_store_of_a_store_has_them_too(tmp_path):
    posts = [Post(str(number), image=encoded(scene(600, 400, seed=number))) for number in range(3)]
    first = ingest([(posts, None)], tmp_path / "first")
    second = ingest([(first.posts(), None)], tmp_path / "second")
    assert "thumbnail" in first.columns
    assert "thumbnail" in second.columns
    for store in (first, second):
        made = np.stack([thumbnail(store.image(row) or b"") for row in range(3)]).astype(int)
        assert np.abs(Thumbnails(store)[np.arange(3)] - made).mean() < 2  # the image was encoded anew after it


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from Linux's /proc")
def test_a_walk_through_those_that_were_made_gives_their_memory_back(tmp_path, monkeypatch):
    monkeypatch.setattr(thumbnails, "RELEASED", 4 << 20)
    count = 40_000
    with StoreWriter(tmp_path / "s") as writer:
        for number in range(count):
            writer.add(str(number), image=b"image")
    np.save(tmp_path / "s" / "thumbnails.npy", np.ones((count, 16, 16, 3), np.uint8))
    looks = Thumbnails(PostStore(tmp_path / "s"))
    before = mapped_mib()
    assert sum(int(looks[np.arange(first, first + 1000)].sum()) for first in range(0, count, 1000)) == count * 768
    assert mapped_mib() < before + 8  # of 29
