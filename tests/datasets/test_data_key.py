"""The tables of the auxiliary-losses system, each with its images, and their numbers read as the classes they mean."""

from __future__ import annotations

from pathlib import Path

import pytest

from datasets.posts import SENTIMENTS
from datasets.readers import ReaderOptions, find
from tests.datasets.published import posts, refused, stored, write

RELATIONS = (
    "index,tweet_id,user_id,text,text_is_represented,image_adds,image_adds_text_repr,image_adds_text_notrepr,"
    "image_notadds_text_repr,image_notadds_text_notrepr,split\n"
    "0,11,1,the cake itself,1,1,1,0,0,0,train\n"
    "1,12,1,a thought,0,0,0,0,0,1,val\n"
    "2,13,1,my cat,1,0,0,0,1,0,test\n"
    "3,14,1,nothing,1,0,0,0,0,0,test\n"
)
MVSA = (
    "tweet_id,text,label,split\n"
    "1,\"b'RT @a: caf\\xc3\\xa9'\",1,train\n"
    "2,plain,0,val\n"
    "3,sad,2,test\n"
    "4,b'not bytes,2,test\n"
    "5,x,3,test\n"
)
MICD = {
    "data_key_mic.csv": "id,text,label,split\n21,Yum,1,train\n22,Home,0,test\n",
    "text_data_mic.csv": "id,text,label\n23,No picture,0\n",
    "data_key_msd.csv": "tweet_id,text,label,split,label_auto\n31,great,1,train,1\n",
    "data_key_mhp.csv": "tweet_id,text,label,split\n41,x,2,val\n",
}


def test_sentiments_by_number_and_texts_that_are_bytes(tmp_path: Path) -> None:
    write(tmp_path, {"data_key_mvsa.csv": MVSA}, ["MVSA-Single/data/1.jpg", "MVSA-Single/data/2.png"])
    store, quarantine = stored("data_key", tmp_path / "data_key_mvsa.csv", tmp_path / "store")
    assert store.classes == ("negative", "neutral", "positive")  # the house's order, not that of the table's numbers
    assert store.label.tolist() == [2, 1, 0, 0]
    assert store.split.tolist() == [1, 2, 3, 3]
    assert store.texts(range(4)) == ["RT @a: café", "plain", "sad", "b'not bytes"]
    assert store.has_image.tolist() == [True, True, False, False]
    assert ("data_key_mvsa.csv, line 6", "post", "unknown label '3'") in quarantine


def test_its_sentiments_are_those_of_the_data_set_as_its_authors_publish_it(tmp_path: Path) -> None:
    """So a model trained on one is tested on the other."""
    path = write(tmp_path, {"data_key_mvsa.csv": MVSA}) / "data_key_mvsa.csv"
    table, folder = find("data_key")(), find("mvsa_single")()
    table.read(path, ReaderOptions())
    assert table.classes == folder.classes == SENTIMENTS


def test_relations_by_both_questions_or_by_one(tmp_path: Path) -> None:
    path = write(tmp_path, {"data_key_imgtxt_random.csv": RELATIONS}) / "data_key_imgtxt_random.csv"
    found = posts("data_key", path)
    assert [post.label for post in found] == [
        "image_adds_text_repr", "image_notadds_text_notrepr", "image_notadds_text_repr",
    ]  # fmt: skip
    assert found[0].image == tmp_path / "text-image" / "T11.jpg"
    assert refused("data_key", path) == {"data_key_imgtxt_random.csv, line 5": "not one flag is 1"}
    for column, expected in (
        ("text_is_represented", ["text_repr", "text_notrepr", "text_repr", "text_repr"]),
        ("image_adds", ["image_adds", "image_notadds", "image_notadds", "image_notadds"]),
    ):
        reader = find("data_key")()
        assert [post.label for post in reader.read(path, ReaderOptions(label_column=column))] == expected
        assert reader.classes is not None and set(expected) == set(reader.classes)


def test_other_tables_and_posts_of_text_alone(tmp_path: Path) -> None:
    write(tmp_path, MICD)
    reader = find("data_key")()
    found = list(reader.read(tmp_path / "data_key_mic.csv", ReaderOptions()))
    assert [(post.id, post.label, post.split, post.extra["text_only"]) for post in found] == [
        ("21", "commercial", "train", False), ("22", "non-commercial", "test", False),
        ("23", "non-commercial", "test", True),
    ]  # fmt: skip
    assert [post.image for post in found] == [tmp_path / "MIC/spc_imgs_twitter" / f"{n}_1.jpg" for n in (21, 22)] + [
        None
    ]
    (sarcasm,) = posts("data_key", tmp_path / "data_key_msd.csv")
    assert (sarcasm.label, sarcasm.image) == ("sarcastic", tmp_path / "MSD/dataset_image/31.jpg")
    (hate,) = posts("data_key", tmp_path / "data_key_mhp.csv")
    assert (hate.label, hate.split) == ("counter-speech", "validation")
    assert hate.image == tmp_path / "MHP/Data/Images/41.jpg"


def test_another_table_is_refused(tmp_path: Path) -> None:
    write(tmp_path, {"data_key_other.csv": MVSA, "data_key_mvsa.csv": "tweet_id,label\n"})
    with pytest.raises(ValueError, match=r"none of the tables that are known: data_key_imgtxt_random\.csv"):
        find("data_key")().read(tmp_path / "data_key_other.csv", ReaderOptions())
    with pytest.raises(ValueError, match="has no column 'text'"):
        list(find("data_key")().read(tmp_path / "data_key_mvsa.csv", ReaderOptions()))
