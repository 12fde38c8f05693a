"""Multimodal hate: the authors' tables in both forms, the tweet and the text in its image kept apart."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from datasets.posts import Post
from datasets.readers import ReaderOptions, find
from tests.datasets.published import posts, read, refused, stored, write

HEADER = ",image_number,tweet_text,img_text,Primary_numeric_gt\n"
PARTS = {
    "Train/dog_whistle_train.csv": HEADER + "0,1061622575963521024,look at @this https://t.co/a,BEFORE AFTER,1\n"
    '1,1054533554032435200,"a tweet, no text in its image",,0.0\n2,3,x,y,4\n3,four,x,y,0\n4,5,x\n',
    "Validation/dog_whistle_dev.csv": HEADER + "0,1045664997588766720,counter,,2\n",
    "Test/dog_whistle_test.csv": HEADER + "0,'1108892807018758144,ours,again,3\n",
}
WHOLE = {
    "DataSplits.csv": ",Train IDs,Dev IDs,Test IDs\n0,11,12,13\n1,14,,\n",
    "Final_Dog_Whistle_5k.csv": "Tweet ID,Primary_numeric_gt\n11,0\n12,1\n'13,2\n14,3\n15,0\n",
    "MMHS150K_GT.json": json.dumps({name: {"tweet_text": f"tweet {name}"} for name in ("11", "12", "14")}),
    "img_txt/11.json": json.dumps({"img_text": "SIGN"}),
    "img_txt/14.json": "{",
}


def test_a_table_for_each_split(tmp_path: Path) -> None:
    images = ["Images/1061622575963521024.jpg", "Images/1108892807018758144.jpg"]
    write(tmp_path / "m", PARTS, images)
    first = read("mhp", tmp_path / "m")[0]
    assert first == Post(
        "1061622575963521024",
        text="look at @this https://t.co/a | BEFORE AFTER",
        image=tmp_path / "m" / images[0],
        label="hateful",
        split="train",
    )
    store, quarantine = stored("mhp", tmp_path / "m", tmp_path / "store")
    assert store.texts(range(1, 4)) == ["a tweet, no text in its image", "counter", "ours | again"]
    assert store.classes == ("none", "hateful", "counter-speech", "reclaimed")
    assert store.label.tolist() == [1, 0, 2, 3]
    assert store.split.tolist() == [1, 1, 2, 3]
    assert store.has_image.tolist() == [True, False, False, True]
    assert quarantine == {
        ("1054533554032435200", "image", "missing"),
        ("1045664997588766720", "image", "missing"),
        ("dog_whistle_train.csv, line 4", "post", "unknown label '4'"),
        ("dog_whistle_train.csv, line 5", "post", "its id is no whole number"),
        ("dog_whistle_train.csv, line 6", "post", "malformed row"),
    }


def test_one_table_with_the_list_of_splits_and_the_texts_of_mmhs150k(tmp_path: Path) -> None:
    write(tmp_path, WHOLE, ["img_resized/12.jpg"])
    assert [(post.id, post.text, post.label, post.split) for post in posts("mhp", tmp_path)] == [
        ("11", "tweet 11 | SIGN", "none", "train"),
        ("12", "tweet 12", "hateful", "validation"),
        ("13", None, "counter-speech", "test"),
    ]
    assert posts("mhp", tmp_path)[1].image == tmp_path / "img_resized" / "12.jpg"
    assert refused("mhp", tmp_path) == {
        "Final_Dog_Whistle_5k.csv, line 5": "malformed OCR text",
        "Final_Dog_Whistle_5k.csv, line 6": "in no split of DataSplits.csv",
    }


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, r"Final_Dog_Whistle_5k\.csv is missing"),
        ({"data/Final_Dog_Whistle_5k.pkl": ""}, r"Final_Dog_Whistle_5k\.pkl is a pickle, which may run any code"),
        ({"Final_Dog_Whistle_5k.csv": "id\n"}, r"DataSplits\.csv is missing"),
        ({"Train/dog_whistle_train.csv": HEADER}, r"dog_whistle_dev\.csv is missing"),
        (WHOLE | {"MMHS150K_GT.json": "["}, r"MMHS150K_GT\.json is not valid JSON"),
        (WHOLE | {"MMHS150K_GT.json": "[]"}, r"MMHS150K_GT\.json should hold one JSON object, found a list"),
        (WHOLE | {"Final_Dog_Whistle_5k.csv": "Tweet ID\n1\n"}, "has no column 'Primary_numeric_gt'; it has: Tweet ID"),
    ],
)
def test_missing_files_and_columns_are_named(files: dict[str, str], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        list(find("mhp")().read(write(tmp_path, files), ReaderOptions()))
