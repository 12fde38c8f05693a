"""Any table of posts: CSV, TSV, JSON lines, JSON or Parquet, its columns named by flags."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from datasets.posts import SENTIMENTS, Post
from datasets.readers.base import SPLITS, Reader, ReaderOptions, class_name
from datasets.readers.tabular import SUFFIXES, Row, as_integer, as_string, column_names, is_missing, read_rows
from datasets.store import RESERVED, order_classes

LABEL_COLUMNS = ("text_label", "image_label")
"""Columns that hold labels besides the post's own."""
OTHER_COLUMNS = ("split", "group", "paraphrase")
TEACHER = "teacher_"
"""Start of the columns of a teacher's probabilities: teacher_negative, teacher_neutral, teacher_positive."""
NO_LABEL = {"na", "n/a", "nan", "null"}
"""What stands where a label is missing, besides a blank: what pandas, R and spreadsheets write."""
MOST_CLASSES = 1000
MOST_FAULTS = 5
"""Broken rows of a table that are told of at once."""


def _has_no_label(value: object) -> bool:
    return is_missing(value) or str(value).strip().lower() in NO_LABEL


@dataclass(frozen=True)
class Columns:
    """What a table has: its columns, how its labels are written, and the teacher's columns by class name."""

    names: tuple[str, ...]
    by_number: bool
    teacher: dict[str, str]

    def label(self, value: object) -> str | None:
        """The class name of a cell; None where it is missing."""
        if _has_no_label(value):
            return None
        number = as_integer(value) if self.by_number else None
        return class_name(str(value)) if number is None else SENTIMENTS[number]


def _check_columns(file: Path, names: tuple[str, ...], options: ReaderOptions) -> None:
    """Raise ValueError, listing the columns found and the flag to adjust, where one is missing."""
    found = f"it has: {', '.join(names) or 'none'}"
    if options.id_column not in names:
        raise ValueError(f"{file} has no column {options.id_column!r} for the id ({found}): name it with --id_column")
    if options.text_column not in names and options.image_column not in names:
        raise ValueError(
            f"{file} has neither a column {options.text_column!r} for the text nor {options.image_column!r} for the "
            f"image ({found}): name them with --text_column and --image_column"
        )
    named = (options.id_column, options.text_column, options.image_column, options.label_column)
    unread = [name for name in names if name not in (*named, *LABEL_COLUMNS, *OTHER_COLUMNS)]
    unread = [name for name in unread if not name.startswith(TEACHER)]
    for flag in ("text_column", "image_column"):
        wanted = getattr(options, flag)
        if not wanted or wanted in names:
            continue
        if wanted != getattr(ReaderOptions(), flag):
            raise ValueError(f"{file} has no column {wanted!r} ({found}): check --{flag}")
        if unread:
            what = flag.removesuffix("_column")
            warnings.warn(
                f"{file} has no column {wanted!r}, so its posts have no {what}; if it is one of "
                f"{', '.join(unread)}, name it with --{flag}",
                stacklevel=2,
            )
    if options.labels_needed and options.label_column and options.label_column not in names:
        raise ValueError(
            f"{file} has no column {options.label_column!r} for the label ({found}): name it with --label_column, "
            "or give --label_column '' where no post has a label"
        )


def _labels_by_number(path: Path, found: set[object]) -> bool:
    """Whether the labels are the ids of the three sentiments. Raises ValueError for numbers of another meaning."""
    numbers = {as_integer(value) for value in found}
    if None in numbers:
        if len(numbers) > 1:
            raise ValueError(f"{path} has both names and numbers as labels: {_shown(found)}; write names")
        return False
    # Without a 2 the numbers may as well be those of two classes, where 1 is positive.
    if found and not (2 in numbers and numbers <= {0, 1, 2}):
        raise ValueError(
            f"{path} has the numbers {_shown(found)} as labels: only 0, 1, 2 for negative, neutral, positive are "
            "known; write the class names instead"
        )
    return bool(found)


def _shown(values: set[object]) -> str:
    return ", ".join(sorted(map(str, values))[:10])


