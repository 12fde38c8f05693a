"""Small copies of published layouts, written by the tests, and what ingest makes of them."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from datasets import readers
from datasets.ingest import ingest
from datasets.posts import Post
from datasets.readers import ReaderOptions
from datasets.store import PostStore
from tests.datasets.pictures import encoded, scene


def write(folder: Path, texts: dict[str, str], images: Sequence[str] = ()) -> Path:
    """Files below `folder` with these contents, and different pictures under the names in `images`."""
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    for seed, name in enumerate(images):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(encoded(scene(seed=seed)))
    return folder


def read(name: str, path: Path) -> list[Post]:
    """The posts at `path`, which the layout called `name`, and no other, recognises."""
    assert readers.recognise(path).name == name
    return list(readers.find(name)().read(path, ReaderOptions()))


def posts(name: str, path: Path) -> list[Post]:
    """Those that are not refused."""
    return [post for post in read(name, path) if post.refused is None]


def refused(name: str, path: Path) -> dict[str, str]:
    """Reasons by the place of the broken row."""
    return {post.id: post.refused for post in read(name, path) if post.refused is not None}


def stored(name: str, path: Path, store: Path) -> tuple[PostStore, set[tuple[str, str, str]]]:
    """The store that ingest makes at `store`, and what it refused: (id, what, reason)."""
    reader = readers.find(name)()
    made = ingest([(reader.read(path, ReaderOptions()), None)], store, reader.classes)
    with (store / "quarantine.csv").open(newline="", encoding="utf-8") as file:
        return made, {(row["id"], row["what"], row["reason"]) for row in csv.DictReader(file)}
