"""Tables of a published T4SA variant in its three forms."""

from __future__ import annotations

from pathlib import Path

import pytest

from datasets import readers
from datasets.ingest import open_posts
from datasets.options import DataOptions, WorldOptions
from datasets.posts import Post
from datasets.readers import ReaderOptions
from tests.datasets.pictures import encoded, scene


def read(folder: Path) -> list[Post]:
    reader = readers.recognise(folder)()
    assert reader.name == "t4sa_variant"
    return list(reader.read(folder, ReaderOptions()))


def tables(folder: Path, suffix: str, header: str, separator: str, prefix: str = "") -> Path:
    folder.mkdir(parents=True)
    rows = {"train": [("15317/1531722957072093184-0.jpg", 0), ("15317/1531722957072093184-1.jpg", 2)]}
    rows |= {"val": [("15318/1531800000000000000-0.jpg", 1)], "test": [("named/by hand.jpg", 0)]}
    for split, lines in rows.items():
        body = "".join(f"{prefix}{path}{separator}{label}\n" for path, label in lines)
        (folder / f"{folder.name}_{split}{suffix}").write_text(header + body)
    return folder


@pytest.mark.parametrize(
    ("suffix", "header", "separator", "prefix"),
    [(".csv", "path,class\n", ",", ""), (".tsv", "", "\t", "data/"), (".txt", "", " ", "data/")],
)
def test_the_three_published_forms(suffix, header, separator, prefix, tmp_path):
    folder = tables(tmp_path / "bal_T4SA2.0", suffix, header, separator, prefix)
    posts = read(folder)
    tweet = "1531722957072093184"
    assert [(post.label, post.split, post.group) for post in posts] == [
        ("negative", "train", tweet),
        ("positive", "train", tweet),
        ("neutral", "validation", "1531800000000000000"),
        ("negative", "test", None),
    ]
    first = f"{prefix}15317/{tweet}-0.jpg"
    assert posts[0].id == first
    assert posts[0].extra == {"tweet": tweet, "path": first}
    assert posts[0].image == tmp_path / "images" / first


@pytest.mark.parametrize("place", ["v", "v/images", ".", "images", "../images"])
def test_the_images_are_found_beside_or_above(place, tmp_path):
    folder = tables(tmp_path / "t" / "v", ".csv", "path,class\n", ",")
    root = (tmp_path / "t" / place).resolve()
    (root / "15317").mkdir(parents=True)
    (root / "15317" / "1531722957072093184-0.jpg").write_bytes(b"image")
    assert {post.image for post in read(folder)} >= {root / "15317" / "1531722957072093184-0.jpg"}


def test_one_missing_image_does_not_lose_the_others(tmp_path):
    folder = tables(tmp_path / "v", ".csv", "path,class\n", ",")
    first, *others = (post.image.relative_to(tmp_path / "images") for post in read(folder))
    for image in others:
        (folder / image).parent.mkdir(exist_ok=True)
        (folder / image).write_bytes(b"image")
    assert [post.image for post in read(folder)] == [folder / image for image in (first, *others)]


def test_a_variant_is_a_data_set_with_its_own_split(tmp_path):
    folder = tables(tmp_path / "v", ".csv", "path,class\n", ",")
    for post in read(folder):
        assert isinstance(post.image, Path)
        post.image.parent.mkdir(parents=True, exist_ok=True)
        post.image.write_bytes(encoded(scene(seed=len(post.id))))
    store = open_posts(DataOptions(data_dir=str(folder), cache_dir=str(tmp_path / "cache")), WorldOptions())
    assert store.has_image.all()
    assert store.label.tolist() == [0, 2, 1, 0]
    assert store.split.tolist() == [1, 1, 2, 3]
    assert store.group[0] == store.group[1]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("a.jpg,3", r"x_test\.csv, line 3, should be a path and a class 0, 1 or 2, found 'a\.jpg,3'"),
        ("a.jpg", "should be a path and a class"),
        ("../a.jpg,2", r"has the path '\.\./a\.jpg'"),
        ("/a.jpg,2", "should lie in the folder of the images"),
    ],
)
def test_wrong_rows_are_named(row, message, tmp_path):
    (tmp_path / "x_test.csv").write_text(f"path,class\nb.jpg,1\n{row}\n")
    with pytest.raises(ValueError, match=message):
        read(tmp_path)


def test_a_benchmark_of_two_classes_is_not_mistaken(tmp_path):
    """In emotion_ROI_test.csv 1 is positive, not neutral."""
    (tmp_path / "emotion_ROI_test.csv").write_text("path,class\na.jpg,1\nb.jpg,0\n")
    with pytest.raises(ValueError, match="no row of class 2, so 1 may mean positive"):
        read(tmp_path)


def test_other_folders_are_not_taken_for_a_variant(tmp_path):
    (tmp_path / "x_train.csv").write_text("id,text\n1,a\n")
    (tmp_path / "notes_test.txt").write_text("tested in room 2\n")
    assert readers.recognise(tmp_path).name == "table"
    with pytest.raises(ValueError, match="holds no table called"):
        list(readers.find("t4sa_variant")().read(tmp_path, ReaderOptions()))
