"""Influencers' posts: pairs with the published split, and test posts without an image."""

from __future__ import annotations

from pathlib import Path

import pytest

from datasets.readers import ReaderOptions, find
from tests.datasets.published import posts, read, refused, stored, write

TABLES = {
    "data_key_mic.csv": "id,domain,year,month,label,split,text\n"
    '1295433508505214976,food,2020,8,1,train,"Yum, #ad"\n'
    "1330966247878496257,travel,2020,11,0,val,Home again\n"
    "895729456450588673,lifestyle,2017,8,0,test,\n"
    "11,food,2020,8,3,train,x\n"
    "12,food,2020,8,1,somewhere,x\n"
    "13,food,2020\n",
    "text_data_mic.csv": "id,label,split,text\n1112356848433315842,0,test,No picture\n14,1,test,\n",
}


def test_pairs_and_posts_of_text_alone(tmp_path: Path) -> None:
    images = ["spc_imgs_twitter/1295433508505214976_1.jpg", "spc_imgs_twitter/895729456450588673_1.jpg"]
    write(tmp_path / "m", TABLES, images)
    store, quarantine = stored("micd", tmp_path / "m", tmp_path / "store")
    assert store.classes == ("non-commercial", "commercial")
    found = store.ids(range(len(store)))
    assert found == ["1295433508505214976", "1330966247878496257", "895729456450588673", "1112356848433315842"]
    assert store.label.tolist() == [1, 0, 0, 0]
    assert store.split.tolist() == [1, 2, 3, 3]
    assert store.has_image.tolist() == [True, False, True, False]
    assert store.has_text.tolist() == [True, True, False, True]
    assert store.column("text_only").tolist() == [False, False, False, True]
    assert store.column("domain").tolist() == ["food", "travel", "lifestyle", None]
    assert quarantine == {
        ("1330966247878496257", "image", "missing"),
        ("data_key_mic.csv, line 5", "post", "unknown label '3'"),
        ("data_key_mic.csv, line 6", "post", "unknown split 'somewhere'"),
        ("data_key_mic.csv, line 7", "post", "malformed row"),
        ("14", "post", "neither text nor image"),  # published without its text
    }


def test_each_table_by_itself_and_below_data(tmp_path: Path) -> None:
    write(tmp_path, {f"data/{name}": text for name, text in TABLES.items()})
    assert [post.id for post in posts("micd", tmp_path / "data" / "text_data_mic.csv")] == ["1112356848433315842", "14"]
    assert [post.extra["text_only"] for post in posts("micd", tmp_path / "data" / "data_key_mic.csv")] == [False] * 3
    assert len(posts("micd", tmp_path)) == 5
    assert len(refused("micd", tmp_path)) == 3


def test_missing_tables_and_columns_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"data_key_mic\.csv is missing"):
        list(find("micd")().read(tmp_path, ReaderOptions()))
    write(tmp_path, {"data_key_mic.csv": "id,text\n1,x\n"})
    with pytest.raises(ValueError, match=r"data_key_mic\.csv has no column 'label'; it has: id, text"):
        read("micd", tmp_path)
