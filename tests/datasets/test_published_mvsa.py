"""MVSA as other papers hand it on: CLMLF's lists of one split, and the ten folds of Cheema et al."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from datasets.posts import Post
from datasets.readers import ReaderOptions, find, recognise
from tests.datasets.published import posts, read, refused, stored, write


def row(identifier: object, label: object, text: str = "words") -> dict[str, object]:
    return {"id": identifier, "text": text, "emotion_label": label}


def lists(folder: str, validation: str, train: list[object]) -> dict[str, str]:
    content = {"train": train, validation: [row("4", 1)], "test": [row("5", 0)]}
    return {f"{folder}{name}.json": json.dumps(rows, indent=2) for name, rows in content.items()}


def test_the_split_of_clmlf(tmp_path: Path) -> None:
    said_otherwise = [{"id": "17", "text_translation": "Do you like parties?"}, {"id": "4"}, "row"]
    files = lists("10-flod-1/", "dev", [row("17", 0, "Love to party?"), row(18, 2), row("19", 3), "row", row("", 1)])
    files["MVSA-single_translation.json"] = json.dumps(said_otherwise)
    write(tmp_path / "MVSA-single", files, ["dataset_image/17.jpg", "dataset_image/5.jpg"])
    root = tmp_path / "MVSA-single"
    assert read("clmlf", root) == read("clmlf", root / "10-flod-1")
    assert read("clmlf", root)[0] == Post(
        "17",
        text="Love to party?",
        image=root / "dataset_image" / "17.jpg",
        label="positive",
        split="train",
        paraphrase="Do you like parties?",
    )
    store, quarantine = stored("clmlf", root, tmp_path / "store")
    assert store.label.tolist() == [2, 0, 1, 2]
    assert store.split.tolist() == [1, 1, 2, 3]
    assert store.has_image.tolist() == [True, False, False, True]
    assert quarantine == {
        ("18", "image", "missing"),
        ("4", "image", "missing"),
        ("train.json, row 3", "post", "unknown label '3'"),
        ("train.json, row 4", "post", "malformed row"),
        ("train.json, row 5", "post", "no id"),
    }


def test_the_sarcasm_set_of_clmlf_has_other_classes(tmp_path: Path) -> None:
    write(tmp_path, lists("", "valid", [row("1", 1), row("2", 0), row("3", 2)]))
    reader = recognise(tmp_path)()
    kept = [post for post in reader.read(tmp_path, ReaderOptions()) if post.refused is None]
    assert reader.classes == ("not sarcastic", "sarcastic")
    assert [post.label for post in kept] == ["sarcastic", "not sarcastic", "sarcastic", "not sarcastic"]
    assert refused("clmlf", tmp_path) == {"train.json, row 3": "unknown label '2'"}


FOLDS = {
    "valid_pairlist.txt": "1,1,0,1\n2,2,2,2\n10,0,0,0\n11,1,1\n12,3,0,0\n",
    "texts/1.txt": "first line\nsecond line",
    "splits/train_1.txt": "0\n",
    "splits/val_1.txt": "1\n",
    "splits/test_1.txt": "2\n4\n",
    "splits/train_2.txt": "2\n",
    "splits/val_2.txt": "0\n",
    "splits/test_2.txt": "1\n",
}


def test_the_ten_folds(tmp_path: Path) -> None:
    write(tmp_path / "m", FOLDS, ["images/1.jpg", "images/10.jpg"])
    assert read("mvsa_folds", tmp_path / "m")[0] == Post(
        "1",
        text="first line\nsecond line",
        image=tmp_path / "m" / "images" / "1.jpg",
        label="positive",
        text_label="neutral",
        image_label="positive",
        split="train",
    )
    assert [post.split for post in posts("mvsa_folds", tmp_path / "m")] == ["train", "validation", "test"]
    second = posts("mvsa_folds", tmp_path / "m" / "splits" / "val_2.txt")
    assert [post.split for post in second] == ["validation", "test", "train"]
    store, quarantine = stored("mvsa_folds", tmp_path / "m", tmp_path / "store")
    assert store.label.tolist() == [2, 1]
    assert quarantine == {
        ("2", "image", "missing"),
        ("2", "post", "neither text nor image"),
        ("valid_pairlist.txt, line 4", "post", "malformed row"),
        ("valid_pairlist.txt, line 5", "post", "unknown label '3'"),
    }


def test_without_folds_there_is_no_published_split(tmp_path: Path) -> None:
    write(tmp_path, {"valid_pairlist.txt": "1,1,0,1\n", "data/1.txt": "words"}, ["data/1.jpg"])
    (post,) = read("mvsa_folds", tmp_path)
    assert (post.text, post.image, post.split) == ("words", tmp_path / "data" / "1.jpg", None)
    write(tmp_path, {"labelResultAll.txt": "ID\ttext,image\n1\tneutral,positive\n"})
    assert recognise(tmp_path).name == "mvsa_single"


@pytest.mark.parametrize(
    ("files", "name", "message"),
    [
        ({}, "mvsa_folds", r"valid_pairlist\.txt is missing"),
        (FOLDS | {"splits/val_1.txt": "first\n"}, "mvsa_folds", r"val_1\.txt, line 1, should be a line of valid_pair"),
        ({}, "clmlf", r"dev\.json is missing"),
        ({"dev.json": "[]"}, "clmlf", r"train\.json is missing"),
    ],
)
def test_bad_and_missing_files_are_named(files: dict[str, str], name: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        list(find(name)().read(write(tmp_path, files), ReaderOptions()))
