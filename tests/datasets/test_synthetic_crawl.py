"""The synthetic crawl: the same each time, read by both readers, and its truth is true."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from datasets.ingest import ingest, open_source
from datasets.options import DataOptions
from datasets.store import PostStore
from datasets.synthetic_crawl import SyntheticCrawlOptions
from datasets.text_predictions import FILE, TextPredictions
from scripts.make_crawl import MakeCrawlOptions, main


def write(folder: Path, **options) -> Path:
    main(
        MakeCrawlOptions(folder, SyntheticCrawlOptions(tweets=150, pictures=20, picture_size=32, broken=0.1, **options))
    )
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def read(folder: Path, store: Path) -> PostStore:
    posts, classes = open_source(folder, DataOptions())
    return ingest([(posts, None)], store, classes)


@pytest.fixture(scope="module")
def crawls(tmp_path_factory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("crawls")
    return write(root / "lines"), write(root / "tables", layout="t4sa_crawl")


def test_it_is_the_same_each_time_and_another_with_another_seed(crawls, tmp_path):
    again, other = write(tmp_path / "again"), write(tmp_path / "other", crawl_seed=1)
    assert contents(again) == contents(crawls[0])
    assert set(contents(again)) != set(contents(other))
    with pytest.raises(ValueError, match="is there already"):
        write(tmp_path / "again")


def test_both_layouts_are_read_and_what_is_broken_is_told(crawls, tmp_path, capsys):
    lines, tables = (read(folder, tmp_path / folder.name) for folder in crawls)
    said = capsys.readouterr().out
    for reason in ("malformed JSON", "no tweet in it", "malformed row", "image (html)", "image (truncated)"):
        assert reason in said
    for reason in ("not in --tweet_language en", "retweets, quotes and replies", "under --min_words 6"):
        assert reason in said
    assert 80 < len(lines) < 220
    assert lines.teacher is None
    assert tables.teacher is not None
    texts = dict(zip(lines.ids(range(len(lines))), lines.texts(range(len(lines))), strict=True))
    same = [row for row, name in enumerate(tables.ids(range(len(tables)))) if name in texts]
    assert len(same) > 80
    assert tables.texts(same) == [texts[name] for name in tables.ids(same)]
    predictions = TextPredictions(crawls[1] / FILE)
    found = predictions.of(np.array([int(tweet) for tweet in tables.strings("tweet", range(len(tables)))]))
    assert np.array_equal(found, tables.teacher)


def test_photos_of_one_picture_are_equal_unless_changed(crawls):
    with (crawls[0] / "truth.csv").open() as file:
        photos = list(csv.DictReader(file))
    by_picture: dict[str, set[bytes]] = {}
    for photo in photos:
        content = (crawls[0] / photo["path"]).read_bytes()
        if photo["changed"] == "0" and content.endswith(b"\xff\xd9"):
            by_picture.setdefault(photo["picture"], set()).add(content)
    assert len(by_picture) > 10
    assert all(len(files) == 1 for files in by_picture.values())
    assert len(set.union(*by_picture.values())) == len(by_picture)
    assert 0.2 < np.mean([photo["changed"] == "1" for photo in photos]) < 0.4


@pytest.mark.parametrize(("name", "value"), [("tweets", 0), ("broken", 1.5), ("left_out", -0.1), ("picture_size", 16)])
def test_wrong_options_are_named(name, value):
    with pytest.raises(ValueError, match=f"--{name} {value}"):
        SyntheticCrawlOptions(**{name: value})
