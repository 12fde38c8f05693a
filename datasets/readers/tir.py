"""The relation of text and image in tweets, as published: textimage.csv or textimage-data.csv beside the images.

Vempala and Preotiuc-Pietro, Categorizing and Inferring the Relationship between the Text and Image of Twitter Posts,
ACL 2019. Two questions (is the text represented in the image, does the image add to it) make four classes. The larger
table has the texts and every id whole; in the smaller one a spreadsheet has rounded some ids, and pieces of a text
stand before the flags of some rows. There is no published split.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import ClassVar

from datasets.posts import Post
from datasets.readers.base import Reader, ReaderOptions, require_folder
from datasets.readers.published import MalformedRow, cells_of, find_file, find_folder, image_file, need_file, posts_of

WITH_TEXT, WITHOUT_TEXT = "textimage-data.csv", "textimage.csv"
IMAGES = ("text-image", "images", ".")
CLASSES = ("image_adds_text_repr", "image_adds_text_notrepr", "image_notadds_text_repr", "image_notadds_text_notrepr")
TEXT_CLASSES, IMAGE_CLASSES = ("text_notrepr", "text_repr"), ("image_notadds", "image_adds")
FLAGS = 6
"""The last fields of a row: text_is_represented, image_adds, then one for each of the four classes."""


def _flags(cells: list[str]) -> tuple[bool, bool]:
    """Whether the text is represented and whether the image adds. The four classes must say the same."""
    flags = cells[-FLAGS:]
    if len(cells) <= FLAGS or not set(flags) <= {"0", "1"}:
        raise MalformedRow("malformed row")
    is_represented, adds = flags[0] == "1", flags[1] == "1"
    if flags[2:] != ["1" if number == 2 * (not adds) + (not is_represented) else "0" for number in range(4)]:
        raise MalformedRow("its flags contradict each other")
    return is_represented, adds


class Tir(Reader):
    """A post for each row of the table, its image `T<id>.jpg` in `text-image`, in `images` or beside the table.

    The answers to the two questions are kept as columns.
    """

    name = "tir"
    needs = f"a folder with {WITH_TEXT} or {WITHOUT_TEXT}, and T<id>.jpg in the folder text-image"
    classes: tuple[str, ...] | None = CLASSES
    is_default: ClassVar[bool] = True
    """Which of the readers of this layout is meant where --dataset does not say so."""

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether one of the tables is there."""
        return cls.is_default and find_file(path, WITH_TEXT, WITHOUT_TEXT) is not None

    def read(self, path: Path, options: ReaderOptions) -> Iterator[Post]:
        """The posts in the order of the table, of which the one with texts comes first."""
        require_folder(path)
        file = need_file(path, WITH_TEXT, WITHOUT_TEXT)
        rows = cells_of(file, escape="\\" if file.name == WITH_TEXT else None)
        next(rows, None)  # the header
        images = find_folder(path, *IMAGES)
        yield from posts_of(rows, partial(self._post, images=images, has_text=file.name == WITH_TEXT))

    def _post(self, cells: list[str], images: Path, has_text: bool) -> Post:
        while cells and not cells[-1].strip():
            cells.pop()
        is_represented, adds = _flags(cells)
        identifier = cells[0].strip()
        if not (identifier.isascii() and identifier.isdigit()):
            raise MalformedRow("its id is no whole number")
        return Post(
            identifier,
            text=",".join(cells[2:-FLAGS]).strip() if has_text else None,
            image=image_file(images, f"T{identifier}"),
            label=self._label(is_represented, adds),
            extra={"text_is_represented": int(is_represented), "image_adds": int(adds)},
        )

    def _label(self, is_represented: bool, adds: bool) -> str:
        return CLASSES[2 * (not adds) + (not is_represented)]


class TirText(Tir):
    """The same posts, with the answer to the first question alone as their class."""

    name = "tir_text"
    needs = "the folder of tir; its classes: is the text represented in the image"
    classes = TEXT_CLASSES
    is_default = False

    def _label(self, is_represented: bool, adds: bool) -> str:
        return TEXT_CLASSES[is_represented]


class TirImage(Tir):
    """The same posts, with the answer to the second question alone as their class."""

    name = "tir_image"
    needs = "the folder of tir; its classes: does the image add to the text"
    classes = IMAGE_CLASSES
    is_default = False

    def _label(self, is_represented: bool, adds: bool) -> str:
        return IMAGE_CLASSES[adds]
