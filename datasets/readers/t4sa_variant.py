"""A variant of T4SA as its authors publish it: tables of image path and class id, one for each split.

T4SA 2.0 (Serra et al., ECAI 2023): `<name>_{train,val,test}.csv` with the header path,class. T4SA 1.0 (Vadicamo et al.,
ICCVW 2017) and its new labels: `b-t4sa_{train,val,test}.txt`, separated by a blank, or .tsv, both without a header.
Class ids are 0 negative, 1 neutral, 2 positive.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from datasets.posts import SENTIMENTS, Post
from datasets.readers.base import SPLITS, Reader, ReaderOptions, require_folder
from datasets.text import decode_text
from datasets.tweets import is_inside

HEADER = "path,class"
SEPARATORS = {".csv": ",", ".tsv": "\t", ".txt": " "}
ABOVE = 3
"""Folders above the tables in which the images are looked for."""

_FILE = re.compile(r"(?P<name>.+)_(?P<split>train|val|test)(?P<suffix>\.csv|\.tsv|\.txt)")
_TWEET = re.compile(r"(\d{5,20})-\d+$", re.ASCII)


def _tables(path: Path) -> list[tuple[Path, str]]:
    """Tables of the folder with their splits: train, validation, test."""
    found = [(file, match["split"]) for file in path.iterdir() if (match := _FILE.fullmatch(file.name))]
    found = [(file, split) for file, split in found if _is_table(file)]
    order = ("train", "val", "test")
    return sorted(found, key=lambda item: (order.index(item[1]), item[0].name))


def _is_table(file: Path) -> bool:
    try:
        with file.open("rb") as raw:
            first = decode_text(raw.readline(4096)).strip()
    except OSError:
        return False
    if file.suffix == ".csv":
        return first == HEADER
    path, _, label = first.rpartition(SEPARATORS[file.suffix])
    return "." in path and label in ("0", "1", "2")


def _rows(file: Path) -> Iterator[tuple[str, str, int]]:
    """Words that say where a row is, its path and its class id."""
    with file.open("rb") as raw:
        for number, line in enumerate(raw, start=1):
            row = decode_text(line).strip()
            if not row or (number == 1 and row == HEADER):
                continue
            where = f"{file}, line {number},"
            path, _, label = row.rpartition(SEPARATORS[file.suffix])
            if label not in ("0", "1", "2") or not path:
                raise ValueError(f"{where} should be a path and a class 0, 1 or 2, found {row[:80]!r}")
            if not is_inside(path):
                raise ValueError(f"{where} has the path {path!r}: it should lie in the folder of the images")
            yield where, path, int(label)


def _image_folder(folder: Path, paths: Iterable[str]) -> Path:
    """Where the images are: beside the tables, in `images` there, or above, by the first that is found at all; where
    none is, `images` above."""
    above = [folder, *folder.resolve().parents[:ABOVE]]
    places = [place for base in above for place in (base, base / "images")]
    found = (place for path in paths for place in places if (place / path).is_file())
    return next(found, folder.parent / "images")


class T4saVariant(Reader):
    """A folder with `<name>_train`, `<name>_val` and `<name>_test`, .csv, .tsv or .txt; images by path.

    The images lie beside the tables, in a folder `images` there, or up to three folders above. A post is an image; the
    digits of its name are its tweet, whose photos are one group.
    """

    name = "t4sa_variant"
    needs = "a folder with <name>_{train,val,test}.csv (path,class), or .tsv or .txt without a header, and the images"
    classes = SENTIMENTS

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether such tables are there."""
        return path.is_dir() and bool(_tables(path))

    def read(self, path: Path, options: ReaderOptions) -> Iterator[Post]:
        """The posts of train, validation and test, in the order of the tables.

        Raises ValueError where no row has the class 2: in benchmarks of two classes, 1 means positive.
        """
        require_folder(path)
        tables = _tables(path)
        if not tables:
            raise ValueError(f"{path} holds no table called <name>_train, <name>_val or <name>_test (.csv, .tsv, .txt)")
        if not any(label == 2 for file, _ in tables for _, _, label in _rows(file)):
            raise ValueError(
                f"{path} has no row of class 2, so 1 may mean positive there; write it as a table with class names"
            )
        images = _image_folder(path, (image for file, _ in tables for _, image, _ in _rows(file)))
        for file, split in tables:
            for _, image, label in _rows(file):
                stem = PurePosixPath(image).stem
                tweet = match[1] if (match := _TWEET.search(stem)) else None
                yield Post(
                    image,
                    image=images / image,
                    label=SENTIMENTS[label],
                    group=tweet,
                    split=SPLITS[split],
                    extra={"tweet": tweet, "path": image},
                )
