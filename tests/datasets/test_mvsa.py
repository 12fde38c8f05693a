"""MVSA: the rule for a post's label, the majority of three, and the bad files."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from datasets.posts import SENTIMENTS, Post
from datasets.readers import ReaderOptions, find
from datasets.readers.mvsa import majority, merge_labels

REAL = Path(__file__).parents[3] / "shared" / "data" / "mvsa_single"


def write(folder: Path, labels: str | None, ids: tuple[str, ...] = ("1", "2", "10")) -> Path:
    (folder / "data").mkdir()
    for name in ids:
        (folder / "data" / f"{name}.jpg").write_bytes(b"image")
        (folder / "data" / f"{name}.txt").write_bytes(f"text of {name}".encode())
    if labels is not None:
        (folder / "labelResultAll.txt").write_text(labels)
    return folder


def read(path: Path, name: str = "mvsa_single") -> dict[str, Post]:
    return {post.id: post for post in find(name)().read(path, ReaderOptions())}


@pytest.mark.parametrize(
    ("text", "image", "merged"),
    [
        ("positive", "positive", "positive"),
        ("neutral", "neutral", "neutral"),
        ("negative", "negative", "negative"),
        ("neutral", "positive", "positive"),
        ("positive", "neutral", "positive"),
        ("neutral", "negative", "negative"),
        ("negative", "neutral", "negative"),
        ("positive", "negative", None),
        ("negative", "positive", None),
        (None, "positive", None),
        ("positive", None, None),
    ],
)
def test_two_labels_make_one(text: str | None, image: str | None, merged: str | None) -> None:
    assert merge_labels(text, image) == merged


def test_majority_is_more_than_half() -> None:
    assert majority(["positive", "neutral", "positive"]) == "positive"
    assert majority(["positive", "neutral", "negative"]) is None
    assert majority(["neutral"]) == "neutral"


def test_single(tmp_path: Path) -> None:
    write(tmp_path, "ID\ttext,image\n10\tneutral,positive\r\n1\tpositive,negative\n")
    posts = read(tmp_path)
    assert list(posts) == ["1", "2", "10"]
    assert posts["10"] == Post(
        id="10",
        text="text of 10",
        image=tmp_path / "data" / "10.jpg",
        label="positive",
        text_label="neutral",
        image_label="positive",
    )
    assert (posts["1"].label, posts["1"].text_label, posts["1"].image_label) == (None, "positive", "negative")
    assert (posts["2"].label, posts["2"].text_label, posts["2"].image_label) == (None, None, None)


def test_multiple_takes_the_majority_first(tmp_path: Path) -> None:
    write(
        tmp_path,
        "ID\ttext,image\ttext,image\ttext,image\n"
        "1\tneutral,positive\tneutral,positive\tpositive,negative\n"
        "2\tneutral,positive\tpositive,positive\tnegative,positive\n"
        "10\tpositive,negative\tpositive,negative\tneutral,neutral\n",
    )
    posts = read(tmp_path, "mvsa_multiple")
    labels = {name: (post.text_label, post.image_label, post.label) for name, post in posts.items()}
    assert labels == {
        "1": ("neutral", "positive", "positive"),
        "2": (None, "positive", None),
        "10": ("positive", "negative", None),
    }


def test_posts_that_lack_a_file_are_kept_for_ingest_to_judge(tmp_path: Path) -> None:
    write(tmp_path, "ID\ttext,image\n1\tneutral,neutral\n7\tpositive,positive\n")
    (tmp_path / "data" / "1.txt").unlink()
    posts = read(tmp_path)
    assert posts["1"].text is None and posts["1"].label == "neutral"
    assert posts["7"].text is None and posts["7"].image == tmp_path / "data" / "7.jpg"


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (None, r"labelResultAll\.txt is missing"),
        ("ID\ttext,image\n1\tpositive,happy\n", r"labelResultAll\.txt, line 2, has the unknown label 'happy'"),
        ("ID\ttext,image\n1\tpositive\n", "line 2, has 'positive' where 'text label,image label' should be"),
        ("ID\ttext,image\n\n1 positive,positive\n", "line 3, should have an id and 1 tab-separated"),
        ("ID\ttext,image\n1\tneutral,neutral\n1\tneutral,neutral\n", "line 3, repeats the id 1"),
        ("1\ta,b\ta,b\ta,b\n", "try --dataset mvsa_multiple"),
    ],
)
def test_bad_label_files_are_named(labels: str | None, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        read(write(tmp_path, labels))


def test_a_folder_without_posts_is_named(tmp_path: Path) -> None:
    (tmp_path / "labelResultAll.txt").write_text("ID\ttext,image\n")
    with pytest.raises(ValueError, match="data is missing: MVSA keeps"):
        read(tmp_path)
    (tmp_path / "data").mkdir()
    with pytest.raises(ValueError, match=r"data holds no <id>\.jpg"):
        read(tmp_path)


@pytest.mark.skipif(not REAL.is_dir(), reason=f"the real posts are not there: {REAL}")
def test_real_posts_have_the_published_counts() -> None:
    posts = read(REAL)
    assert Counter(post.label for post in posts.values()) == {
        "positive": 2162,
        "negative": 1104,
        "neutral": 374,
        None: 300,
    }
    assert all(post.text for post in posts.values())
    assert find("mvsa_single").classes == SENTIMENTS
