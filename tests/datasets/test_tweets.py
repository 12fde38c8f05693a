"""Crawls of tweets in both layouts: what is kept, what is refused, and one post a photo."""

from __future__ import annotations

import gzip
import json
import tracemalloc
import zlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from datasets import readers
from datasets.ingest import ingest, open_source
from datasets.options import CrawlOptions, DataOptions
from datasets.posts import Post
from datasets.readers import ReaderOptions, twitter_v2
from datasets.text_predictions import FILE, TextPredictions
from datasets.tweets import TweetRules, is_inside

TEXT = "what a lovely day it is"


def api(number: int, text: str = TEXT, photos: int = 1, lang: str = "en", **data) -> dict:
    identifier = str(1_531_700_000_000_000_000 + number)
    media = [{"media_key": f"3_{number}{place}", "type": "photo"} for place in range(photos)]
    media.insert(0, {"media_key": f"7_{number}", "type": "video"})
    keys = [item["media_key"] for item in media]
    tweet = {"id": identifier, "text": text, "lang": lang, "attachments": {"media_keys": keys}, **data}
    return {"data": tweet, "includes": {"media": media}}


def crawl(folder: Path, *lines: object, name: str = "tweets.jsonl") -> Path:
    folder.mkdir(exist_ok=True)
    words = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    (folder / name).write_text("\n".join(words) + "\n")
    return folder


def read(path: Path, **rules) -> list[Post]:
    layout = readers.recognise(path)
    return list(layout().read(path, ReaderOptions(crawl=CrawlOptions(**rules))))


def test_the_rules_of_the_published_dataset(capsys, tmp_path):
    lines = [
        api(1),
        api(2, lang="it"),
        api(3, referenced_tweets=[{"type": "retweeted", "id": "1"}]),
        api(4, referenced_tweets=[{"type": "quoted", "id": "1"}]),
        api(5, text="five words are too few"),
        api(6, text="with a link http://t.co"),  # http, t and co are words
        api(7, photos=0),
        api(8, text="short", note_tweet={"text": TEXT + " and it goes on"}),
    ]
    folder = crawl(tmp_path / "c", *lines)
    assert [post.id[-3:] for post in read(folder)] == ["1-0", "6-0", "8-0"]
    said = capsys.readouterr().out
    assert "3 tweets kept; left out: 1 not in --tweet_language en, 2 retweets, quotes and replies, 1 under" in said
    assert "1 without a photo" in said
    everything = read(folder, tweet_language="", min_words=0, original_tweets=False, photos_only=False)
    assert len(everything) == len(lines)
    assert everything[6] == Post(
        "1531700000000000007",
        TEXT,
        group="1531700000000000007",
        extra={"tweet": "1531700000000000007", "path": None},
    )
    assert everything[7].text == TEXT + " and it goes on"


def test_every_photo_is_a_post_and_is_found_by_tweet_or_by_media_key(tmp_path):
    folder = crawl(tmp_path / "c", api(1, photos=3))
    (folder / "15317").mkdir()
    usual, by_key = folder / "15317" / "1531700000000000001-0.jpg", folder / "3_11.png"
    for file in (usual, by_key):
        file.write_bytes(b"image")
    posts = read(folder)
    assert [post.image for post in posts] == [usual, by_key, folder / "15317" / "1531700000000000001-2.jpg"]
    assert [post.extra["path"] for post in posts] == [f"15317/1531700000000000001-{place}.jpg" for place in range(3)]
    assert {(post.text, post.group, post.extra["tweet"]) for post in posts} == {(TEXT, *["1531700000000000001"] * 2)}


