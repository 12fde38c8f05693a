"""The layout of SCRD's relabelled MVSA: train.json and test.json beside a folder of images and texts.

Xia et al., Seek Common Ground While Reserving Differences, CVPR 2025. Its label ids are not the house's: 0 is positive,
1 negative, 2 neutral.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from datasets.posts import SENTIMENTS, Post
from datasets.readers.base import Reader, ReaderOptions, read_text_file, require_folder
from datasets.text import decode_text

LABELS = ("positive", "negative", "neutral")
"""Class names in the order of this layout's ids."""

FILES = {"train.json": "train", "test.json": "test"}
"""Files of labels and the split that each stands for. The published protocol has no validation file."""


def _label(row: dict[str, object], key: str, where: str) -> str | None:
    """The class name of the integer under `key`; None where it is null or, for the parts of a post, absent."""
    value = row.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(
            f"{where} has {value!r} as {key}; this layout has the numbers 0 positive, 1 negative, 2 neutral"
        )
    if not 0 <= value < len(LABELS):
        raise ValueError(f"{where} has the unknown {key} {value}; known are 0 positive, 1 negative, 2 neutral")
    return LABELS[value]


def _load(file: Path) -> dict[str, dict[str, object]]:
    """Rows by post id. Raises ValueError for what is no object of objects, or an id given twice."""

    def unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
        row = dict(pairs)
        if len(row) < len(pairs):
            names = [name for name, _ in pairs]
            repeated = next(name for name in names if names.count(name) > 1)
            raise ValueError(f"{file} has {repeated!r} twice: keep one of them")
        return row

    try:
        rows = json.loads(decode_text(file.read_bytes()).removeprefix("\ufeff"), object_pairs_hook=unique)
    except json.JSONDecodeError as error:
        raise ValueError(f"{file} is not valid JSON: {error}") from error
    if not isinstance(rows, dict):
        raise ValueError(f"{file} should be an object that is keyed by post id, found a {type(rows).__name__}")
    for identifier, row in rows.items():
        if not isinstance(row, dict) or "label" not in row:
            raise ValueError(f"{file}, id {identifier}: an object with the key 'label' should be there, found {row!r}")
    return rows


class Scrd(Reader):
    """`train.json` and `test.json` ({id: {label, img_label, text_label}}), `data/<id>.jpg` and `data/<id>.txt`."""

    name = "scrd"
    needs = "a folder with train.json and/or test.json keyed by id, data/<id>.jpg and data/<id>.txt"
    classes = SENTIMENTS

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether train.json or test.json lies beside a folder `data`."""
        return (path / "data").is_dir() and any((path / name).is_file() for name in FILES)

    def read(self, path: Path, options: ReaderOptions) -> Iterator[Post]:
        """The posts of train.json in its order, then those of test.json."""
        require_folder(path)
        data = path / "data"
        if not data.is_dir():
            raise ValueError(f"{data} is missing: the scrd layout keeps <id>.jpg and <id>.txt in this folder")
        files = [path / name for name in FILES if (path / name).is_file()]
        if not files:
            raise ValueError(f"{path} has neither train.json nor test.json, one of which the scrd layout needs")
        seen: dict[str, str] = {}
        for file in files:
            for identifier, row in _load(file).items():
                if identifier in seen:
                    raise ValueError(
                        f"{file} has the id {identifier} that {seen[identifier]} has too: keep one of them"
                    )
                seen[identifier] = file.name
                where = f"{file}, id {identifier},"
                yield Post(
                    id=identifier,
                    text=read_text_file(data / f"{identifier}.txt"),
                    image=data / f"{identifier}.jpg",
                    label=_label(row, "label", where),
                    text_label=_label(row, "text_label", where),
                    image_label=_label(row, "img_label", where),
                    split=FILES[file.name],
                )
