"""A text teacher's probabilities by tweet id, as T4SA 2.0 keeps them: a CSV with the header TWID,NEG,NEU,POS."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv

FILE = "t4sa2.0_text_prediction_final.csv"
COLUMNS = ("TWID", "NEG", "NEU", "POS")


class TextPredictions:
    """Probabilities of millions of tweets in 20 bytes each."""

    def __init__(self, file: Path | str) -> None:
        """Read the file in blocks. Of an id that is there twice the first row counts, and one of -1 is no answer.

        Raises ValueError for a file that is missing, malformed, lacks a column or holds what is no probability.
        """
        ids, answers = [], []
        try:
            types = dict(zip(COLUMNS, (pa.int64(), *[pa.float32()] * 3), strict=True))
            convert = pa.csv.ConvertOptions(column_types=types, include_columns=list(COLUMNS))
            for batch in pa.csv.open_csv(str(file), convert_options=convert):
                columns = [batch.column(name).to_numpy(zero_copy_only=False) for name in COLUMNS]
                ids.append(columns[0])
                answers.append(np.stack(columns[1:], axis=1).astype(np.float32))
            identifiers = np.concatenate(ids).astype(np.int64)
        except (OSError, KeyError, ValueError, pa.ArrowInvalid) as error:
            raise ValueError(
                f"{file} is no table of a teacher's predictions with the columns {','.join(COLUMNS)}: {error}"
            ) from error
        probabilities = np.concatenate(answers)
        is_answer = np.asarray((probabilities >= 0).all(1))
        if not ((probabilities[is_answer] <= 1).all() and (probabilities[~is_answer] < 0).all()):
            raise ValueError(f"{file} holds numbers that are no probabilities: from 0 to 1, or -1 for no answer")
        order = np.argsort(identifiers, kind="stable")
        order = order[is_answer[order]]
        self._ids, self._probabilities = identifiers[order], probabilities[order]

    def __len__(self) -> int:
        return len(self._ids)

    def of(self, tweets: np.ndarray) -> np.ndarray:
        """(M, 3) float32 probabilities of negative, neutral, positive for tweets (M,) int64; zeros where none are."""
        if not len(self):
            return np.zeros((len(tweets), 3), np.float32)
        place = np.minimum(np.searchsorted(self._ids, tweets), len(self) - 1)
        return np.where((self._ids[place] == tweets)[:, None], self._probabilities[place], np.float32(0))
