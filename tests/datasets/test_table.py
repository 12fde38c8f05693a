"""Tables of posts in every format, and what is said of those that cannot be read."""

from __future__ import annotations

import csv
import json
import warnings
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datasets.ingest import ingest
from datasets.posts import SENTIMENTS, Post
from datasets.readers import ReaderOptions
from datasets.readers.table import Table

REAL = Path(__file__).parents[3] / "shared" / "data" / "semeval_tweets"
ROWS: list[dict[str, Any]] = [
    {"id": "a", "text": 'he said "no", twice', "image": "pictures/a.jpg", "label": "Positive"},
    {"id": "b", "text": "two\nlines 😀", "image": None, "label": None},
    {"id": "7", "text": None, "image": "7.png", "label": "neutral"},
]


def write(file: Path, rows: list[dict[str, Any]]) -> Path:
    names = list(dict.fromkeys(name for row in rows for name in row))
    if file.suffix in (".csv", ".tsv"):
        with file.open("w", newline="", encoding="utf-8") as opened:
            table = csv.DictWriter(opened, names, delimiter="," if file.suffix == ".csv" else "\t")
            table.writeheader()
            table.writerows(rows)
    elif file.suffix == ".jsonl":
        file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    elif file.suffix == ".json":
        file.write_text(json.dumps(rows), encoding="utf-8")
    else:
        pa.parquet.write_table(pa.Table.from_pylist(rows), file)
    return file


def read(path: Path, **names: Any) -> list[Post]:
    return list(Table().read(path, ReaderOptions(**names)))


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".json", ".parquet"])
def test_every_format_gives_the_same_posts(suffix: str, tmp_path: Path) -> None:
    assert read(write(tmp_path / f"posts{suffix}", ROWS)) == [
        Post("a", 'he said "no", twice', tmp_path / "pictures/a.jpg", "positive"),
        Post("b", "two\nlines 😀", None, None),
        Post("7", None, tmp_path / "7.png", "neutral"),
    ]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(st.text(st.characters(exclude_categories=["C", "Z"]) | st.just(" "), max_size=12), min_size=1))
@pytest.mark.parametrize("suffix", [".csv", ".tsv"])
def test_no_text_breaks_its_row(suffix: str, texts: list[str], tmp_path: Path) -> None:
    rows = [{"id": f"p{number}", "text": text} for number, text in enumerate(texts)]
    posts = read(write(tmp_path / f"posts{suffix}", rows), label_column="")
    assert [post.id for post in posts] == [row["id"] for row in rows]
    assert [post.text for post in posts] == [text.strip() or None for text in texts]


def test_a_lone_quote_in_a_plain_tsv_is_a_quote(tmp_path: Path) -> None:
    file = tmp_path / "tweets.tsv"
    file.write_text('id\tlabel\ttext\n1\tneutral\t"RT hello\n2\tpositive\tsaid "so"\n3\tneutral\t"bye"\n')
    assert [post.text for post in read(file)] == ['"RT hello', 'said "so"', "bye"]


def test_columns_by_other_names(tmp_path: Path) -> None:
    file = write(
        tmp_path / "t.csv", [{"key": "1", "tweet": "hi", "photo": "p.jpg", "sentiment": "negative", "label": "5"}]
    )
    names = {"id_column": "key", "text_column": "tweet", "image_column": "photo", "label_column": "sentiment"}
    assert read(file, **names) == [Post("1", "hi", tmp_path / "p.jpg", "negative", extra={"label_in_table": "5"})]


def test_optional_columns(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {
            "id": 1,
            "text": "hi",
            "label": "positive",
            "text_label": "neutral",
            "image_label": "positive",
            "split": "dev",
            "group": 12,
            "paraphrase": "hello",
            "teacher_positive": 0.7,
            "teacher_negative": 0.1,
            "teacher_neutral": 0.2,
            "likes": 3,
            "tags": ["a"],
        },
        {"id": 2, "text": "ho"},
    ]
    reader = Table()
    first, second = reader.read(write(tmp_path / "t.jsonl", rows), ReaderOptions())
    assert first == Post(
        "1",
        "hi",
        label="positive",
        text_label="neutral",
        image_label="positive",
        split="validation",
        group="12",
        paraphrase="hello",
        teacher=(0.1, 0.2, 0.7),
        extra={"likes": 3, "tags": "['a']"},
    )
    assert second == Post("2", "ho", extra={"likes": None, "tags": None})
    assert reader.classes == SENTIMENTS


@pytest.mark.parametrize("numbers", [["0", "1", "2", ""], [0, 1, 2, None], [0.0, 1.0, 2.0, None]])
def test_numbers_of_three_sentiments(numbers: list[Any], tmp_path: Path) -> None:
    rows = [{"id": str(place), "text": "hi", "label": label} for place, label in enumerate(numbers)]
    for suffix in (".csv", ".parquet"):
        reader = Table()
        posts = list(reader.read(write(tmp_path / f"t{suffix}", rows), ReaderOptions()))
        assert [post.label for post in posts] == ["negative", "neutral", "positive", None]
        assert reader.classes == SENTIMENTS


