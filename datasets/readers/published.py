"""What readers of published benchmarks share: rows of their files, broken ones told apart, and where the images are.

Nobody who downloads a benchmark wrote it, so a broken row is a post with the reason in `refused`, which ingest lists in
quarantine.csv, and the other rows are read. A file that is missing is a ValueError, as everywhere.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from datasets.posts import Post
from datasets.readers.base import SPLITS
from datasets.readers.tabular import as_integer, as_string, lines
from datasets.text import decode_text
from datasets.tweets import is_inside

SEPARATOR = " | "
"""Between two texts that make the text of a post, as a tweet and what was read off its image. The blanks keep the words
at both ends apart from it."""
SUFFIXES = (".jpg", ".png", ".jpeg", ".gif", ".webp")
"""Of image files, in the order in which they are looked for."""

Row = Mapping[str, object]
Content = TypeVar("Content")


class MalformedRow(Exception):
    """A row that is no post; the message is the reason in a few words."""


def posts_of(rows: Iterable[tuple[str, Content | None]], make: Callable[[Content], Post]) -> Iterator[Post]:
    """The post that `make` makes of each row; a row that is None, or of which it raises MalformedRow, is refused."""
    for where, row in rows:
        try:
            if row is None:
                raise MalformedRow("malformed row")
            yield make(row)
        except MalformedRow as error:
            yield Post(where, refused=str(error))


def cells_of(file: Path, escape: str | None = None) -> Iterator[tuple[str, list[str] | None]]:
    """The fields of each row of a CSV that is not blank, and where it is ("posts.csv, line 7"); None: no valid row."""
    table = csv.reader(lines(file), escapechar=escape)
    while True:
        try:
            cells: list[str] | None = next(table)
        except StopIteration:
            return
        except csv.Error:
            cells = None
        if cells != []:
            yield f"{file.name}, line {table.line_num}", cells


def csv_rows(file: Path, *needed: str) -> Iterator[tuple[str, Row | None]]:
    """The rows of a CSV with a header, by column; None for one with more or fewer fields than the header.

    Raises ValueError, listing the columns found, where one of `needed` is missing.
    """
    rows = cells_of(file)
    header = [name.strip() for name in next(rows, ("", None))[1] or []]
    missing = [name for name in needed if name not in header]
    if missing:
        raise ValueError(f"{file} has no column {missing[0]!r}; it has: {', '.join(filter(None, header)) or 'none'}")
    for where, cells in rows:
        is_whole = cells is not None and len(cells) == len(header)
        yield where, dict(zip(header, cells or [], strict=True)) if is_whole else None


def json_rows(file: Path) -> Iterator[tuple[str, Row | None]]:
    """The objects of a JSON list; None for an entry that is none. Raises ValueError for a file that holds no list."""
    try:
        content = json.loads("".join(lines(file)))
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"{file} is not valid JSON: {error}") from error
    if not isinstance(content, list):
        raise ValueError(f"{file} should hold a list of posts, found a {type(content).__name__}")
    for number, row in enumerate(content, start=1):
        yield f"{file.name}, row {number}", row if isinstance(row, dict) else None


def json_object(file: Path) -> Mapping[str, object]:
    """The one object that a JSON file holds. Raises ValueError for a file that holds something else."""
    try:
        content = json.loads(decode_text(file.read_bytes()))
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"{file} is not valid JSON: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{file} should hold one JSON object, found a {type(content).__name__}")
    return content


def field_of(row: Row, name: str) -> str:
    """What the row has there, without blanks around it. Raises MalformedRow where that is nothing."""
    value = as_string(row.get(name))
    if value is None:
        raise MalformedRow(f"no {name}")
    return value


def file_stem(row: Row, name: str) -> str:
    """The id in the row, which is part of file names. Raises MalformedRow where it is missing or leads elsewhere."""
    identifier = field_of(row, name)
    if not is_inside(identifier):
        raise MalformedRow("unsafe path")
    return identifier


def class_of(value: object, classes: Sequence[str]) -> str | None:
    """The class whose id `value` is or spells, None where it is blank. Raises MalformedRow for any other."""
    if as_string(value) is None:
        return None
    number = as_integer(value)
    if number is None or not 0 <= number < len(classes):
        raise MalformedRow(f"unknown label {str(value)[:40]!r}")
    return classes[number]


def split_of(row: Row, name: str = "split") -> str:
    """The house's word for the row's split. Raises MalformedRow for an unknown one."""
    word = field_of(row, name).lower()
    if word not in SPLITS:
        raise MalformedRow(f"unknown split {word!r}")
    return SPLITS[word]


def join_texts(*texts: object) -> str | None:
    """The texts that are there, with SEPARATOR between them; None where none is."""
    return SEPARATOR.join(filter(None, map(as_string, texts))) or None


def find_file(path: Path, *names: str) -> Path | None:
    """The first of these files below `path` that is there."""
    return next((path / name for name in names if (path / name).is_file()), None)


def need_file(path: Path, *names: str) -> Path:
    """`find_file`, or a ValueError that names the first of them."""
    found = find_file(path, *names)
    if found is None:
        raise ValueError(f"{path / names[0]} is missing: check --dataset and the folder")
    return found


def find_folder(path: Path, *names: str) -> Path:
    """The first of these folders below `path` that is there, else the first, where files will be missed."""
    return next((path / name for name in names if (path / name).is_dir()), path / names[0])


def image_file(folder: Path, stem: str) -> Path:
    """The image called `stem` whatever its suffix; where there is none, the .jpg that ingest then puts aside."""
    found = (folder / f"{stem}{suffix}" for suffix in SUFFIXES)
    return next((file for file in found if file.is_file()), folder / f"{stem}.jpg")
