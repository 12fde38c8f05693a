"""The result files of the auxiliary-losses system (Sanchez Villegas et al., Findings of EACL 2024)."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from datasets.folders import new_result
from evaluation.metrics import class_f1

METRICS = (
    "f1_weighted", "f1_macro", "precision_weighted", "precision_macro", "recall_weighted", "recall_macro", "loss",
)  # fmt: skip
"""Rows of a table of figures, in the published order."""


def averages(confusion: Sequence[Sequence[int]]) -> dict[str, float]:
    """F1, precision and recall, each as the mean over the classes by their posts ("weighted") and evenly ("macro").

    `confusion` has C lists of C counts, rows are the truth. A precision or recall without a post is 0, as in
    scikit-learn; a class that is neither true nor predicted does not count.
    """
    counts = np.asarray(confusion, dtype=np.float64)
    hits, true, predicted = np.diagonal(counts), counts.sum(1), counts.sum(0)
    by_class = {
        "f1": np.nan_to_num(class_f1(counts)),
        "precision": hits / np.maximum(predicted, 1),
        "recall": hits / np.maximum(true, 1),
    }
    weights = {"weighted": true, "macro": (true + predicted > 0).astype(np.float64)}
    return {
        f"{name}_{kind}": float(values @ weight / weight.sum())
        for name, values in by_class.items()
        for kind, weight in weights.items()
    }


def write_epochs(path: Path, figures: Mapping[int, Mapping[str, float]]) -> None:
    """Write the figures of each epoch, counted from 1: the columns `metric`, `epoch-1`, `epoch-2` and so on."""
    epochs = sorted(figures)
    rows = ([name, *(figures[epoch][name] for epoch in epochs)] for name in METRICS)
    _write(path, ["metric", *(f"epoch-{epoch}" for epoch in epochs)], rows)


def write_figures(path: Path, figures: Mapping[str, float]) -> None:
    """Write the figures of one evaluation: the columns `metric` and `result`."""
    _write(path, ["metric", "result"], ([name, figures[name]] for name in METRICS))


def write_classes(path: Path, ids: Sequence[str], label: np.ndarray, prediction: np.ndarray) -> None:
    """Write the class ids of N posts: the columns `data_id`, `label` and `prediction`."""
    _write(path, ["data_id", "label", "prediction"], zip(ids, label.tolist(), prediction.tolist(), strict=True))


def _write(path: Path, header: Sequence[str], rows: Iterable[Iterable[object]]) -> None:
    """The file appears whole or not at all. Raises ValueError where it cannot be written."""
    with new_result(path, "; see --results_dir") as partial, partial.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])