@pytest.mark.parametrize("numbers", [["0", "1"], ["-1", "0", "1"], ["1", "2", "3"], ["0.5", "2"]])
def test_numbers_of_another_meaning_are_refused(numbers: list[str], tmp_path: Path) -> None:
    rows = [{"id": str(place), "text": "hi", "label": label} for place, label in enumerate(numbers)]
    with pytest.raises(ValueError, match=r"t\.csv has (the numbers|both names and numbers)"):
        read(write(tmp_path / "t.csv", rows))


def test_other_classes_by_name(tmp_path: Path) -> None:
    rows = [{"id": str(place), "text": "hi", "label": label} for place, label in enumerate(["Angry", "Bored", "Angry"])]
    reader = Table()
    posts = list(reader.read(write(tmp_path / "t.csv", rows), ReaderOptions()))
    assert [post.label for post in posts] == ["Angry", "Bored", "Angry"]
    assert reader.classes is None


def test_a_folder_of_tables_named_after_splits(tmp_path: Path) -> None:
    for name, label in (("test", "0"), ("train", "2"), ("val", "1")):
        write(tmp_path / f"{name}.tsv", [{"id": name, "text": "hi", "label": label}])
    assert [(post.id, post.split, post.label) for post in read(tmp_path)] == [
        ("train", "train", "positive"),
        ("val", "validation", "neutral"),
        ("test", "test", "negative"),
    ]


def test_images_as_bytes(tmp_path: Path) -> None:
    rows = [
        {"id": "1", "image": {"bytes": b"jpeg", "path": "1.jpg"}},
        {"id": "2", "image": {"bytes": None, "path": "2.jpg"}},
    ]
    posts = read(write(tmp_path / "t.parquet", rows), label_column="")
    assert [post.image for post in posts] == [b"jpeg", tmp_path / "2.jpg"]


def test_a_broken_row_of_parquet_is_refused_by_itself(tmp_path: Path) -> None:
    rows = [
        {"id": "1", "text": "a", "teacher_x": 0.25, "teacher_y": 0.75},
        {"id": None, "text": "b", "teacher_x": 0.25, "teacher_y": 0.75},
        {"id": "3", "text": "c", "teacher_x": 0.25, "teacher_y": None},
        {"id": "4", "text": "d", "teacher_x": 1.25, "teacher_y": 0.0},
        {"id": "5", "text": "e", "teacher_x": None, "teacher_y": None},
    ]
    posts = read(write(tmp_path / "t.parquet", rows), label_column="")
    assert [(post.id, post.refused) for post in posts] == [
        ("1", None),
        ("t.parquet, row 2", "no id"),
        ("t.parquet, row 3", "no probabilities in its teacher_ columns"),
        ("t.parquet, row 4", "no probabilities in its teacher_ columns"),
        ("5", None),
    ]
    assert [post.teacher for post in posts if not post.refused] == [(0.25, 0.75), None]
    store = ingest([(posts, None)], tmp_path / "s", ("x", "y"))
    assert store.ids([0, 1]) == ["1", "5"]
    assert "t.parquet, row 2,post,no id" in (store.path / "quarantine.csv").read_text().replace('"', "")


def test_json_keyed_by_id_and_semicolons(tmp_path: Path) -> None:
    file = tmp_path / "t.json"
    file.write_text('{"x": {"text": "hi", "label": "neutral"}}')
    assert read(file) == [Post("x", "hi", label="neutral")]
    file = tmp_path / "t.csv"
    file.write_bytes('\ufeffid;text;label\r\n1;"a;b";neutral\r\n'.encode())
    assert read(file) == [Post("1", "a;b", label="neutral")]


def test_a_table_without_labels_only_where_none_are_needed(tmp_path: Path) -> None:
    file = write(tmp_path / "t.csv", [{"id": "1", "text": "hi", "sentiment": "good"}])
    with pytest.raises(ValueError, match=r"no column 'label' .*it has: id, text, sentiment.*--label_column"):
        read(file)
    unlabelled = Post("1", "hi", extra={"sentiment": "good"})
    assert read(file, labels_needed=False) == [unlabelled]
    assert read(file, label_column="") == [unlabelled]
    assert read(file, label_column="sentiment") == [replace(unlabelled, label="good", extra={})]