def test_broken_records_are_refused_with_a_reason(tmp_path, monkeypatch):
    monkeypatch.setattr(twitter_v2, "MAX_LINE", 1000)
    good = json.dumps(api(1))
    lines = [
        good[:50],
        '{"errors": []}',
        "[1]",
        "",
        api(2, text=None),
        {"data": {"id": "../../etc/passwd", "text": TEXT}},
        {"data": "text"},
        "[" * 990 + "]",
        "x" * 5000,
        {"data": [api(3)["data"], api(4)["data"]], "includes": {"media": api(4)["includes"]["media"]}},
        good,
    ]
    posts = read(crawl(tmp_path / "c", *lines))
    assert [(post.id.split(" ")[-1], post.refused) for post in posts if post.refused] == [
        ("1", "malformed JSON"),
        ("2", "no tweet in it"),
        ("3", "no tweet in it"),
        ("5", "malformed tweet"),
        ("6", "malformed tweet"),
        ("7", "no tweet in it"),
        ("8", "malformed JSON"),
        ("9", "line too long"),
    ]
    assert [post.id[-3:] for post in posts if not post.refused] == ["4-0", "1-0"]


def test_packed_files_and_one_cut_short(tmp_path):
    lines = b"".join(json.dumps(api(number)).encode() + b"\n" for number in range(500))
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(lines))
    packed = gzip.compress(np.random.default_rng(0).bytes(20).hex().encode() + b"\n" + lines)
    (tmp_path / "b.jsonl.gz").write_bytes(packed[: len(packed) // 2])
    posts = read(tmp_path)
    refused = [post for post in posts if post.refused]
    assert [post.refused for post in refused] == ["malformed JSON", "cannot be read on (EOFError)"]
    assert 500 < len(posts) - len(refused) < 1000


def test_a_packed_file_that_is_damaged_within_is_refused_from_there_on(tmp_path):
    lines = b"".join(json.dumps(api(number)).encode() + b"\n" for number in range(400))
    packer = zlib.compressobj(wbits=31)
    packed = packer.compress(lines) + packer.flush(zlib.Z_FULL_FLUSH)
    (tmp_path / "a.jsonl.gz").write_bytes(packed + b"\xff" * 40)  # a block of a kind that there is not
    (tmp_path / "b.jsonl").write_text(json.dumps(api(900)) + "\n")
    *posts, refused, last = read(tmp_path)
    assert refused.refused == "cannot be read on (error)"
    assert last.id == "1531700000000000900-0"
    assert 10 < len(posts) <= 400
    assert not twitter_v2.TwitterV2.recognises(write_bytes(tmp_path / "c.jsonl.gz", packed[:10] + b"\xff" * 40))


def write_bytes(file: Path, content: bytes) -> Path:
    file.write_bytes(content)
    return file


@pytest.mark.parametrize("broken", [{"type": "photo"}, "3_21", {"media_key": ["3_21"], "type": "photo"}, None])
def test_a_broken_medium_costs_only_the_tweets_that_refer_to_it(broken, tmp_path):
    first, second = api(1), api(2)
    media = [*first["includes"]["media"], second["includes"]["media"][0], broken]
    folder = crawl(tmp_path / "c", {"data": [first["data"], second["data"]], "includes": {"media": media}})
    assert [(post.id, post.refused) for post in read(folder)] == [("1531700000000000001-0", None)]
    assert [post.id[-3:] for post in read(folder, photos_only=False)] == ["1-0", "002"]
    for includes in (None, [], {"media": None}):
        folder = crawl(tmp_path / "c", {"data": [first["data"]], "includes": includes})
        assert [post.id[-3:] for post in read(folder, photos_only=False)] == ["001"]


def test_memory_does_not_grow_with_the_crawl(tmp_path):
    def peak(count: int) -> int:
        folder = crawl(tmp_path / str(count), *[api(number) for number in range(count)])
        tracemalloc.start()
        posts = twitter_v2.TwitterV2().read(folder, ReaderOptions())
        assert sum(1 for _ in posts) == count
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    few = peak(500)
    assert peak(4000) < few + 50_000


def tables(folder: Path) -> Path:
    folder.mkdir()
    (folder / "raw_tweets_text.csv").write_text(
        f'id,text\n10000000002,"two\nlines, and a ""quote"" in six words"\n10000000001,{TEXT}\n10000000003,short\n'
        f"broken\n10000000001,an answer that comes too late again\n10000000004,{TEXT} 😀\n"
    )
    (folder / "all_imgs.csv").write_text(
        "id_tweet,path\n10000000001,10000/10000000001-0.jpg\n10000000001,10000/10000000001-1.jpg\n"
        "10000000003,10000/10000000003-0.jpg\n10000000009,10000/10000000009-0.jpg\n10000000002,../secret.jpg\n"
        "10000000002,/etc/secret.jpg\nbroken\n\n10000000002,10000/10000000002-0.jpg\n"
    )
    (folder / FILE).write_text("TWID,NEG,NEU,POS\n10000000001,0.1,0.2,0.7\n10000000002,-1,-1,-1\n10000000001,1,0,0\n")
    return folder


def test_the_tables_of_the_authors(tmp_path, capsys):
    folder = tables(tmp_path / "c")
    posts = read(folder)
    kept = [post for post in posts if not post.refused]
    quoted = 'two\nlines, and a "quote" in six words'
    assert [(post.id, post.text) for post in kept] == [
        ("10000000001-0", TEXT),
        ("10000000001-1", TEXT),
        ("10000000002-0", quoted),
    ]
    assert kept[0].teacher == pytest.approx((0.1, 0.2, 0.7))
    assert kept[2].teacher is None
    assert kept[1].image == folder / "10000" / "10000000001-1.jpg"
    assert kept[1].extra == {"tweet": "10000000001", "path": "10000/10000000001-1.jpg"}
    assert Counter(post.refused for post in posts if post.refused) == {
        "malformed row": 2,
        "its tweet has no text": 1,
        "unsafe path": 2,
    }
    assert "2 tweets kept; left out: 1 under --min_words 6, 1 without a photo" in capsys.readouterr().out
    texts = [post for post in read(folder, photos_only=False) if post.image is None and not post.refused]
    assert [(post.id, post.text) for post in texts] == [("10000000004", TEXT + " 😀")]


def test_a_missing_table_or_header_is_named(tmp_path):
    folder = tables(tmp_path / "c")
    (folder / "all_imgs.csv").write_text("tweet,file\n")
    with pytest.raises(ValueError, match=r"all_imgs\.csv should have the header id_tweet,path, found 'tweet,file'"):
        read(folder)
    (folder / "all_imgs.csv").unlink()
    with pytest.raises(ValueError, match=r"all_imgs\.csv is missing"):
        list(readers.find("t4sa_crawl")().read(folder, ReaderOptions()))
    with pytest.raises(ValueError, match="holds no file of tweets"):
        list(readers.find("twitter_v2")().read(folder, ReaderOptions()))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("TWID,NEG,NEU\n1,0,1\n", r"p\.csv is no table .* columns TWID,NEG,NEU,POS"),
        ("TWID,NEG,NEU,POS\n1,,,\n\n1,0,x,1\n", r"p\.csv, line 4, is no table .* invalid value 'x'"),
        ("TWID,NEG,NEU,POS\n1,0,1\n", r"p\.csv, line 2, is no table .* got 3"),
        ("TWID,NEG,NEU,POS\n1,,,\n\n1,0,2,1\n", r"p\.csv, line 4, holds numbers that are no .* \[0\.0, 2\.0, 1\.0\]"),
        ("TWID,NEG,NEU,POS\n1,-1,0.5,0.5\n", r"p\.csv, line 2, holds numbers"),
        ("TWID,NEG,NEU,POS\n1,inf,0,0\n", r"p\.csv, line 2, holds numbers"),
        ("", r"p\.csv is no table"),
        ("TWID,NEG,NEU,POS\n", r"p\.csv holds no prediction"),
    ],
)
def test_predictions_that_cannot_be_read(content, message, tmp_path):
    (tmp_path / "p.csv").write_text(content)
    with pytest.raises(ValueError, match=message):
        TextPredictions(tmp_path / "p.csv")


