"""The relation of text and image: two answers make four classes; two tables, one with texts and one without."""

from __future__ import annotations

from pathlib import Path

import pytest

from datasets.readers import ReaderOptions, find
from tests.datasets.published import posts, read, refused, stored, write

HEADER = (
    "text_is_represented,image_adds,image_adds_text_repr,image_adds_text_notrepr,"
    "image_notadds_text_repr,image_notadds_text_notrepr"
)
WITH_TEXT = {
    "textimage-data.csv": f'"tweet_id","user_id","tweet",{HEADER}\n'
    r'"698197155698184192","5","happy birthday ily @victoria https://t.co/K8","0","0","0","0","0","1"' + "\n"
    r'"689161440901607424","2","This is my \"I am so done\" face, really 😂","1","0","0","0","1","0"' + "\n"
    '"745103435532427264","1","RT @e: Happy Flag Day!","1","1","1","0","0","0"\n'
    '"793131612502306817","2","spilt, over, commas,0,1,0,1,0,0\n'
}
WITHOUT_TEXT = {
    "textimage.csv": f"tweet_id,{HEADER},,,\n"
    "698197155698184192,0,0,0,0,0,1,,,\n"
    "745103435532427264,1,1,1,0,0,0,,,\n"
    "689161440901607424,1,0,0,0,1,0,,,\n"
    "793131612502306817,0,1,0,1,0,0,,,\n"
    '723200410656247810,"we are gathered \\"" "" #RIP""",1,1,1,0,0,0,,\n'  # a piece of its text before the flags
    "6.92094E+17,1,0,0,0,1,0,,,\n"
    "690553390821199872,0,0,0,1,0,0,,,\n"
    "690548512723861505,0,0,0,,\n"
}


def test_the_table_with_texts(tmp_path: Path) -> None:
    whole = WITH_TEXT["textimage-data.csv"].splitlines(keepends=True)[:4]
    write(tmp_path, {"textimage-data.csv": "".join(whole)} | WITHOUT_TEXT, ["text-image/T689161440901607424.jpg"])
    first, second, third = read("tir", tmp_path)
    assert second.id == "689161440901607424"
    assert second.text == 'This is my "I am so done" face, really 😂'
    assert second.image == tmp_path / "text-image" / "T689161440901607424.jpg"
    assert (second.label, second.split) == ("image_notadds_text_repr", None)
    assert second.extra == {"text_is_represented": 1, "image_adds": 0}
    assert [post.label for post in (first, third)] == ["image_notadds_text_notrepr", "image_adds_text_repr"]


def test_every_class_and_the_broken_rows_of_the_table_without_texts(tmp_path: Path) -> None:
    write(tmp_path, WITHOUT_TEXT)
    kept = posts("tir", tmp_path)
    assert [post.label for post in kept] == [
        "image_notadds_text_notrepr",
        "image_adds_text_repr",
        "image_notadds_text_repr",
        "image_adds_text_notrepr",
        "image_adds_text_repr",
    ]
    assert {post.text for post in kept} == {None}
    assert refused("tir", tmp_path) == {
        "textimage.csv, line 7": "its id is no whole number",
        "textimage.csv, line 8": "its flags contradict each other",
        "textimage.csv, line 9": "malformed row",
    }


def test_what_ingest_makes_of_it(tmp_path: Path) -> None:
    write(tmp_path / "tir", WITH_TEXT, ["text-image/T745103435532427264.jpg"])
    store, quarantine = stored("tir", tmp_path / "tir", tmp_path / "store")
    assert store.ids(range(3)) == ["698197155698184192", "689161440901607424", "745103435532427264"]
    assert store.label.tolist() == [3, 2, 0]
    assert store.has_image.tolist() == [False, False, True]
    assert store.column("image_adds").tolist() == [0, 0, 1]
    assert quarantine == {
        ("698197155698184192", "image", "missing"),
        ("689161440901607424", "image", "missing"),
        ("textimage-data.csv, line 5", "post", "malformed row"),
    }


def test_each_question_by_itself(tmp_path: Path) -> None:
    write(tmp_path, WITHOUT_TEXT)
    for name, labels in {
        "tir_text": ["text_notrepr", "text_repr", "text_repr", "text_notrepr", "text_repr"],
        "tir_image": ["image_notadds", "image_adds", "image_notadds", "image_adds", "image_adds"],
    }.items():
        reader = find(name)()
        found = [post.label for post in reader.read(tmp_path, ReaderOptions()) if post.refused is None]
        assert found == labels
        assert set(labels) == set(reader.classes or ())


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"textimage-data\.csv is missing"):
        list(find("tir")().read(tmp_path, ReaderOptions()))
