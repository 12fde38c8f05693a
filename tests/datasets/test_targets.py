"""Twitter-15 and Twitter-17: a post for each target of a tweet, with the published split."""

from __future__ import annotations

from pathlib import Path

import pytest

from datasets.posts import Post
from datasets.readers import ReaderOptions, find, recognise
from tests.datasets.published import posts, read, refused, stored, write

HEADER = "index\t#1 Label\t#2 ImageID\t#3 String\t#3 String\n"
TABLES = {
    "train.tsv": HEADER + "1\t2\t14581.jpg\tRT @ engadget : $T$ focuses on diversity\tWhite House Demo Day\n"
    '2\t0\t45911.jpg\t"Meet the impersonator who wants to heal $T$ :\tBaltimore\r\n'
    "3\t3\t1.jpg\t$T$ is here\tRio\n4\t1\t2.jpg\t$T$ is cut off\n5\t1\t../3.jpg\t$T$\tRio\n",
    "dev.tsv": HEADER + "1\t1\t9.jpg\tno target in it\tRio\n",
    # The published header of the test table lacks a column.
    "test.tsv": "index\t#1 ImageID\t#2 String\t#2 String\n"
    "1\t1\t1294593.jpg\tDeparting from $T$ to Bangkok\tHeathrow\n"
    "2\t1\t1294593.jpg\tDeparting from Heathrow to $T$\tBangkok\n",
}


@pytest.mark.parametrize(
    ("name", "folder", "images"),
    [
        ("twitter15", "twitter2015", "twitter2015_images"),
        ("twitter15", "twitter15", "twitter15/images"),
        ("twitter17", "absa_data/twitter", "twitter2017_images"),
        ("twitter17", "twitter2017", "twitter2017/twitter2017_images"),
    ],
)
def test_the_year_is_that_of_the_folder(name: str, folder: str, images: str, tmp_path: Path) -> None:
    write(tmp_path / folder, TABLES)
    (tmp_path / images).mkdir(exist_ok=True)
    assert read(name, tmp_path / folder)[0] == Post(
        "train-1",
        text="RT @ engadget : White House Demo Day focuses on diversity | White House Demo Day",
        image=tmp_path / images / "14581.jpg",
        label="positive",
        group="14581.jpg",
        split="train",
        extra={"target": "White House Demo Day"},
    )


def test_what_ingest_makes_of_it(tmp_path: Path) -> None:
    write(tmp_path / "twitter15", TABLES, ["../twitter2015_images/1294593.jpg", "../twitter2015_images/14581.jpg"])
    store, quarantine = stored("twitter15", tmp_path / "twitter15", tmp_path / "store")
    assert store.ids(range(len(store))) == [
        "train-1",
        "train-2",
        "validation-1",
        "test-1",
        "test-2",
    ]
    assert store.label.tolist() == [2, 0, 1, 1, 1]
    assert store.split.tolist() == [1, 1, 2, 3, 3]
    assert store.texts([1, 2]) == [
        '"Meet the impersonator who wants to heal Baltimore : | Baltimore',
        "no target in it | Rio",
    ]
    assert store.group[3] == store.group[4] != store.group[0]
    assert quarantine == {
        ("train-2", "image", "missing"),
        ("validation-1", "image", "missing"),
        ("train.tsv, line 4", "post", "unknown label '3'"),
        ("train.tsv, line 5", "post", "malformed row"),
        ("train.tsv, line 6", "post", "malformed row"),
    }


def test_a_folder_of_another_name_is_a_table_unless_it_is_said(tmp_path: Path) -> None:
    folder = write(tmp_path / "tweets", TABLES)
    assert recognise(folder).name == "table"
    assert len(list(find("twitter17")().read(folder, ReaderOptions()))) == 8
    assert len(posts("twitter17", write(tmp_path / "twitter17", TABLES))) == 5
    assert len(refused("twitter17", tmp_path / "twitter17")) == 3


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"train\.tsv is missing"):
        list(find("twitter15")().read(tmp_path, ReaderOptions()))