def test_predictions_are_found_by_tweet(tmp_path):
    (tmp_path / "p.csv").write_text("TWID,NEG,NEU,POS\n9,0.5,0.25,0.25\n3,-1,-1,-1\n5,0,0,1\n9,1,0,0\n")
    predictions = TextPredictions(tmp_path / "p.csv")
    assert len(predictions) == 3
    found = predictions.of(np.array([5, 3, 9, 1, 100]))
    assert found.tolist() == [[0, 0, 1], [0, 0, 0], [0.5, 0.25, 0.25], [0, 0, 0], [0, 0, 0]]


def test_blank_rows_of_predictions_are_dropped_and_counted(tmp_path, capsys):
    rows = ["1,0.5,0.25,0.25", "2,,,", "3,nan,NaN,nan", ",1,0,0", "4,0.5,,0.5", "5,-1,-1,-1", "", "6,0,0,1"]
    (tmp_path / "p.csv").write_text("TWID,NEG,NEU,POS\n" + "\n".join(rows) + "\n")
    predictions = TextPredictions(tmp_path / "p.csv")
    assert "p.csv: 4 of 7 rows are dropped, because they have a blank or NaN" in capsys.readouterr().out
    assert len(predictions) == 2
    assert predictions.of(np.arange(7)).sum(1).tolist() == [0, 1, 0, 0, 0, 0, 1]


