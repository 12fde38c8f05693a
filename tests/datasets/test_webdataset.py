"""Tars in the WebDataset format."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pytest

from datasets import readers
from datasets.posts import Post
from datasets.readers import ReaderOptions, webdataset

LINK, FOLDER, DEVICE = tarfile.SYMTYPE, tarfile.DIRTYPE, tarfile.CHRTYPE


def shard(file: Path, *members: tuple[str, bytes] | tuple[str, bytes, bytes], mode: str = "w") -> Path:
    with tarfile.open(file, mode) as archive:  # type: ignore[call-overload]
        for name, content, *kind in members:
            about = tarfile.TarInfo(name)
            about.size = len(content)
            if kind:
                about.type, about.linkname = kind[0], "/etc/passwd"
            archive.addfile(about, io.BytesIO(content))
    return file


def read(path: Path) -> tuple[list[Post], tuple[str, ...] | None]:
    reader = readers.recognise(path)()
    posts = reader.read(path, ReaderOptions())
    return list(posts), reader.classes


def test_files_of_one_key_are_one_post(tmp_path):
    about = {"id": 7, "label": "Positive", "caption": "unread", "stars": 4, "split": "x", "list": [1]}
    shard(
        tmp_path / "a.tar",
        ("d", b"", FOLDER),
        ("d/1.v2.jpg", b"not this one"),
        ("d/1.jpg", b"image"),
        ("d/1.txt", "so glad 😀\n".encode()),
        ("d/1.json", json.dumps(about).encode()),
        ("d/2.PNG", b"image two"),
        ("d/2.cls", b"negative\n"),
    )
    shard(tmp_path / "b.tar.gz", ("3.json", b'{"caption": "hello", "group": "g"}'), mode="w:gz")
    assert read(tmp_path) == (
        [
            Post("7", "so glad 😀", b"image", "positive", extra={"stars": 4, "split_in_json": "x"}),
            Post("d/2", None, b"image two", "negative"),
            Post("3", "hello", group="g"),
        ],
        None,
    )


def test_a_shard_of_a_whole_folder_has_the_same_keys(tmp_path):
    shard(tmp_path / "a.tar", (".", b"", FOLDER), ("./d", b"", FOLDER), ("./d/1.jpg", b"image"), ("./2.txt", b"text"))
    assert read(tmp_path)[0] == [Post("d/1", None, b"image"), Post("2", "text")]


def test_a_teacher_names_the_classes(tmp_path):
    about = {"teacher_positive": 0.5, "teacher_negative": 0.25, "teacher_neutral": 0.25}
    file = shard(tmp_path / "a.tar", ("1.json", json.dumps(about).encode()), ("2.txt", b"b"))
    posts, classes = read(file)
    assert classes == ("negative", "neutral", "positive")
    assert [post.teacher for post in posts] == [(0.25, 0.25, 0.5), None]
    samples = [{}, {"teacher_neutral": 2}, {"teacher_positive": None}, {"teacher_other": 0.1}, dict.fromkeys(about)]
    shard(file, *[(f"{key}.json", json.dumps(about | sample).encode()) for key, sample in enumerate(samples)])
    posts, _ = read(file)
    reason = "no probabilities of negative, neutral, positive"
    assert [(post.id, post.refused) for post in posts if post.refused] == [
        (f"a.tar, {key}", reason) for key in (1, 2, 3)
    ]
    assert [post.teacher for post in posts if not post.refused] == [(0.25, 0.25, 0.5), None]


def test_unsafe_and_broken_members_are_refused_and_the_rest_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(webdataset, "MAX_BYTES", 1000)
    file = shard(
        tmp_path / "a.tar",
        ("1.txt", b"one"),
        ("/etc/2.txt", b"two"),
        ("../3.txt", b"three"),
        ("a/../../4.txt", b"four"),
        ("5.jpg", b"", LINK),
        ("6.jpg", b"", tarfile.LNKTYPE),
        ("7.jpg", b"", DEVICE),
        ("8.jpg", bytes(1001)),
        ("9.json", b"{"),
        ("10.json", b"[1]"),
        ("11.txt", b"eleven"),
    )
    posts, _ = read(file)
    assert [(post.id, post.refused) for post in posts if post.refused] == [
        ("a.tar, /etc/2.txt", "unsafe path"),
        ("a.tar, ../3.txt", "unsafe path"),
        ("a.tar, a/../../4.txt", "unsafe path"),
        ("a.tar, 5.jpg", "a link"),
        ("a.tar, 6.jpg", "a link"),
        ("a.tar, 7.jpg", "no file"),
        ("a.tar, 8.jpg", "file too large"),
        ("a.tar, 9", "malformed JSON"),
        ("a.tar, 10", "malformed JSON"),
    ]
    assert [post.text for post in posts if not post.refused] == ["one", "eleven"]


def test_a_shard_cut_short_does_not_stop_the_others(tmp_path):
    whole = shard(tmp_path / "a.tar", *[(f"{number}.txt", b"text" * 300) for number in range(20)])
    whole.write_bytes(whole.read_bytes()[:20_000])
    shard(tmp_path / "b.tar", ("x.txt", b"last"))
    (tmp_path / "c.tar").write_bytes(b"no tar at all")
    posts, _ = read(tmp_path)
    refused = [(post.id, post.refused) for post in posts if post.refused]
    assert refused[-1][0] == "c.tar, c.tar"
    assert all("archive cannot be read on" in str(reason) for _, reason in refused)
    assert len(refused) == 2
    assert [post.text for post in posts if not post.refused][-1] == "last"
    assert 8 < len(posts) - len(refused) < 20


def test_numbers_are_no_labels_and_no_tar_is_named(tmp_path):
    file = shard(tmp_path / "a.tar", ("1.cls", b"1"))
    with pytest.raises(ValueError, match=r"a\.tar, 1, has the number 1 as its label: write the name"):
        read(file)
    with pytest.raises(ValueError, match="holds no tar of posts"):
        readers.find("webdataset")().read(tmp_path / "nowhere", ReaderOptions())
