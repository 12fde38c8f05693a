"""Multi-modal sarcasm detection (MSD, also called HFM) as published: tweets in text files, images by tweet id.

Cai, Cai and Wan, Multi-Modal Sarcasm Detection in Twitter with Hierarchical Fusion Model, ACL 2019. A line is a Python
list: id, text, label by hashtag and, for validation and test, a label by a human annotator, which comes last and is the
one that counts. Tweets with a word that gives the hashtag away are left out, as the authors' loader does: of 29,040
training tweets 19,816 remain.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from datasets.posts import Post
from datasets.readers.base import Reader, ReaderOptions, require_folder
from datasets.readers.published import MalformedRow, class_of, find_file, image_file, need_file, posts_of
from datasets.readers.tabular import lines

CLASSES = ("not sarcastic", "sarcastic")
FILES = {"train.txt": "train", "valid2.txt": "validation", "test2.txt": "test"}
IMAGES = "dataset_image"
GIVE_AWAY = {
    "exgag", "sarcasm", "sarcastic", "reposting", "<url>", "joke", "humour", "humor", "jokes", "irony", "ironic",
}  # fmt: skip
"""Words of a text, as blanks cut it, for which the tweet is left out."""


def _rows(file: Path) -> Iterator[tuple[str, list[object] | None]]:
    """The list in each line that is not blank; None where there is none."""
    for number, line in enumerate(lines(file), start=1):
        if not line.strip():
            continue
        try:
            row = ast.literal_eval(line.strip())
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            row = None
        yield f"{file.name}, line {number}", row if isinstance(row, list) else None


def _post(row: list[object], split: str, images: Path) -> Post:
    is_whole = len(row) == (3 if split == "train" else 4) and all(isinstance(value, str) for value in row[:2])
    if not is_whole or not str(row[0]).isdigit():
        raise MalformedRow("malformed row")
    return Post(
        str(row[0]),
        text=str(row[1]).strip(),
        image=image_file(images, str(row[0])),
        label=class_of(row[-1], CLASSES),
        split=split,
        extra={"hashtag_label": class_of(row[2], CLASSES)},
    )


class Msd(Reader):
    """`text/train.txt`, `text/valid2.txt`, `text/test2.txt` and `dataset_image/<id>.jpg`.

    The label by hashtag is kept as the column hashtag_label.
    """

    name = "msd"
    needs = "a folder with text/train.txt, text/valid2.txt, text/test2.txt and dataset_image/<id>.jpg"
    classes = CLASSES

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether the files of validation and test, whose names are this layout's own, are there."""
        return all(find_file(path, f"text/{name}", name) is not None for name in ("valid2.txt", "test2.txt"))

    def read(self, path: Path, options: ReaderOptions) -> Iterator[Post]:
        """The posts of training, validation and test in the order of the files. Says how many are left out."""
        require_folder(path)
        files = {need_file(path, f"text/{name}", name): split for name, split in FILES.items()}
        images = (path if (path / "text").is_dir() else path.parent) / IMAGES
        left_out = 0
        for file, split in files.items():
            for post in posts_of(_rows(file), partial(_post, split=split, images=images)):
                if GIVE_AWAY.isdisjoint((post.text or "").split()):
                    yield post
                else:
                    left_out += 1
        print(f"{path}: {left_out:,} tweets left out for a word that gives the hashtag away")