def _labels(file: Path, names: tuple[str, ...], options: ReaderOptions) -> set[object]:
    """The different labels of a table as they are written."""
    wanted = tuple(name for name in (options.label_column, *LABEL_COLUMNS) if name in names)
    found: set[object] = set()
    for where, row in read_rows(file, options.id_column, only=wanted) if wanted else ():
        for name in wanted:
            value = row.get(name)
            if isinstance(value, list | dict):
                raise ValueError(f"{where} has {str(value)[:80]} as {name}: a label is one name or number")
            if not _has_no_label(value):
                found.add(value.strip() if isinstance(value, str) else value)
        if len(found) > MOST_CLASSES:
            raise ValueError(f"{file} has more than {MOST_CLASSES} different labels: is --label_column right?")
    return found


def _teacher_columns(file: Path, names: tuple[str, ...]) -> dict[str, str]:
    """The teacher's columns by class name, in the order of the class ids."""
    columns = {class_name(name.removeprefix(TEACHER)): name for name in names if name.startswith(TEACHER)}
    if len(columns) == 1:
        raise ValueError(f"{file} has only one {TEACHER} column, {names}: there should be one for each class")
    return {name: columns[name] for name in order_classes(set(columns))}


def survey(path: Path, files: list[Path], options: ReaderOptions) -> list[Columns]:
    """Read the columns and labels of tables once before their posts: what a label means depends on all of them."""
    tables = [column_names(file, options.id_column) for file in files]
    found: set[object] = set()
    for file, names in zip(files, tables, strict=True):
        _check_columns(file, names, options)
        found |= _labels(file, names, options)
    by_number = _labels_by_number(path, found)
    labels = set(SENTIMENTS) if by_number else {class_name(str(value)) for value in found}
    surveyed = []
    for file, names in zip(files, tables, strict=True):
        teacher = _teacher_columns(file, names)
        if teacher and not labels <= set(teacher):
            raise ValueError(f"{file} has {TEACHER} columns for {', '.join(teacher)} but labels {_shown(set(labels))}")
        surveyed.append(Columns(names, by_number, teacher))
    if len({tuple(columns.teacher) for columns in surveyed if columns.teacher}) > 1:
        raise ValueError(f"the tables in {path} have {TEACHER} columns for different classes")
    return surveyed


def _image(value: object, folder: Path) -> Path | bytes | None:
    """An image's file or bytes; Hugging Face's {"bytes", "path"} is known."""
    if isinstance(value, dict):
        value = value.get("bytes") or value.get("path")
    if isinstance(value, bytes):
        return value or None
    name = as_string(value)
    return folder / name if name else None


def _extra(value: object) -> str | int | float | bool | None:
    """A value that the store can keep: what is no string or number becomes its string."""
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return str(value)


