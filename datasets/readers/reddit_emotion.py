"""Emotions of Reddit posts as published with common-space fusion: a table of titles and links for each subreddit.

Duong, Lebret and Aberer, Multimodal Classification for Analysing Social Media, ECML-PKDD 2017. The class is what the
subreddit stands for. The tables say where an image was, and not what to call it: here its name is the post's id. There
is no published split.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from datasets.posts import Post
from datasets.readers.base import Reader, ReaderOptions, require_folder
from datasets.readers.published import (
    MalformedRow,
    Row,
    csv_rows,
    field_of,
    file_stem,
    find_folder,
    image_file,
    posts_of,
)
from datasets.readers.tabular import as_string
from datasets.text import decode_text

EMOTIONS = {"rage": "anger", "gore": "disgust", "creepy": "fear", "happy": "joy"}
"""The emotion that each subreddit stands for."""
COLUMNS = ("id", "title", "subreddit")


def _is_table(file: Path) -> bool:
    """Whether the first line names the columns of this layout."""
    try:
        with file.open("rb") as raw:
            header = decode_text(raw.readline(4096)).lower()
    except OSError:
        return False
    return {*COLUMNS, "permalink"} <= set(re.split(r"\W+", header))


def _tables(path: Path) -> list[Path]:
    return [file for file in sorted(path.glob("*.csv")) if _is_table(file)]


def _post(row: Row, images: Path) -> Post:
    subreddit = field_of(row, "subreddit").lower()
    if subreddit not in EMOTIONS:
        raise MalformedRow(f"unknown subreddit {subreddit!r}")
    identifier = file_stem(row, "id")
    return Post(identifier, as_string(row.get("title")), image_file(images, identifier), EMOTIONS[subreddit])


class RedditEmotion(Reader):
    """Tables with the columns id, title, subreddit and permalink; the images that were fetched, `images/<id>.jpg`."""

    name = "reddit_emotion"
    needs = "a folder with a CSV (id, title, subreddit, permalink) for each subreddit, and images/<id>.jpg"
    classes = tuple(EMOTIONS.values())

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether a table of such columns is there."""
        return path.is_dir() and bool(_tables(path))

    def read(self, path: Path, options: ReaderOptions) -> Iterator[Post]:
        """The posts by the name of their table, in its order."""
        require_folder(path)
        tables = _tables(path)
        if not tables:
            raise ValueError(f"{path} holds no CSV with the columns {', '.join(COLUMNS)} and permalink")
        make = partial(_post, images=find_folder(path, "images"))
        for file in tables:
            yield from posts_of(csv_rows(file, *COLUMNS), make)
