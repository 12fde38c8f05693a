"""A folder of images that nobody sorted."""

from __future__ import annotations

from pathlib import Path

import pytest

from datasets.posts import Post
from datasets.readers import ReaderOptions, find, recognise

LAYOUT = find("image_folder")


def put(folder: Path, *names: str) -> None:
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).write_bytes(b"what a day")


def test_images_and_the_texts_beside_them(tmp_path: Path) -> None:
    put(tmp_path, "b.JPG", "a.png", "a.txt", ".hidden.png", "notes.txt")
    put(tmp_path / "below", "c.png")
    assert list(LAYOUT().read(tmp_path, ReaderOptions())) == [
        Post("a.png", "what a day", tmp_path / "a.png"),
        Post("b.JPG", None, tmp_path / "b.JPG"),
    ]


def test_what_says_more_of_the_images_goes_first(tmp_path: Path) -> None:
    put(tmp_path, ".hidden.png")
    assert not LAYOUT.recognises(tmp_path)
    put(tmp_path, "a.png")
    assert recognise(tmp_path) is LAYOUT
    for name in ("cat", "dog"):
        put(tmp_path / name, "1.png")
    assert recognise(tmp_path) is find("class_folders")
    put(tmp_path, "posts.csv")
    assert not LAYOUT.recognises(tmp_path)


def test_a_folder_without_images_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no image"):
        next(LAYOUT().read(tmp_path, ReaderOptions()))
