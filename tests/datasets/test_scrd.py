"""SCRD's layout: its ids go by name, and its files say which split a post is of."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from datasets.posts import Post
from datasets.readers import ReaderOptions, find


def write(folder: Path, **files: object) -> Path:
    (folder / "data").mkdir()
    for name, content in files.items():
        (folder / f"{name}.json").write_text(content if isinstance(content, str) else json.dumps(content))
    return folder


def read(path: Path) -> list[Post]:
    return list(find("scrd")().read(path, ReaderOptions()))


def row(label: object, img_label: object = 2, text_label: object = 2) -> dict[str, object]:
    return {"label": label, "img_label": img_label, "text_label": text_label}


def test_labels_by_name_and_splits(tmp_path: Path) -> None:
    write(tmp_path, train={"7": row(0, 0, 2), "x": row(1, 1, 1)}, test={"9": {"label": 2}})
    (tmp_path / "data" / "7.txt").write_bytes(b"na\xefve")
    data = tmp_path / "data"
    assert read(tmp_path) == [
        Post("7", "naïve", data / "7.jpg", "positive", "neutral", "positive", split="train"),
        Post("x", None, data / "x.jpg", "negative", "negative", "negative", split="train"),
        Post("9", None, data / "9.jpg", "neutral", split="test"),
    ]


def test_one_of_the_two_files_is_enough(tmp_path: Path) -> None:
    write(tmp_path, test={"1": row(None)})
    assert [(post.label, post.split) for post in read(tmp_path)] == [(None, "test")]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, r"neither train\.json nor test\.json"),
        ({"train": "{"}, r"train\.json is not valid JSON"),
        ({"train": [row(0)]}, r"train\.json should be an object that is keyed by post id, found a list"),
        ({"train": {"1": 0}}, r"train\.json, id 1: an object with the key 'label' should be there, found 0"),
        ({"train": {"1": {"img_label": 0}}}, "id 1: an object with the key 'label'"),
        ({"train": {"1": row(3)}}, r"train\.json, id 1, has the unknown label 3; known are 0 positive"),
        ({"train": {"1": row(0, -1)}}, "has the unknown img_label -1"),
        ({"train": {"1": row("positive")}}, "has 'positive' as label"),
        ({"train": {"1": row(True)}}, "has True as label"),
        ({"train": {"1": row(0)}, "test": {"1": row(0)}}, r"test\.json has the id 1 that train\.json has too"),
        ({"train": '{"1": {"label": 0}, "1": {"label": 1}}'}, r"train\.json has '1' twice"),
    ],
)
def test_bad_files_are_named(files: dict[str, object], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        read(write(tmp_path, **files))


def test_the_folder_of_images_and_texts_is_needed(tmp_path: Path) -> None:
    (tmp_path / "train.json").write_text("{}")
    with pytest.raises(ValueError, match="data is missing: the scrd layout"):
        read(tmp_path)
