"""A crawl of tweets that nobody wrote: the synthetic world's texts and pictures in the files that a crawler leaves.

Pictures are shared among tweets, as they are or moved and recompressed, and it is known which: `truth.csv` has, for
each photo, its path, the number of its picture and whether it was changed. Some records are broken, some tweets are of
those that the rules of T4SA 2.0 leave out, and a teacher's answers lie beside. Tweet `index` of a crawl is a function
of (options, index) alone.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from datasets.seeds import generator
from datasets.synthetic import CLASS_SHARES, teacher_answer
from datasets.synthetic_draws import between, chance, pick
from datasets.synthetic_images import draw_image, encode_jpeg, near_duplicate
from datasets.synthetic_text import write_tweet
from datasets.text_predictions import COLUMNS, FILE
from datasets.tweets import photo_path

FIRST_ID, STEP = 1_510_000_000_000_000_000, 500_000_000_000
"""Tweet ids begin in April 2022, as those of T4SA 2.0."""
LINES = 10_000
"""Tweets of a file."""
NOISE = 0.2
BLOTS = 6
"""Blots of colour along a side of a quick picture."""
CHANGED = 0.3
"""Share of the photos that are moved and recompressed."""
AGREES = 0.7
"""Probability that a tweet's text says what its first picture says, beyond chance."""


@dataclass(frozen=True)
class SyntheticCrawlOptions:
    """A synthetic crawl"""

    tweets: int = 5000
    """Tweets to write."""
    pictures: int = 2000
    """Different pictures that they share; a few are in many tweets."""
    picture_size: int = 64
    """Pixels of a picture's side."""
    quick_pictures: bool = False
    """Pictures are blots of colour that say nothing and are made ten times as quickly; for crawls of millions."""
    broken: float = 0.01
    """Share of the records or photos that are broken."""
    left_out: float = 0.2
    """Share of the tweets that are retweets, replies, short, or in another language."""
    crawl_seed: int = 0
    """Seed of the crawl."""
    layout: Literal["twitter_v2", "t4sa_crawl"] = "twitter_v2"
    """JSON lines of the Twitter API v2, or the tables of T4SA 2.0's authors."""

    def __post_init__(self) -> None:
        for name, low in {"tweets": 1, "pictures": 1, "picture_size": 32, "crawl_seed": 0}.items():
            if getattr(self, name) < low:
                raise ValueError(f"--{name} {getattr(self, name)} must be {low} or more")
        for name in ("broken", "left_out"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"--{name} {getattr(self, name)} is a share, so it must be from 0 to 1")


@dataclass(frozen=True)
class CrawledTweet:
    """One tweet as a crawler meets it. Photos are their picture's number, whether it was changed, and bytes."""

    id: str
    text: str
    language: str
    referenced: str | None
    photos: tuple[tuple[int, bool, bytes], ...]
    teacher: tuple[float, ...]


