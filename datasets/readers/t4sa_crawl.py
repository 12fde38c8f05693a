"""The crawl of T4SA 2.0 as its authors keep it: raw_tweets_text.csv, all_imgs.csv and the photos.

Serra et al., The Emotions of the Crowd, ECAI 2023. Where the teacher's t4sa2.0_text_prediction_final.csv lies beside,
its probabilities go with every photo of the tweet.
"""

from __future__ import annotations

import csv
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np

from datasets.posts import SENTIMENTS, Post
from datasets.readers.base import Reader, ReaderOptions, require_folder
from datasets.text import decode_text
from datasets.text_predictions import FILE, TextPredictions
from datasets.tweets import TweetRules, is_inside, tweet_posts

TEXTS, IMAGES = "raw_tweets_text.csv", "all_imgs.csv"


class _Rows:
    """Rows of a CSV with two columns from the file's present place on, and where each one starts."""

    def __init__(self, raw: IO[bytes]) -> None:
        self._raw = raw
        self._place = raw.tell()
        self._table = csv.reader(self._lines())

    def _lines(self) -> Iterator[str]:
        for line in self._raw:
            self._place += len(line)
            yield decode_text(line)

    def __iter__(self) -> Iterator[tuple[int, list[str]]]:
        while True:
            start = self._place
            try:
                yield start, next(self._table)
            except StopIteration:
                return
            except csv.Error:
                yield start, [""]


class _Texts:
    """The texts of raw_tweets_text.csv by tweet id: in memory are an id and a place in the file, 16 bytes a tweet."""

    def __init__(self, file: Path) -> None:
        ids, places = array("q"), array("q")
        self.broken: list[int] = []
        with file.open("rb") as raw:
            rows = iter(_Rows(raw))
            _require_header(file, next(rows, (0, []))[1], ["id", "text"])
            for place, cells in rows:
                if len(cells) == 2 and _is_id(cells[0]):
                    ids.append(int(cells[0]))
                    places.append(place)
                elif cells:
                    self.broken.append(place)
        order = np.argsort(np.frombuffer(ids, np.int64), kind="stable") if ids else np.zeros(0, np.int64)
        self.ids = np.frombuffer(ids, np.int64)[order] if ids else np.zeros(0, np.int64)
        self._places = np.frombuffer(places, np.int64)[order] if ids else np.zeros(0, np.int64)
        self._raw = file.open("rb")

    def find(self, tweet: int) -> int | None:
        """Position of the tweet among `ids`, of equal ones the first in the file; None where it has no text."""
        position = int(np.searchsorted(self.ids, tweet))
        return position if position < len(self.ids) and self.ids[position] == tweet else None

    def text(self, position: int) -> str:
        """The text of the tweet at a position."""
        self._raw.seek(int(self._places[position]))
        return next(iter(_Rows(self._raw)))[1][1]

    def close(self) -> None:
        """Close the file."""
        self._raw.close()


def _is_id(cell: str) -> bool:
    """Whether it is a number that 63 bits hold."""
    return cell.isascii() and cell.isdigit() and len(cell) <= 19 and int(cell) < 1 << 63


def _require_header(file: Path, found: list[str], wanted: list[str]) -> None:
    if [name.strip().removeprefix("\ufeff") for name in found] != wanted:
        raise ValueError(f"{file} should have the header {','.join(wanted)}, found {','.join(found)[:80]!r}")


class T4saCrawl(Reader):
    """A folder with raw_tweets_text.csv (id,text), all_imgs.csv (id_tweet,path) and the photos below it.

    Of the rules, those that these files say nothing about (language, retweets) were the crawler's.
    """

    name = "t4sa_crawl"
    needs = f"a folder with {TEXTS} (id,text), {IMAGES} (id_tweet,path) and the photos; {FILE} where there is a teacher"
    classes = SENTIMENTS
    rules = ("min_words", "photos_only")

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether both tables are there."""
        return (path / TEXTS).is_file() and (path / IMAGES).is_file()

    def read(self, path: Path, options: ReaderOptions) -> Iterator[Post]:
        """The posts in the order of all_imgs.csv, then tweets without a photo where those are wanted."""
        require_folder(path)
        for name in (TEXTS, IMAGES):
            if not (path / name).is_file():
                raise ValueError(f"{path / name} is missing: a crawl of T4SA 2.0 has it beside its photos")
        texts = _Texts(path / TEXTS)
        teacher = TextPredictions(path / FILE) if (path / FILE).is_file() else None
        rules = TweetRules(options.crawl)
        try:
            for place in texts.broken:
                yield Post(f"{TEXTS}, byte {place}", refused="malformed row")
            has_photo = np.zeros(len(texts.ids), bool)
            yield from self._photos(path, texts, teacher, rules, has_photo)
            is_first = np.diff(texts.ids, prepend=-1) > 0  # of a tweet that is there twice
            for position in np.flatnonzero(is_first & ~has_photo).tolist():
                text = texts.text(position)
                if rules.keep(text, 0):
                    tweet = int(texts.ids[position])
                    yield from tweet_posts(str(tweet), text, [], _answer(teacher, tweet))
        finally:
            texts.close()
        print(f"{path}: {rules}")

    def _photos(
        self, path: Path, texts: _Texts, teacher: TextPredictions | None, rules: TweetRules, has_photo: np.ndarray
    ) -> Iterator[Post]:
        keeps: tuple[str, bool] = "", False
        with (path / IMAGES).open("rb") as raw:
            rows = iter(_Rows(raw))
            _require_header(path / IMAGES, next(rows, (0, []))[1], ["id_tweet", "path"])
            for place, cells in rows:
                if not cells:
                    continue
                where = f"{IMAGES}, byte {place}"
                if len(cells) != 2 or not _is_id(cells[0]):
                    yield Post(where, refused="malformed row")
                    continue
                tweet, photo = cells
                position = texts.find(int(tweet))
                if position is None or not is_inside(photo):
                    yield Post(where, refused="unsafe path" if position is not None else "its tweet has no text")
                    continue
                has_photo[position] = True
                text = texts.text(position)
                if tweet != keeps[0]:  # the photos of a tweet follow each other: it is counted once
                    keeps = tweet, rules.keep(text, 1)
                if keeps[1]:
                    yield from tweet_posts(tweet, text, [(path / photo, photo)], _answer(teacher, int(tweet)))


def _answer(teacher: TextPredictions | None, tweet: int) -> tuple[float, ...] | None:
    """The teacher's probabilities of one tweet, None where it said nothing."""
    if teacher is None:
        return None
    found = teacher.of(np.array([tweet], np.int64))[0]
    return tuple(map(float, found)) if found.any() else None
