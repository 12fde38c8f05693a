"""Rows of a table file, one at a time, whatever its format: CSV, TSV, JSON lines, JSON or Parquet."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path

import pyarrow
import pyarrow.parquet

from datasets.text import decode_text

SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet")
PARQUET_ROWS = 1024
"""Rows that are turned into Python objects at a time: few, because a row may hold an image."""

Row = Mapping[str, object]
"""Values by column name: strings in CSV and TSV, else what the format holds."""


def is_missing(value: object) -> bool:
    """None, not-a-number and blank strings, which are what formats write where there is nothing."""
    return (
        value is None
        or (isinstance(value, float) and math.isnan(value))
        or (isinstance(value, str) and not value.strip())
    )


def as_string(value: object) -> str | None:
    """The value as a string without blanks around it, None where it is missing."""
    return None if is_missing(value) else str(value).strip()


def as_integer(value: object) -> int | None:
    """The whole number that `value` is or spells ("2", "2.0"), None where it is something else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return int(number) if number.is_integer() else None


def column_names(file: Path, id_column: str) -> tuple[str, ...]:
    """Every column of the table; of JSON, where a row may lack a key, all keys of all rows."""
    _require_table(file)
    if file.suffix.lower() == ".parquet":
        return tuple(_open_parquet(file).schema_arrow.names)
    if file.suffix.lower() in (".csv", ".tsv"):
        return tuple(filter(None, _names(next(_cells(file), (0, []))[1])))
    names: dict[str, None] = {}
    for _, row in read_rows(file, id_column):
        names.update(dict.fromkeys(row))
    return tuple(names)


def read_rows(file: Path, id_column: str, only: tuple[str, ...] | None = None) -> Iterator[tuple[str, Row]]:
    """Each row, with the words that say where it is ("posts.csv, line 7,").

    `only` names the columns that are wanted; others may be left out where that saves reading. JSON may be a list of
    objects or one object keyed by id, whose keys become the column `id_column`; it is read whole, the others are not.
    Raises ValueError for a file that is missing or not of its format, and for a malformed row.
    """
    _require_table(file)
    suffix = file.suffix.lower()
    if suffix == ".parquet":
        yield from _parquet_rows(file, only)
    elif suffix in (".csv", ".tsv"):
        yield from _separated_rows(file)
    elif suffix in (".jsonl", ".ndjson"):
        yield from _json_lines(file)
    else:
        yield from _json_rows(file, id_column)


def _require_table(file: Path) -> None:
    if not file.is_file():
        raise ValueError(f"{file} is missing or no file: check --data_dir, --train_data_dir and --test_data_dir")
    if file.suffix.lower() not in SUFFIXES:
        raise ValueError(f"{file} is no table that is known: its name should end in {', '.join(SUFFIXES)}")


def _open_parquet(file: Path) -> pyarrow.parquet.ParquetFile:
    try:
        return pyarrow.parquet.ParquetFile(file)
    except pyarrow.ArrowInvalid as error:
        raise ValueError(f"{file} is not a Parquet file that can be read: {error}") from error


def _parquet_rows(file: Path, only: tuple[str, ...] | None) -> Iterator[tuple[str, Row]]:
    number = 0
    with _open_parquet(file) as table:
        try:
            for batch in table.iter_batches(PARQUET_ROWS, columns=None if only is None else list(only)):
                for row in batch.to_pylist():
                    number += 1
                    yield f"{file}, row {number},", row
        except (pyarrow.ArrowInvalid, OSError) as error:
            raise ValueError(f"{file} cannot be read after row {number}: {error}") from error


def lines(file: Path) -> Iterator[str]:
    """Lines of a text file with their ends; a byte order mark is taken off."""
    with file.open("rb") as raw:
        for number, line in enumerate(raw):
            if number == 0 and line.startswith((b"\xff\xfe", b"\xfe\xff")):
                raise ValueError(f"{file} is written in UTF-16: save it as UTF-8")
            yield decode_text(line).removeprefix("\ufeff") if number == 0 else decode_text(line)


def _is_plain(file: Path) -> bool:
    """Whether every line of a TSV has the same number of tabs, so that a line is a row and a quote is just a quote.

    Published tweets are often so written, with a lone quote at the start of a text, which the rules of CSV would take
    for the beginning of a field that goes on over many lines.
    """
    with file.open("rb") as raw:
        return len({line.count(b"\t") for line in raw if line.strip()}) <= 1


def _unquote(field: str) -> str:
    """The content of a field that is quoted from its first to its last character, any other field as it stands."""
    inner = field[1:-1]
    is_quoted = len(field) > 1 and field[0] == field[-1] == '"' and '"' not in inner.replace('""', "")
    return inner.replace('""', '"') if is_quoted else field


def _cells(file: Path) -> Iterator[tuple[int, list[str]]]:
    """Line number and fields of each row that is not blank, the header first."""
    if file.suffix.lower() == ".tsv" and _is_plain(file):
        for number, line in enumerate(lines(file), start=1):
            if line.strip():
                yield number, [_unquote(field) for field in line.rstrip("\r\n").split("\t")]
        return
    header = next(lines(file), "")
    separators = "\t" if file.suffix.lower() == ".tsv" else ",;\t"
    delimiter = next((mark for mark in separators if mark in header), separators[0])
    table = csv.reader(lines(file), delimiter=delimiter, strict=True)
    try:
        for cells in table:
            if cells:
                yield table.line_num, cells
    except csv.Error as error:
        raise ValueError(
            f"{file}, line {table.line_num}, is no valid row ({error}): check its quotes; a field may have "
            f"{csv.field_size_limit():,} characters"
        ) from error


def _names(header: list[str]) -> list[str]:
    """The columns that a header names, some perhaps by nothing."""
    return [name.strip() for name in header]


def _separated_rows(file: Path) -> Iterator[tuple[str, Row]]:
    rows = _cells(file)
    header = _names(next(rows, (0, []))[1])
    named = [name for name in header if name]
    if len(set(named)) < len(named):
        raise ValueError(f"{file} has two columns of one name in its header: {', '.join(header)}")
    for number, cells in rows:
        where = f"{file}, line {number},"
        if len(cells) != len(header):
            raise ValueError(f"{where} has {len(cells)} fields where the header has {len(header)}: {cells}"[:400])
        # A column without a name is the row number that pandas writes.
        yield where, {name: cell for name, cell in zip(header, cells, strict=True) if name}


def _object(text: str, where: str) -> Row:
    try:
        row = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"{where} is not valid JSON: {error}") from error
    if not isinstance(row, dict):
        raise ValueError(f"{where} should be one JSON object, found {text[:80]!r}")
    return row


def _json_lines(file: Path) -> Iterator[tuple[str, Row]]:
    for number, line in enumerate(lines(file), start=1):
        if line.strip():
            where = f"{file}, line {number},"
            yield where, _object(line, where)


def _json_rows(file: Path, id_column: str) -> Iterator[tuple[str, Row]]:
    try:
        content = json.loads("".join(lines(file)))
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"{file} is not valid JSON ({error}); with one object a line, name it .jsonl") from error
    if isinstance(content, dict):
        content = [{id_column: key, **row} if isinstance(row, dict) else row for key, row in content.items()]
    if not isinstance(content, list):
        raise ValueError(f"{file} should hold a list of objects, found a {type(content).__name__}")
    for number, row in enumerate(content, start=1):
        where = f"{file}, row {number},"
        if not isinstance(row, dict):
            raise ValueError(f"{where} should be an object, found {str(row)[:80]!r}")
        yield where, row
