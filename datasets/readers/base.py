"""What a reader is: one published layout of posts on disk, read post by post."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from datasets.options import CrawlOptions
from datasets.posts import SENTIMENTS, Post
from datasets.text import decode_text

SPLITS = {
    "train": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
    "test": "test",
}
"""The words that published layouts have for a split, and the house's own."""


@dataclass(frozen=True)
class ReaderOptions:
    """Names of a table's columns, as in `DataOptions`; an empty name says that there is no such column."""

    id_column: str = "id"
    text_column: str = "text"
    image_column: str = "image"
    label_column: str = "label"
    labels_needed: bool = True
    """False: a table without the label column holds posts without labels, as where they are only to be predicted."""
    crawl: CrawlOptions = field(default_factory=CrawlOptions)
    """Which tweets of a crawl are kept."""


class Reader(ABC):
    """Reads one layout. A subclass in a file of this folder is found by its `name`.

    `read` yields posts one at a time and never holds them all; it raises ValueError, in one sentence that names the
    file, for a folder or file that is missing, a malformed row and an unknown label. Of a crawl, where some of millions
    of records are always broken, and of a published benchmark, which its reader did not write, a malformed one is a
    post with the reason in `refused`. Image files are not opened: what is wrong with one is found at ingest, which puts
    it aside and counts it.
    """

    name: ClassVar[str]
    """The word for --dataset."""
    needs: ClassVar[str]
    """What the layout consists of, in a few words."""
    generic: ClassVar[bool] = False
    """True for a layout that gives way when a more particular one recognises the same path."""
    rules: ClassVar[tuple[str, ...]] = ()
    """Which of `CrawlOptions` it goes by; `open_source` refuses the others."""
    classes: tuple[str, ...] | None = None
    """Class names in the order of their ids; None: they come from the data."""

    @classmethod
    @abstractmethod
    def recognises(cls, path: Path) -> bool:
        """Whether `path` looks like this layout, from names and first lines alone. Never raises."""

    @classmethod
    def sources(cls, path: Path) -> list[Path]:
        """Files and folders, of those that are there, from which `read` makes the posts of `path`: where one of them
        has changed or another has come, a store of these posts is made anew. Never raises."""
        return [path]

    @abstractmethod
    def read(self, path: Path, options: ReaderOptions) -> Iterator[Post]:
        """The posts, in an order that depends on the content only."""


def require_folder(path: Path) -> None:
    """Raise ValueError where `path` is no folder."""
    if not path.is_dir():
        found = "a file" if path.exists() else "missing"
        raise ValueError(f"{path} should be a folder of posts but is {found}: check --data_dir or --train_data_dir")


def read_text_file(path: Path) -> str | None:
    """Text of a post beside its image; None where the file is missing or blank."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return None
    return decode_text(raw).strip() or None


def class_name(word: str) -> str:
    """The name of a class as the house writes it: the three sentiments in lower case, any other name as it stands."""
    word = word.strip()
    return word.lower() if word.lower() in SENTIMENTS else word


def natural_order(identifier: str) -> tuple[int, str, str]:
    """Sort key: ids that are numbers by their value, before those that are not; 1 and 01 are two ids."""
    is_number = identifier.isascii() and identifier.isdigit()
    return (
        len(identifier.lstrip("0")) if is_number else 1_000_000,
        identifier.lstrip("0") if is_number else identifier,
        identifier,
    )
