"""Answers of three classes for a benchmark of two: neutral is dropped. Their files, figures and comparison."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from datasets.folders import new_result
from evaluation.intervals import Interval, McNemar, bootstrap_auc, bootstrap_confusion, bootstrap_macro_f1, mcnemar
from evaluation.metrics import accuracy, class_f1, confusion_matrix

COLUMNS = ("NEG", "NEU", "POS")
"""Columns of a file of answers, one row an image in the order of the benchmark's table."""


def without_neutral(probabilities: np.ndarray, offset: float = 0.0) -> np.ndarray:
    """(N,) int64 classes from (N, 3): 1 where positive is more probable than negative, 0 where it is not, or equal.

    With an `offset` (evaluation/offset.py) it is so where log p(positive) - log p(negative) exceeds it.
    """
    return (probabilities[:, 2] > np.exp(offset) * probabilities[:, 0]).astype(np.int64)


def two_class_accuracy(probabilities: np.ndarray, label: np.ndarray) -> float:
    """Share of the images whose class, without neutral, is their `label` (N,), 0 or 1."""
    return float((without_neutral(probabilities) == label).mean())


@dataclass(frozen=True)
class TwoClassFigures:
    """How good the answers for a benchmark are, each figure with its 95 % interval by the bootstrap."""

    accuracy: Interval
    macro_f1: Interval
    auc: Interval
    f1: tuple[float, float]  # of negative and positive; NaN for a class that is neither true nor answered

    def describe(self) -> str:
        """All of it on one line, in per cent."""
        figures = {"accuracy": self.accuracy, "macro-F1": self.macro_f1, "AUC": self.auc}
        parts = [f"{name} {_percent(one.mean)} {_range(one)}" for name, one in figures.items()]
        negative, positive = map(_percent, self.f1)
        return f"{', '.join(parts)}, F1 negative {negative}, F1 positive {positive}; {self.accuracy.count:,} images"


def _range(one: Interval) -> str:
    return f"[{_percent(one.low)}, {_percent(one.high)}]"


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def score_two_classes(
    probabilities: np.ndarray, label: np.ndarray, seed: int = 0, offset: float = 0.0
) -> TwoClassFigures:
    """Figures of (N, 3) probabilities against (N,) labels, 0 negative and 1 positive; `seed` draws the resamples.

    `offset`: see `without_neutral`; the ROC curve has none.

    The score of the ROC curve is the probability of positive as it is. Raises ValueError where one is not finite.
    """
    if not np.isfinite(probabilities).all():
        broken = int((~np.isfinite(probabilities)).any(axis=1).sum())
        raise ValueError(f"the model's probabilities are not finite for {broken} of {len(label)} images")
    answer = without_neutral(probabilities, offset)
    negative, positive = class_f1(confusion_matrix(label, answer, 2)).tolist()
    return TwoClassFigures(
        accuracy=bootstrap_confusion(label, answer, 2, accuracy, seed=seed),
        macro_f1=bootstrap_macro_f1(label, answer, 2, seed=seed),
        auc=bootstrap_auc(label == 1, probabilities[:, 2], seed=seed),
        f1=(negative, positive),
    )


def compare_two_classes(first: np.ndarray, second: np.ndarray, label: np.ndarray) -> McNemar:
    """McNemar's test of two models' (N, 3) probabilities on the same images."""
    return mcnemar(without_neutral(first) == label, without_neutral(second) == label)


def write_answers(path: Path, probabilities: np.ndarray) -> Path:
    """Write (N, 3) probabilities as CSV with the header NEG,NEU,POS. The file appears whole or not at all.

    Raises ValueError where it cannot be written.
    """
    lines = [",".join(COLUMNS), *(",".join(map(str, row)) for row in probabilities.astype(np.float32))]
    with new_result(path) as partial:
        partial.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def read_answers(path: Path, count: int) -> np.ndarray:
    """The (N, 3) probabilities of a file as `write_answers` leaves it, of `count` images.

    Raises ValueError for another table, and for one of other images.
    """
    try:
        lines = path.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"--against {path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if lines[:1] != [",".join(COLUMNS)]:
        raise ValueError(f"--against {path} should begin with {','.join(COLUMNS)}, found {''.join(lines[:1])[:80]!r}")
    try:
        rows = np.array([[float(value) for value in line.split(",")] for line in lines[1:]])
    except ValueError as error:
        raise ValueError(f"--against {path} should hold three numbers in each row ({error})") from error
    if not np.isfinite(rows).all():
        raise ValueError(f"--against {path} should hold three numbers in each row, found one that is not finite")
    if rows.shape != (count, len(COLUMNS)):
        raise ValueError(f"--against {path} has {len(lines) - 1:,} rows, the benchmark has {count:,} images")
    return rows
