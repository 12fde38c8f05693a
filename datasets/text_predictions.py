"""A text teacher's probabilities by tweet id, as T4SA 2.0 keeps them: a CSV with the header TWID,NEG,NEU,POS."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

FILE = "t4sa2.0_text_prediction_final.csv"
COLUMNS = ("TWID", "NEG", "NEU", "POS")


class TextPredictions:
    """Probabilities of millions of tweets in 20 bytes each."""

    def __init__(self, file: Path | str) -> None:
        """Read the file in blocks. Of an id that is there twice the first row counts, and one of -1 is no answer.

        A row with a blank or NaN is dropped, as T4SA's authors dropped theirs, and it is said how many were. Raises
        ValueError for a file that is missing, malformed, lacks a column or holds what is no probability.
        """
        ids, answers, rows, dropped = [], [], 0, 0
        for batch in _batches(Path(file)):
            blank = np.any([pc.is_null(column, nan_is_null=True) for column in batch.columns], axis=0)
            columns = [column.fill_null(0).to_numpy(zero_copy_only=False)[~blank] for column in batch.columns]
            ids.append(columns[0].astype(np.int64))
            answers.append(np.stack(columns[1:], axis=1).astype(np.float32))
            _check(Path(file), answers[-1], rows + np.flatnonzero(~blank))
            rows, dropped = rows + len(blank), dropped + int(blank.sum())
        if not rows:
            raise ValueError(f"{file} holds no prediction: rows should follow the columns {','.join(COLUMNS)}")
        if dropped:
            print(f"{file}: {dropped:,} of {rows:,} rows are dropped, because they have a blank or NaN")
        identifiers, probabilities = np.concatenate(ids), np.concatenate(answers)
        order = np.argsort(identifiers, kind="stable")
        order = order[np.all(probabilities >= 0, axis=1)[order]]
        self._ids, self._probabilities = identifiers[order], probabilities[order]

    def __len__(self) -> int:
        return len(self._ids)

    def of(self, tweets: np.ndarray) -> np.ndarray:
        """(M, 3) float32 probabilities of negative, neutral, positive for tweets (M,) int64; zeros where none are."""
        if not len(self):
            return np.zeros((len(tweets), 3), np.float32)
        place = np.minimum(np.searchsorted(self._ids, tweets), len(self) - 1)
        return np.where((self._ids[place] == tweets)[:, None], self._probabilities[place], np.float32(0))


def _batches(file: Path) -> Iterator[pa.RecordBatch]:
    """The columns of the file, in blocks. Raises ValueError where it is no such table."""
    types = dict(zip(COLUMNS, (pa.int64(), *[pa.float32()] * 3), strict=True))
    convert = pa.csv.ConvertOptions(column_types=types, include_columns=list(COLUMNS))
    reading = pa.csv.ReadOptions(use_threads=False)  # with threads it does not know which row is wrong
    try:
        yield from pa.csv.open_csv(str(file), read_options=reading, convert_options=convert)
    except (OSError, KeyError, pa.ArrowInvalid) as error:
        row = re.search(r"Row #(\d+)", str(error))
        where = f"{file}, line {_line(file, int(row[1]))}," if row else str(file)
        raise ValueError(
            f"{where} is no table of a teacher's predictions with the columns {','.join(COLUMNS)}: {error}"
        ) from error


def _check(file: Path, probabilities: np.ndarray, rows: np.ndarray) -> None:
    """Raise ValueError where one of (M, 3) is neither an answer nor the want of one; `rows` (M,) count from 0."""
    is_answer = ((probabilities >= 0) & (probabilities <= 1)).all(1)
    wrong = np.flatnonzero(~is_answer & ~(probabilities < 0).all(1))
    if len(wrong):
        found = probabilities[wrong[0]].tolist()
        raise ValueError(
            f"{file}, line {_line(file, int(rows[wrong[0]]) + 2)}, holds numbers that are no probabilities, {found}: "
            "they should be from 0 to 1, or -1 for no answer"
        )


def _line(file: Path, row: int) -> int:
    """The number of the line with row `row`, both from 1 and the header the first: rows leave out blank lines."""
    with file.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            row -= bool(line.strip(b"\r\n"))
            if not row:
                return number
    raise AssertionError("the row was read from this file")
