"""The tables of the auxiliary-losses system: data_key_<task>.csv beside the folders of images.

Sanchez Villegas, Preoţiuc-Pietro and Aletras, Findings of EACL 2024: columns tweet_id, text, label and split, the label
a number, which says the class and is not always the house's id of it. The table of text-image relations has six flags
instead, of which --label_column names the one to learn; by default the class is that of the last four which is 1.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from datasets.posts import SENTIMENTS, Post
from datasets.readers import mhp, micd, msd, tir
from datasets.readers.base import Reader, ReaderOptions
from datasets.readers.published import (
    MalformedRow,
    Row,
    class_of,
    csv_rows,
    field_of,
    file_stem,
    image_file,
    posts_of,
    split_of,
)
from datasets.readers.tabular import as_string
from datasets.text import decode_text

RELATIONS = "data_key_imgtxt_random.csv"
"""The table of text-image relations."""
QUESTIONS = {"text_is_represented": tir.TEXT_CLASSES, "image_adds": tir.IMAGE_CLASSES}
"""Its flags that are a class by themselves."""
MVSA_IDS = ("neutral", "positive", "negative")
"""The sentiments in the order of the numbers in that table, which is not the house's."""


@dataclass(frozen=True)
class Key:
    """What belongs to one table."""

    images: str  # folder
    stem: str  # of the image of the post {}
    classes: tuple[str, ...]  # in the order of the numbers in the table
    id_column: str = "tweet_id"
    texts: str = ""  # table of test posts that are text alone


KEYS = {
    RELATIONS: Key("text-image", "T{}", tir.CLASSES),
    "data_key_mvsa.csv": Key("MVSA-Single/data", "{}", MVSA_IDS),
    "data_key_mhp.csv": Key("MHP/Data/Images", "{}", mhp.CLASSES),
    micd.PAIRS: Key(f"MIC/{micd.IMAGES[0]}", "{}_1", micd.CLASSES, "id", micd.TEXTS),
    "data_key_msd.csv": Key(f"MSD/{msd.IMAGES}", "{}", msd.CLASSES),
}


def _text(value: object) -> str | None:
    """The text of a cell; the published table of MVSA holds Python's notation of bytes, as b'caf\\xc3\\xa9'."""
    text = as_string(value)
    if text is None or not text.startswith(("b'", 'b"')):
        return text
    try:
        raw = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
    return decode_text(raw).strip() or None


def _flagged(row: Row) -> str | None:
    """The class of text-image relation whose flag is 1."""
    flags = [field_of(row, name) for name in tir.CLASSES]
    if sorted(flags) != ["0", "0", "0", "1"]:
        raise MalformedRow("not one flag is 1")
    return tir.CLASSES[flags.index("1")]


class DataKey(Reader):
    """One table of KEYS, which also say in which folder beside it the images are."""

    name = "data_key"
    needs = f"a table data_key_*.csv ({', '.join(KEYS)}), and the folders of images beside it"

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether it is one of the tables by its name; that of MICD is its own authors' too."""
        return path.is_file() and path.name in KEYS and path.name != micd.PAIRS

    @classmethod
    def sources(cls, path: Path) -> list[Path]:
        """The table, its images and the table of posts that are text alone."""
        key = KEYS.get(path.name)
        beside = [path.parent / name for name in (key.images, key.texts) if name] if key else []
        return [path, *(place for place in beside if place.exists())]

    def read(self, path: Path, options: ReaderOptions) -> Iterator[Post]:
        """The posts in the order of the table, then those that are text alone. Sets `classes`."""
        if path.name not in KEYS or not path.is_file():
            raise ValueError(f"{path} is missing or none of the tables that are known: {', '.join(KEYS)}")
        key = KEYS[path.name]
        column = options.label_column if options.label_column in QUESTIONS else "label"
        if path.name == RELATIONS and column not in QUESTIONS:
            self.classes = key.classes
            return _posts(path, key, tir.CLASSES, _flagged)
        classes = QUESTIONS.get(column, key.classes)
        self.classes = SENTIMENTS if set(classes) == set(SENTIMENTS) else classes
        return _posts(path, key, (column,), lambda row: class_of(row.get(column), classes))


def _posts(path: Path, key: Key, needed: tuple[str, ...], label: Callable[[Row], str | None]) -> Iterator[Post]:
    def post(row: Row, alone: bool = False) -> Post:
        identifier = file_stem(row, key.id_column)
        return Post(
            identifier,
            text=_text(row.get("text")),
            image=None if alone else image_file(path.parent / key.images, key.stem.format(identifier)),
            label=label(row),
            split="test" if alone else split_of(row),
            extra={"text_only": alone},
        )

    yield from posts_of(csv_rows(path, key.id_column, "text", "split", *needed), post)
    texts = path.parent / key.texts
    if key.texts and texts.is_file():
        yield from posts_of(csv_rows(texts, key.id_column, "text", *needed), partial(post, alone=True))
