"""MVSA with the list of valid pairs and the ten folds of Cheema et al. instead of the published label file.

Cheema et al., A Fair and Comprehensive Comparison of Multimodal Tweet Sentiment Analysis Methods, MMPT 2021. A line of
valid_pairlist.txt is id, label of the post, of its text and of its image, with 0 neutral, 1 positive, 2 negative; the
labels obey the rule in mvsa.py. A fold's files hold lines of that list, counted from 0.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from datasets.posts import SENTIMENTS, Post
from datasets.readers.base import Reader, ReaderOptions, read_text_file, require_folder
from datasets.readers.mvsa import LABEL_FILE
from datasets.readers.published import MalformedRow, class_of, find_folder, image_file, need_file, posts_of
from datasets.readers.tabular import lines
from datasets.tweets import is_inside

PAIRS = "valid_pairlist.txt"
LABELS = ("neutral", "positive", "negative")
"""Sentiments in the order of this layout's ids."""
SPLITS = {"train": "train", "val": "validation", "test": "test"}
_FOLD = re.compile(r"(?:train|val|test)_(\d+)\.txt")


def _parts(path: Path) -> tuple[Path, int]:
    """The folder of the list, and the fold: that of the file that `path` names, else the first."""
    named = _FOLD.fullmatch(path.name)
    return (path.parent.parent, int(named[1])) if named else (path, 1)


def _splits(folder: Path, fold: int) -> dict[int, str]:
    """The split of each line of the list; empty where there are no folds."""
    if not (folder / "splits").is_dir():
        return {}
    found: dict[int, str] = {}
    for word, split in SPLITS.items():
        file = need_file(folder / "splits", f"{word}_{fold}.txt")
        for number, line in enumerate(lines(file), start=1):
            if line.strip() and not line.strip().isdigit():
                raise ValueError(f"{file}, line {number}, should be a line of {PAIRS}, counted from 0, found {line!r}")
            if line.strip():
                found[int(line)] = split
    return found


def _post(row: tuple[int, str], texts: Path, images: Path, splits: Mapping[int, str]) -> Post:
    place, line = row
    cells = [cell.strip() for cell in line.split(",")]
    if len(cells) != 4 or not is_inside(cells[0]):
        raise MalformedRow("malformed row")
    label, text_label, image_label = (class_of(cell, LABELS) for cell in cells[1:])
    return Post(
        cells[0],
        text=read_text_file(texts / f"{cells[0]}.txt"),
        image=image_file(images, cells[0]),
        label=label,
        text_label=text_label,
        image_label=image_label,
        split=splits.get(place),
    )


class MvsaFolds(Reader):
    """`valid_pairlist.txt`, `images/<id>.jpg` and `texts/<id>.txt` (or `data/` for both), `splits/train_<fold>.txt` …

    The path of a fold's file, as `splits/test_3.txt`, names its fold; that of the folder is the first one. Without
    `splits`, posts have no published split.
    """

    name = "mvsa_folds"
    needs = f"a folder with {PAIRS}, images/<id>.jpg, texts/<id>.txt, and splits/{{train,val,test}}_<fold>.txt"
    classes = SENTIMENTS

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether the list is there without the label file, beside which the published layout is meant."""
        folder = _parts(path)[0]
        return (folder / PAIRS).is_file() and not (folder / LABEL_FILE).is_file()

    @classmethod
    def sources(cls, path: Path) -> list[Path]:
        """The whole folder, also where a fold's file is named."""
        folder = _parts(path)[0]
        return [folder if (folder / PAIRS).is_file() else path]

    def read(self, path: Path, options: ReaderOptions) -> Iterator[Post]:
        """The posts in the order of the list."""
        folder, fold = _parts(path)
        require_folder(folder)
        file = need_file(folder, PAIRS)
        make = partial(
            _post,
            texts=find_folder(folder, "texts", "data"),
            images=find_folder(folder, "images", "data"),
            splits=_splits(folder, fold),
        )
        rows = ((f"{PAIRS}, line {place + 1}", (place, line)) for place, line in enumerate(lines(file)) if line.strip())
        yield from posts_of(rows, make)
