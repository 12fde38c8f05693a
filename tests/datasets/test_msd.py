"""Sarcasm: the first set with its words that give the hashtag away, and the corrected one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from datasets.readers import ReaderOptions, find
from tests.datasets.published import posts, read, refused, stored, write

MSD = {
    "text/train.txt": """\
['910308516510011393', 'most # funny quotes # lol ... <url> …', 1]
['840006160660983809', '<user> thanks for showing up for our appointment today . ', 1]
['713', "it 's irony", 1]
['714', "an ironyclad joke ! \\n emoji_15", 0]
['715', "sarcasms , ironically told", 0]
['716', 'no label']
['717', 'not a list', 1
['../718', 'a way out', 0]
['719', 'another label', 7]
""",
    "text/valid2.txt": "['862902619928506372', 'i am guessing', 1, 0]\n['8', 'not # sarcastic at all', 1, 1]\n\n",
    "text/test2.txt": "['892551658487631873', \"it 's insensitive\", 1, 1]\n['9', 'one label only', 1]\n",
}


def test_the_human_label_counts_and_give_aways_are_left_out(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    write(tmp_path, MSD)
    kept = {post.id: post for post in posts("msd", tmp_path)}
    assert {name: (post.label, post.split) for name, post in kept.items()} == {
        "840006160660983809": ("sarcastic", "train"),
        "715": ("not sarcastic", "train"),  # words are what blanks cut, so neither counts
        "862902619928506372": ("not sarcastic", "validation"),
        "892551658487631873": ("sarcastic", "test"),
    }
    assert kept["862902619928506372"].extra == {"hashtag_label": "sarcastic"}
    assert kept["840006160660983809"].text == "<user> thanks for showing up for our appointment today ."
    assert "4 tweets left out" in capsys.readouterr().out
    assert refused("msd", tmp_path) == {
        "train.txt, line 6": "malformed row",
        "train.txt, line 7": "malformed row",
        "train.txt, line 8": "malformed row",
        "train.txt, line 9": "unknown label '7'",
        "test2.txt, line 2": "malformed row",
    }


def test_code_in_a_line_is_not_run(tmp_path: Path) -> None:
    wicked = "[str(__import__('pathlib').Path('run').write_text('x')), 'text', 1]\n"
    write(tmp_path, MSD | {"text/train.txt": wicked})
    assert refused("msd", tmp_path)["train.txt, line 1"] == "malformed row"


def test_the_images_lie_beside_the_texts(tmp_path: Path) -> None:
    write(tmp_path / "msd", MSD, ["dataset_image/715.jpg", "dataset_image/862902619928506372.png"])
    assert posts("msd", tmp_path / "msd" / "text") == posts("msd", tmp_path / "msd")
    store, quarantine = stored("msd", tmp_path / "msd", tmp_path / "store")
    assert store.classes == ("not sarcastic", "sarcastic")
    assert store.label.tolist() == [1, 0, 0, 1]
    assert store.split.tolist() == [1, 1, 2, 3]
    assert store.has_image.tolist() == [False, True, True, False]
    assert {("840006160660983809", "image", "missing"), ("train.txt, line 6", "post", "malformed row")} < quarantine


def test_the_corrected_set(tmp_path: Path) -> None:
    row = {"image_id": 862902619928506372, "text": "a good day", "label": 1}
    lists = {
        "train": [row, {"image_id": 3, "text": "x", "label": 2}, "row", {"text": "no id", "label": 0}],
        "valid": [{"image_id": 4, "text": "", "label": 0}],
        "test": [{"image_id": 5, "text": "y", "label": None}],
    }
    final = {f"data/text_json_final/{name}.json": json.dumps(rows) for name, rows in lists.items()}
    clean = {f"data/text_json_clean/{name}.json": json.dumps([row]) for name in lists}
    write(tmp_path / "m", final | clean, ["data/dataset_image/4.jpg"])
    for path in (tmp_path / "m", tmp_path / "m" / "data", tmp_path / "m" / "data" / "text_json_final"):
        kept = read("mmsd2", path)
        assert [post.image for post in kept if post.id == "4"] == [tmp_path / "m" / "data" / "dataset_image" / "4.jpg"]
    assert [(post.id, post.text, post.label, post.split) for post in posts("mmsd2", tmp_path / "m")] == [
        ("862902619928506372", "a good day", "sarcastic", "train"),
        ("4", None, "not sarcastic", "validation"),
        ("5", "y", None, "test"),
    ]
    assert refused("mmsd2", tmp_path / "m") == {
        "train.json, row 2": "unknown label '2'",
        "train.json, row 3": "malformed row",
        "train.json, row 4": "no image_id",
    }
    assert len(read("mmsd2", tmp_path / "m" / "data" / "text_json_clean")) == 3
    store, quarantine = stored("mmsd2", tmp_path / "m", tmp_path / "store")
    assert store.has_image.tolist() == [False, True, False]
    assert ("862902619928506372", "image", "missing") in quarantine


@pytest.mark.parametrize(("name", "message"), [("msd", "text/train.txt is missing"), ("mmsd2", "text_json_final is")])
def test_missing_files_are_named(name: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        list(find(name)().read(tmp_path, ReaderOptions()))


def test_a_file_that_holds_no_list_is_named(tmp_path: Path) -> None:
    files = {f"text_json_final/{name}.json": "[]" for name in ("train", "valid", "test")}
    for content, message in (("{}", "should hold a list of posts, found a dict"), ("[", "is not valid JSON")):
        write(tmp_path, files | {"text_json_final/valid.json": content})
        with pytest.raises(ValueError, match=rf"valid\.json {message}"):
            read("mmsd2", tmp_path)
