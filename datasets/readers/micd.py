"""Influencers' commercial and other content (MICD) as published: two tables with splits, images by tweet id.

Sanchez Villegas, Goanta and Aletras, A Multimodal Analysis of Influencer Content on Twitter, AACL 2023. The tables are
published with ids and labels; who has fetched the tweets adds a column text. The second table holds tweets without an
image, all of them for the test.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from datasets.posts import Post
from datasets.readers.base import Reader, ReaderOptions
from datasets.readers.published import (
    Row,
    class_of,
    csv_rows,
    file_stem,
    find_file,
    find_folder,
    image_file,
    need_file,
    posts_of,
    split_of,
)
from datasets.readers.tabular import as_string

PAIRS, TEXTS = "data_key_mic.csv", "text_data_mic.csv"
IMAGES = ("spc_imgs_twitter", "images")
CLASSES = ("non-commercial", "commercial")


def _table(path: Path, name: str) -> Path | None:
    """The table of that name: `path` itself, in it, or in its folder `data`."""
    return (path if path.name == name else None) if path.is_file() else find_file(path, name, f"data/{name}")


def _post(row: Row, images: Path | None) -> Post:
    identifier = file_stem(row, "id")
    return Post(
        identifier,
        text=as_string(row.get("text")),
        image=image_file(images, f"{identifier}_1") if images else None,
        label=class_of(row.get("label"), CLASSES),
        split=split_of(row),
        extra={"domain": as_string(row.get("domain")), "text_only": images is None},
    )


class Micd(Reader):
    """`data_key_mic.csv`, `text_data_mic.csv` where it is there, and `spc_imgs_twitter/<id>_1.jpg`.

    Of the test posts, those of the second table have no image, and true in the column text_only: figures are published
    for each part by itself. A table that is given by itself is read alone.
    """

    name = "micd"
    needs = f"a folder with {PAIRS}, {TEXTS} and spc_imgs_twitter/<id>_1.jpg, or one of the tables"
    classes = CLASSES

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether one of the tables is there, or is what the path names."""
        return any(_table(path, name) is not None for name in (PAIRS, TEXTS))

    @classmethod
    def sources(cls, path: Path) -> list[Path]:
        """The folder, or the one table and its images."""
        images = find_folder(path.parent, *IMAGES)
        return [path, images] if path.name == PAIRS and path.is_file() and images.is_dir() else [path]

    def read(self, path: Path, options: ReaderOptions) -> Iterator[Post]:
        """The posts in the order of the tables, those with an image first."""
        pairs, texts = _table(path, PAIRS), _table(path, TEXTS)
        if texts is None:
            pairs = pairs or need_file(path, PAIRS)
        if pairs is not None:
            images = find_folder(path if path.is_dir() else path.parent, *IMAGES)
            yield from posts_of(csv_rows(pairs, "id", "label", "split"), partial(_post, images=images))
        if texts is not None:
            yield from posts_of(csv_rows(texts, "id", "label", "split"), partial(_post, images=None))