@pytest.mark.parametrize(
    ("header", "names", "message"),
    [
        ("key,text,label", {}, r"no column 'id' for the id \(it has: key, text, label\): name it with --id_column"),
        ("id,tweet,label", {}, "neither a column 'text' .*it has: id, tweet, label.* --text_column and --image_column"),
        ("id,text,label", {"image_column": "photo"}, "no column 'photo' .*check --image_column"),
        ("id,image,label", {"text_column": "tweet"}, "no column 'tweet' .*check --text_column"),
        ("id,text,text,label", {}, "two columns of one name"),
        ("", {}, r"no column 'id' for the id \(it has: none\)"),
        ("id,text,label,teacher_positive", {}, "only one teacher_ column"),
    ],
)
def test_missing_columns_are_listed(header: str, names: dict[str, str], message: str, tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_text(header + "\n")
    with pytest.raises(ValueError, match=message):
        read(file, **names)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv", b"id,text,label\n1,hi\n", r"t\.csv, line 2, has 2 fields where the header has 3"),
        ("t.csv", b'id,text,label\n1,"hi,neutral\n', r"t\.csv, line 2, is no valid row .*check its quotes"),
        ("t.csv", b"id,text,label\n ,hi,neutral\n", r"t\.csv, line 2, has no id in the column 'id'"),
        (
            "t.csv",
            b"id,text,label\n ,a,x\n2,b,x\n" + b" ,c,x\n" * 9,
            r"line 2, has no id .*; .*line 4, has (.*line 7, has)",
        ),
        ("t.csv", b"id,text,label,split\n1,hi,neutral,holdout\n", "line 2, has 'holdout' as split"),
        ("t.csv", b"id,text,label\n", "has a header but no post"),
        ("t.csv", "id,text,label\n".encode("utf-16"), "is written in UTF-16"),
        ("t.csv", b"id,text,label,teacher_a,teacher_b\n1,hi,a,1,x\n", "line 2, has .* in its teacher_ columns"),
        ("t.csv", b"id,text,label,teacher_a,teacher_b\n1,hi,a,1.5,0\n", "line 2, has .* in its teacher_ columns"),
        ("t.csv", b"id,text,label,teacher_a,teacher_b\n1,hi,c,1,0\n", "teacher_ columns for a, b but labels c"),
        ("t.jsonl", b'{"id": 1}\n{"id": \n', r"t\.jsonl, line 2, is not valid JSON"),
        ("t.jsonl", b"[1]\n", r"t\.jsonl, line 1, should be one JSON object"),
        ("t.jsonl", b'{"id": 1, "text": "a", "label": ["b"]}\n', "line 1, has .*'b'.* as label"),
        ("t.json", b'{"id": 1}\n{"id": 2}\n', r"t\.json is not valid JSON .*name it \.jsonl"),
        ("t.jsonl", b'{"id": ' + b"[" * 100_000 + b"\n", "line 1, is not valid JSON"),
        ("t.json", b"[" * 100_000, r"t\.json is not valid JSON"),
        ("t.csv", b"id,text,label\n1," + b"a" * 200_000 + b",neutral\n", "a field may have 131,072 characters"),
        ("t.json", b"3", "should hold a list of objects, found a int"),
        ("t.json", b"[3]", "row 1, should be an object, found '3'"),
        ("t.parquet", b"PAR1 no, not really", "is not a Parquet file that can be read"),
        ("t.xlsx", b"", "is no table that is known"),
    ],
)
def test_bad_rows_are_named(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read(tmp_path / name)


def test_blanks_around_the_names_of_columns_do_not_matter(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_text("id, text ,label, teacher_a,teacher_b, source\n1,hi,a,0.25,0.75,x\n")
    (post,) = read(file)
    assert (post.text, post.teacher, post.extra) == ("hi", (0.25, 0.75), {"source": "x"})


def test_what_programs_write_for_no_label_is_none(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_text("id,text,label\n1,a,happy\n2,b,NA\n3,c,nan\n4,d,N/A \n5,e,null\n6,f,none\n")
    assert [post.label for post in read(file)] == ["happy", None, None, None, None, "none"]


def test_a_column_that_may_have_another_name_is_noted(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_text("id,tweet,image,label,teacher_a,teacher_b\n1,hi,,a,0.5,0.5\n")
    with pytest.warns(UserWarning, match="no column 'text', so its posts have no text; if it is one of tweet, name it"):
        read(file)
    file.write_text("id,image,label,split,group\n1,1.jpg,a,train,g\n")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read(file)


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"nothing\.csv is missing or no file"):
        read(tmp_path / "nothing.csv")
    with pytest.raises(ValueError, match="should hold one table"):
        read(tmp_path)


def test_a_column_of_texts_is_no_column_of_labels(tmp_path: Path) -> None:
    rows = [{"id": str(number), "text": f"text {number}"} for number in range(1001)]
    with pytest.raises(ValueError, match="more than 1000 different labels: is --label_column right"):
        read(write(tmp_path / "t.csv", rows), label_column="text")


@pytest.mark.skipif(not REAL.is_dir(), reason=f"the real tweets are not there: {REAL}")
def test_real_tweets_have_the_published_counts() -> None:
    counts = Counter(post.label for post in read(REAL / "test.tsv"))
    assert counts == {"neutral": 5937, "negative": 3972, "positive": 2375}
