"""Class folders of images, with and without a level of splits."""

from __future__ import annotations

from pathlib import Path

import pytest

from datasets.posts import Post
from datasets.readers import ReaderOptions, find


def put(path: Path, content: bytes = b"image") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def read(path: Path) -> list[Post]:
    return list(find("class_folders")().read(path, ReaderOptions()))


def test_classes_and_texts(tmp_path: Path) -> None:
    put(tmp_path / "Positive" / "b.JPG")
    put(tmp_path / "Positive" / "b.txt", "what a day 😀".encode())
    put(tmp_path / "Positive" / "deep" / "a.png")
    put(tmp_path / "Amusement" / "1.webp")
    put(tmp_path / "Amusement" / "notes.txt")
    put(tmp_path / "unlabeled" / "1.jpg")
    put(tmp_path / ".cache" / "1.jpg")
    put(tmp_path / "README.md")
    assert read(tmp_path) == [
        Post("Amusement/1.webp", None, tmp_path / "Amusement" / "1.webp", "Amusement"),
        Post("Positive/b.JPG", "what a day 😀", tmp_path / "Positive" / "b.JPG", "positive"),
        Post("Positive/deep/a.png", None, tmp_path / "Positive" / "deep" / "a.png", "positive"),
        Post("unlabeled/1.jpg", None, tmp_path / "unlabeled" / "1.jpg", None),
    ]


def test_splits_above_the_classes(tmp_path: Path) -> None:
    for split in ("train", "Val", "test"):
        put(tmp_path / split / "cat" / "1.jpg")
    assert [(post.id, post.label, post.split) for post in read(tmp_path)] == [
        ("Val/cat/1.jpg", "cat", "validation"),
        ("test/cat/1.jpg", "cat", "test"),
        ("train/cat/1.jpg", "cat", "train"),
    ]


def test_a_class_may_have_the_name_of_a_split(tmp_path: Path) -> None:
    for name in ("train", "plane"):
        put(tmp_path / name / "1.jpg")
    assert [(post.label, post.split) for post in read(tmp_path)] == [("plane", None), ("train", None)]


def test_empty_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no folder: a folder for each class"):
        read(tmp_path)
    put(tmp_path / "cat" / "1.txt")
    with pytest.raises(ValueError, match=r"no folder in .* holds an image"):
        read(tmp_path)
    assert not find("class_folders").recognises(tmp_path)