class SyntheticCrawl:
    """The tweets of one crawl."""

    def __init__(self, options: SyntheticCrawlOptions) -> None:
        self.options = options
        self.picture = lru_cache(maxsize=4096)(self._picture)

    def _picture(self, number: int) -> tuple[int, bytes]:
        """Class id and JPEG of a picture."""
        rng = generator(self.options.crawl_seed, "crawl picture", number)
        label, size = int(rng.choice(3, p=CLASS_SHARES)), self.options.picture_size
        if self.options.quick_pictures:
            return label, encode_jpeg(_blots(rng, size))
        return label, encode_jpeg(draw_image(rng, label, between(rng, 0.3, 1), NOISE, size))

    def tweet(self, index: int) -> CrawledTweet:
        """Tweet number `index`."""
        rng = generator(self.options.crawl_seed, "crawl tweet", index)
        identifier = FIRST_ID + index * STEP + int(rng.random() * STEP)
        count = 1 if chance(rng, 0.8) else 2 + int(rng.random() * 3)
        photos = tuple(self._photo(rng) for _ in range(count))
        label = self.picture(photos[0][0])[0] if chance(rng, AGREES) else int(rng.choice(3, p=CLASS_SHARES))
        text = f"{write_tweet(rng, label, between(rng, 0.2, 1), NOISE).text} https://t.co/{index:07d}"
        language, referenced = "en", None
        if chance(rng, self.options.left_out):
            kind = pick(rng, ("retweeted", "replied_to", "quoted", "language", "short"))
            language = "it" if kind == "language" else "en"
            text = "so true" if kind == "short" else text
            referenced = kind if kind in ("retweeted", "replied_to", "quoted") else None
        return CrawledTweet(str(identifier), text, language, referenced, photos, teacher_answer(rng, label, 1.0))

    def _photo(self, rng: np.random.Generator) -> tuple[int, bool, bytes]:
        number = int(rng.random() ** 1.5 * self.options.pictures)
        jpeg = self.picture(number)[1]
        is_changed = chance(rng, CHANGED)
        return number, is_changed, near_duplicate(rng, jpeg) if is_changed else jpeg

    def write(self, folder: Path) -> None:
        """Write the crawl into a new folder. Raises ValueError where the folder is there already."""
        if folder.exists():
            raise ValueError(f"{folder} is there already; remove it or name another folder")
        folder.mkdir(parents=True)
        with (
            (folder / "truth.csv").open("w", newline="") as truth,
            (folder / FILE).open("w", newline="") as teacher,
        ):
            pictures, answers = csv.writer(truth), csv.writer(teacher)
            pictures.writerow(["path", "picture", "changed"])
            answers.writerow(COLUMNS)
            write = self._write_tables if self.options.layout == "t4sa_crawl" else self._write_lines
            for tweet in write(folder):
                answers.writerow([tweet.id, *(f"{value:.6f}" for value in tweet.teacher)])
                for number, (picture, is_changed, _) in enumerate(tweet.photos):
                    pictures.writerow([photo_path(tweet.id, number), picture, int(is_changed)])

    def _tweets(self, folder: Path) -> Iterator[tuple[CrawledTweet, np.random.Generator]]:
        """Every tweet with its photos written, some of them broken, and what further breakage is drawn from."""
        for index in range(self.options.tweets):
            tweet = self.tweet(index)
            rng = generator(self.options.crawl_seed, "crawl breakage", index)
            for number, (_, _, jpeg) in enumerate(tweet.photos):
                file = folder / photo_path(tweet.id, number)
                if chance(rng, self.options.broken):
                    jpeg = pick(rng, (jpeg[: len(jpeg) // 2], b"", b"<html>404 Not Found</html>"))
                file.parent.mkdir(exist_ok=True)
                file.write_bytes(jpeg)
            yield tweet, rng

    def _write_lines(self, folder: Path) -> Iterator[CrawledTweet]:
        """Write the layout of the Twitter API v2."""
        for index, (tweet, rng) in enumerate(self._tweets(folder)):
            line = json.dumps(_as_api(tweet), ensure_ascii=chance(rng, 0.5))
            if chance(rng, self.options.broken):
                line = pick(rng, (line[: len(line) // 2], '{"errors": [{"title": "operational-disconnect"}]}'))
            with (folder / f"tweets-{index // LINES:04d}.jsonl").open("a", encoding="utf-8") as file:
                file.write(line + "\n")
            yield tweet

    def _write_tables(self, folder: Path) -> Iterator[CrawledTweet]:
        """Write the layout of T4SA 2.0's authors, whose crawler has left out what is not English or refers."""
        with (
            (folder / "raw_tweets_text.csv").open("w", newline="", encoding="utf-8") as raw_texts,
            (folder / "all_imgs.csv").open("w", newline="", encoding="utf-8") as raw_images,
        ):
            texts, images = csv.writer(raw_texts), csv.writer(raw_images)
            texts.writerow(["id", "text"])
            images.writerow(["id_tweet", "path"])
            for tweet, rng in self._tweets(folder):
                if tweet.language == "en" and tweet.referenced is None:
                    texts.writerow([tweet.id] if chance(rng, self.options.broken) else [tweet.id, tweet.text])
                    images.writerows([tweet.id, photo_path(tweet.id, number)] for number in range(len(tweet.photos)))
                    yield tweet


def _blots(rng: np.random.Generator, size: int) -> Image.Image:
    """A picture of smooth colours drawn at random."""
    coarse = Image.fromarray(rng.integers(256, size=(BLOTS, BLOTS, 3), dtype=np.uint8))
    return coarse.resize((size, size), Image.Resampling.BICUBIC)


def _as_api(tweet: CrawledTweet) -> dict[str, object]:
    """The tweet as the API's sample stream gives it."""
    keys = [f"3_{tweet.id}{number}" for number in range(len(tweet.photos))]
    data: dict[str, object] = {
        "id": tweet.id,
        "text": tweet.text,
        "lang": tweet.language,
        "created_at": "2022-04-01T00:00:00.000Z",
        "attachments": {"media_keys": keys},
    }
    if tweet.referenced is not None:
        data["referenced_tweets"] = [{"type": tweet.referenced, "id": str(FIRST_ID)}]
    media = [{"media_key": key, "type": "photo", "url": f"https://pbs.twimg.com/media/{key}.jpg"} for key in keys]
    return {"data": data, "includes": {"media": media}}
