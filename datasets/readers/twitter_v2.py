"""Tweets as the Twitter API v2 gives them: JSON lines with `data` and `includes`, photos beside.

The format is that of the API's own reference ("Tweet object", "Media object", expansions): a line is one tweet of a
stream, or a page of a search with a list of tweets under `data`.
"""

from __future__ import annotations

import gzip
import io
import json
import re
import zlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from datasets.posts import SENTIMENTS, Post
from datasets.readers.base import Reader, ReaderOptions
from datasets.tweets import TweetRules, photo_path, tweet_posts

SUFFIXES = (".jsonl", ".ndjson", ".jsonl.gz", ".ndjson.gz")
PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
MAX_LINE = 1 << 24
"""Bytes of a line, of which a page of a hundred tweets has about 300,000; a longer one is refused unread."""
LOOKED_AT = 20
"""Lines looked at to recognise the layout: the first ones may be broken or blank."""

_DAMAGED = (OSError, EOFError, zlib.error)
"""What reading a damaged file raises."""
_ID = re.compile(r"\d{5,20}", re.ASCII)
_MEDIA_KEY = re.compile(r"\w{1,64}", re.ASCII)


def _open(file: Path) -> gzip.GzipFile | io.BufferedReader:
    return gzip.open(file, "rb") if file.suffix == ".gz" else file.open("rb")


def _files(path: Path) -> list[Path]:
    """The files of tweets at `path`: itself, or those of the folder by name."""
    if path.is_dir():
        return sorted(file for file in path.iterdir() if file.name.endswith(SUFFIXES))
    return [path] if path.name.endswith(SUFFIXES) else []


def _lines(file: Path) -> Iterator[tuple[int, bytes]]:
    """Number and bytes of each line that is not blank; one of more than MAX_LINE bytes comes cut, without its end."""
    number = 0
    with _open(file) as raw:
        while line := raw.readline(MAX_LINE):
            number += 1
            rest = line
            while len(rest) == MAX_LINE and not rest.endswith(b"\n"):
                rest = raw.readline(MAX_LINE)
            if line.strip():
                yield number, line


def _record(line: bytes) -> dict | str:
    """The object of a line that holds tweets, or why there is none."""
    if len(line) == MAX_LINE:
        return "line too long"
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return "malformed JSON"
    if not isinstance(record, dict) or not isinstance(record.get("data"), dict | list):
        return "no tweet in it"
    return record


def _photos(tweet: dict, record: dict) -> list[str]:
    """Media keys of the tweet's photos, in their order. A broken medium is missing to the tweets that refer to it."""
    includes = record.get("includes")
    listed = includes.get("media") if isinstance(includes, dict) else None
    items = [item for item in listed if isinstance(item, dict)] if isinstance(listed, list) else []
    media = {key: item.get("type") for item in items if isinstance(key := item.get("media_key"), str)}
    return [key for key in tweet.get("attachments", {}).get("media_keys", []) if media.get(key) == "photo"]


def _find_photo(folder: Path, tweet: str, number: int, media_key: str) -> tuple[Path, str]:
    """File and path of a photo: by tweet and number, or else by its media key; the former where there is neither."""
    usual = photo_path(tweet, number)
    names = [f"{media_key}{suffix}" for suffix in PHOTO_SUFFIXES] if _MEDIA_KEY.fullmatch(media_key) else []
    path = next((name for name in (usual, *names) if (folder / name).is_file()), usual)
    # The post is named by tweet and number, whatever its file is called.
    return folder / path, usual


class TwitterV2(Reader):
    """A file of tweets, or a folder with such files, read by name.

    The photos lie beside the file, as `<first 5 digits>/<tweet id>-<number>.jpg` or `<media key>.jpg`. The text of a
    long tweet is that of its `note_tweet`.
    """

    name = "twitter_v2"
    needs = f"Twitter API v2 JSON lines ({' '.join(SUFFIXES)}) with data and includes, and the photos beside"
    classes = SENTIMENTS
    rules = ("tweet_language", "min_words", "original_tweets", "photos_only")

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether one of the first lines holds a tweet."""
        for file in _files(path)[:1]:
            try:
                for _, line in islice(_lines(file), LOOKED_AT):
                    record = _record(line)
                    tweets = record.get("data") if isinstance(record, dict) else None
                    first = tweets[0] if isinstance(tweets, list) and tweets else tweets
                    if isinstance(first, dict) and {"id", "text"} <= set(first):
                        return True
            except _DAMAGED:
                return False
        return False

    def read(self, path: Path, options: ReaderOptions) -> Iterator[Post]:
        """The posts by file, line, tweet and photo. Says at the end how many tweets the rules left out."""
        files = _files(path)
        if not files:
            raise ValueError(f"{path} holds no file of tweets: its name should end in {', '.join(SUFFIXES)}")
        rules = TweetRules(options.crawl)
        for file in files:
            yield from self._posts(file, rules)
        print(f"{path}: {rules}")

    def _posts(self, file: Path, rules: TweetRules) -> Iterator[Post]:
        number = 0
        try:
            for number, line in _lines(file):
                where = f"{file.name}, line {number}"
                record = _record(line)
                if isinstance(record, str):
                    yield Post(where, refused=record)
                    continue
                tweets = record["data"]
                for tweet in tweets if isinstance(tweets, list) else [tweets]:
                    yield from self._tweet(file.parent, where, tweet, record, rules)
        except _DAMAGED as error:
            yield Post(f"{file.name}, after line {number}", refused=f"cannot be read on ({type(error).__name__})")

    def _tweet(self, folder: Path, where: str, tweet: object, record: dict, rules: TweetRules) -> Iterator[Post]:
        try:
            assert isinstance(tweet, dict)
            identifier, text = tweet["id"], (tweet.get("note_tweet") or {}).get("text") or tweet["text"]
            keys = [str(key) for key in _photos(tweet, record)]
            language, is_reference = tweet.get("lang"), bool(tweet.get("referenced_tweets"))
            if not isinstance(text, str) or not _ID.fullmatch(identifier):
                raise ValueError(text)
        except (AssertionError, AttributeError, KeyError, TypeError, ValueError):
            yield Post(where, refused="malformed tweet")
            return
        if rules.keep(text, len(keys), language, is_reference):
            photos = [_find_photo(folder, identifier, number, key) for number, key in enumerate(keys)]
            yield from tweet_posts(identifier, text, photos)