class BrokenRow(ValueError):
    """A row that is no post; `reason` in a few words."""

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class TableFile:
    """One table file, its columns and the split that its name stands for.

    A row of Parquet, which a crawl's machinery wrote and nobody mends by hand, is refused by itself where it has no id
    or no probabilities for a teacher's; in a table of text such rows raise, MOST_FAULTS at a time.
    """

    def __init__(self, file: Path, columns: Columns, options: ReaderOptions, split: str | None) -> None:
        self.file = file
        self.columns = columns
        self.options = options
        self.split = split
        named = (options.id_column, options.text_column, options.image_column, options.label_column)
        known = {*named, *LABEL_COLUMNS, *OTHER_COLUMNS, *columns.teacher.values()}
        self.extra = {
            name: f"{name}_in_table" if name in RESERVED else name for name in columns.names if name not in known
        }

    def posts(self) -> Iterator[Post]:
        """The posts in the table's order."""
        faults: list[str] = []
        for where, row in read_rows(self.file, self.options.id_column):
            try:
                post = self._post(row, where)
            except BrokenRow as error:
                if self.file.suffix.lower() != ".parquet":
                    faults.append(str(error))
                    if len(faults) == MOST_FAULTS:
                        break
                    continue
                post = Post(where.removeprefix(f"{self.file.parent}/").removesuffix(","), refused=error.reason)
            if not faults:
                yield post
        if faults:
            raise ValueError("; ".join(faults))

    def _post(self, row: Row, where: str) -> Post:
        options, columns = self.options, self.columns
        identifier = as_string(row.get(options.id_column))
        if identifier is None:
            column = options.id_column
            raise BrokenRow(f"{where} has no id in the column {column!r}: every post needs one", "no id")
        return Post(
            id=identifier,
            text=as_string(row.get(options.text_column)),
            image=_image(row.get(options.image_column), self.file.parent),
            label=columns.label(row.get(options.label_column)),
            text_label=columns.label(row.get("text_label")),
            image_label=columns.label(row.get("image_label")),
            teacher=self._teacher(row, where),
            paraphrase=as_string(row.get("paraphrase")),
            group=as_string(row.get("group")),
            split=self._split(row, where),
            extra={kept: _extra(row.get(name)) for name, kept in self.extra.items()},
        )

    def _split(self, row: Row, where: str) -> str | None:
        word = as_string(row.get("split"))
        if word is None:
            return self.split
        if word.lower() not in SPLITS:
            raise ValueError(f"{where} has {word!r} as split; known are {', '.join(SPLITS)}")
        return SPLITS[word.lower()]

    def _teacher(self, row: Row, where: str) -> tuple[float, ...] | None:
        """Probabilities in the order of the class names; None where all are missing."""
        values = [row.get(name) for name in self.columns.teacher.values()]
        if all(is_missing(value) for value in values):
            return None
        try:
            probabilities = tuple(float(str(value)) for value in values)
        except ValueError:
            probabilities = (math.nan,)
        if not all(0 <= value <= 1 for value in probabilities):
            raise BrokenRow(
                f"{where} has {values} in its {TEACHER} columns: probabilities from 0 to 1 should be there",
                f"no probabilities in its {TEACHER} columns",
            )
        return probabilities


def _tables(path: Path) -> list[tuple[Path, str | None]]:
    """Table files at `path` with the split that a file's name stands for: the file itself, or those of a folder.

    In a folder these are tables named after splits, or the only table. JSON counts only as a file that is named.
    """
    if not path.is_dir():
        return [(path, None)]
    files = sorted(
        file for file in path.iterdir() if file.suffix.lower() in SUFFIXES and file.suffix.lower() != ".json"
    )
    splits = [(file, SPLITS[file.stem.lower()]) for file in files if file.stem.lower() in SPLITS]
    if splits:
        return sorted(splits, key=lambda item: ("train", "validation", "test").index(item[1]))
    return [(file, None) for file in files] if len(files) == 1 else []


class Table(Reader):
    """A table file, or a folder with one, or with tables named after splits (train.csv, test.csv).

    Columns: id, text, image (a file relative to the table's folder, or encoded bytes) and label, named by the flags;
    text_label, image_label, split, group, paraphrase and teacher_<class> where there are any; all others are kept, one
    that has the name of a store's own column as <name>_in_table. Labels are names, or 0, 1, 2 for negative, neutral,
    positive; a blank one, or one of NO_LABEL, is none.
    """

    name = "table"
    needs = f"a table ({' '.join(SUFFIXES)}) with columns for id, text and/or image file, and label"
    generic = True

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether it is a table by its name, or a folder whose tables are clear."""
        if path.is_dir():
            return bool(_tables(path))
        return path.is_file() and path.suffix.lower() in SUFFIXES

    def read(self, path: Path, options: ReaderOptions) -> Iterator[Post]:
        """The posts in the order of the table; of several tables, train before validation before test.

        Sets `classes` where labels by number or a teacher's columns say what they are.
        """
        files = _tables(path)
        if not files:
            raise ValueError(f"{path} should hold one table, or tables named train, val and test: give the file itself")
        surveyed = survey(path, [file for file, _ in files], options)
        tables = [
            TableFile(file, columns, options, split) for (file, split), columns in zip(files, surveyed, strict=True)
        ]
        teacher = next((tuple(columns.teacher) for columns in surveyed if columns.teacher), None)
        self.classes = SENTIMENTS if any(columns.by_number for columns in surveyed) else teacher
        return self._posts(path, tables)

    def _posts(self, path: Path, tables: list[TableFile]) -> Iterator[Post]:
        found = False
        for table in tables:
            for post in table.posts():
                found = True
                yield post
        if not found:
            raise ValueError(f"{path} has a header but no post")
