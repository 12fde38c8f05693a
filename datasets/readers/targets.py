"""What Twitter-15 and Twitter-17 share: tweets with a named target, whose sentiment is asked for.

Yu and Jiang, Adapting BERT for Target-Oriented Multimodal Sentiment Classification, IJCAI 2019, whose tables these are:
index, polarity (0 negative, 1 neutral, 2 positive), image, text with $T$ for the target, target. Their model reads the
target after the text, and so is it here: the text has its target put in place, and the target follows it.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import ClassVar

from datasets.posts import SENTIMENTS, Post
from datasets.readers.base import Reader, ReaderOptions, require_folder
from datasets.readers.published import MalformedRow, class_of, join_texts, need_file, posts_of
from datasets.readers.tabular import lines
from datasets.tweets import is_inside

FILES = {"train.tsv": "train", "dev.tsv": "validation", "test.tsv": "test"}
TARGET = "$T$"
ABOVE = 2
"""Folders above the tables in which the folder of images is looked for."""


def _post(cells: list[str], split: str, images: Path) -> Post:
    if len(cells) != 5 or not is_inside(cells[2]):
        raise MalformedRow("malformed row")
    index, polarity, image, text, target = (cell.strip() for cell in cells)
    return Post(
        f"{split}-{index}",
        text=join_texts(text.replace(TARGET, target), target),
        image=images / image,
        label=class_of(polarity, SENTIMENTS),
        group=image,
        split=split,
        extra={"target": target},
    )


class TargetReader(Reader):
    """A folder of train.tsv, dev.tsv and test.tsv; the images in a folder of the year's name there or above, or in
    `images`.

    A tweet with several targets is as many posts, which are one group. The index of a row begins anew in each table, so
    the id has its split before it.
    """

    classes = SENTIMENTS
    year: ClassVar[str]
    folders: ClassVar[tuple[str, ...]]
    """What the folder of this year's tables is called."""

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether the folder has the year's name and such tables."""
        try:
            with (path / "train.tsv").open("rb") as file:
                header = file.readline(200)
        except OSError:
            return False
        return path.resolve().name in cls.folders and header.startswith(b"index\t")

    def read(self, path: Path, options: ReaderOptions) -> Iterator[Post]:
        """The posts of training, validation and test in the order of the tables."""
        require_folder(path)
        places = [base / f"twitter20{self.year}_images" for base in (path, *path.resolve().parents[:ABOVE])]
        images = next((place for place in places if place.is_dir()), path / "images")
        for file, split in FILES.items():
            table = enumerate(lines(need_file(path, file)), start=1)
            rows = ((f"{file}, line {number}", line.rstrip("\r\n").split("\t")) for number, line in table)
            posts = ((where, cells) for where, cells in rows if cells != [""] and cells[0] != "index")
            yield from posts_of(posts, partial(_post, split=split, images=images))