def test_unsafe_paths():
    assert [path for path in ("a/b.jpg", "a..b.jpg", "./a") if not is_inside(path)] == []
    unsafe = ("/a", "../a", "a/../../b", "..\\a", "C:/a", "\\a", "", " ", ".", "./")
    assert [path for path in unsafe if is_inside(path)] == []


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        (
            {"min_words": 3},
            r"--min_words 3 is a rule .* --dataset table does not know, by which .*p\.csv is read: leave",
        ),
        ({"tweet_language": ""}, "--tweet_language '' is a rule .* --dataset table"),
        ({"photos_only": False}, r"--no_photos_only is a rule .* \(rules that it knows: none\)"),
    ],
)
def test_a_rule_that_a_reader_does_not_know_is_refused(rules, message, tmp_path):
    (tmp_path / "p.csv").write_text("id,text,label\n1,a,neutral\n")
    posts, _ = open_source(tmp_path / "p.csv", DataOptions(), crawl=CrawlOptions())
    assert len(list(posts)) == 1
    with pytest.raises(ValueError, match=message):
        open_source(tmp_path / "p.csv", DataOptions(), crawl=CrawlOptions(**rules))


def test_crawls_and_stores_are_asked_for_their_own_rules(tmp_path):
    everything = CrawlOptions(tweet_language="", min_words=0, original_tweets=False, photos_only=False)
    posts, _ = open_source(crawl(tmp_path / "c", api(1, lang="it", photos=0)), DataOptions(), crawl=everything)
    assert len(list(posts)) == 1
    folder = tables(tmp_path / "t")
    with pytest.raises(ValueError, match=r"--no_original_tweets .* t4sa_crawl .* knows: --min_words, --photos_only\)"):
        open_source(folder, DataOptions(), crawl=CrawlOptions(min_words=0, original_tweets=False))
    open_source(folder, DataOptions(), crawl=CrawlOptions(min_words=0, photos_only=False))
    store = ingest([([Post("1", "a")], None)], tmp_path / "s")
    with pytest.raises(ValueError, match=r"--min_words 0 is a rule .* --dataset store does not"):
        open_source(store.path, DataOptions(), crawl=CrawlOptions(min_words=0))


def test_rules_are_checked():
    with pytest.raises(ValueError, match="--min_words -1 must be 0 or more"):
        CrawlOptions(min_words=-1)
    assert str(TweetRules(CrawlOptions())) == "0 tweets kept; left out: none"
