"""How good a net's answers are as ever more test posts lose a modality."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from datasets.batch import Batch
from datasets.missing import missing_numbers
from evaluation.metrics import score
from evaluation.predict import AVAILABILITY, limit, predict

if TYPE_CHECKING:
    from datasets.store import PostStore

RATES = tuple(step / 10 for step in range(11))
FIGURES = ("accuracy", "macro_f1", "weighted_f1")


def missing_rate_curve(
    net: nn.Module,
    batches_of: Callable[[np.ndarray], Iterable[Batch]],
    rows: np.ndarray,
    store: PostStore,
    seed: int = 0,
    amp: torch.dtype | None = None,
    rates: Sequence[float] = RATES,
) -> list[dict[str, Any]]:
    """Figures by missing modality and rate, over those labelled posts of `rows` that have both modalities.

    At each rate the posts are the same; those that have lost the modality at a lower rate have lost it at a higher one.
    A post's answer depends on nothing but the post, so the net is asked three times, whatever the number of rates.
    Keys: `missing` (image or text), `rate`, `posts`, `without` (posts that have lost it), and FIGURES. Raises
    ValueError where no post has both modalities and a label.
    """
    rows = np.sort(rows[(store.has_image & store.has_text & (store.label >= 0))[rows]])
    if not len(rows):
        raise ValueError("no test post has an image, a text and a label, so none can lose one of them")
    answers = {
        name: predict(net, (limit(batch, name) for batch in batches_of(rows)), amp).probabilities
        for name in AVAILABILITY
    }
    label, numbers = store.label[rows].astype(np.int64), missing_numbers(store.ids(rows), seed)
    curve: list[dict[str, Any]] = []
    for missing, left in (("image", "text_only"), ("text", "image_only")):
        for rate in rates:
            without = numbers < rate
            found = score(np.where(without[:, None], answers[left], answers["full"]), label, store.classes)
            counts = {"missing": missing, "rate": rate, "posts": len(rows), "without": int(without.sum())}
            curve.append(counts | {name: found[name] for name in FIGURES})
    return curve


def write_curve(curve: Sequence[dict[str, Any]], table: Path, picture: Path, name: str) -> None:
    """The curve as CSV, and as PNG: macro-F1 over the rate, one line for each missing modality."""
    with open(table, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(curve[0]))
        writer.writeheader()
        writer.writerows(curve)
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for missing, style in (("image", "o-"), ("text", "s--")):
        points = [point for point in curve if point["missing"] == missing]
        x, y = [100 * point["rate"] for point in points], [point["macro_f1"] for point in points]
        axes.plot(x, y, style, label=f"{missing} missing")
    axes.set(title=name, xlabel="test posts without it, %", ylabel="macro-F1")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(picture, dpi=150)
