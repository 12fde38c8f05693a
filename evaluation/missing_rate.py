"""How good a net's answers are as ever more test posts lose a modality."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from datasets.batch import Batch
from datasets.missing import missing_numbers
from evaluation.intervals import Interval, mean_interval
from evaluation.metrics import score
from evaluation.predict import AVAILABILITY, limit, predict

if TYPE_CHECKING:
    from datasets.store import PostStore

RATES = tuple(step / 10 for step in range(11))
FIGURES = ("accuracy", "macro_f1", "weighted_f1")
TEST, TRAINING_AND_TEST = "test", "training and test"
"""Where posts have lost a modality."""


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


@dataclass(frozen=True)
class Curve:
    """`missing_rate_curve` of one run, and the rates at which its training posts lost a modality, by modality."""

    method: str
    trained: Mapping[str, float]
    points: Sequence[Mapping[str, Any]]

    @property
    def lost_both(self) -> bool:
        """Whether training posts lost images and texts: no line of `average` is for such a run."""
        return all(self.trained.values())


@dataclass(frozen=True)
class MeanPoint:
    """Macro-F1 over the runs of a method at a rate of posts without the missing modality, in `lost_in`."""

    method: str
    lost_in: str
    missing: str
    rate: float
    macro_f1: Interval


def average(curves: Iterable[Curve]) -> list[MeanPoint]:
    """Means over the runs of a method, by missing modality and rate.

    Lost in the test: of runs whose training posts lost nothing. In training and test: of every run at the rate of the
    modality that it was trained with, and at 0 of the runs that lost nothing. Runs that `lost_both` are left out.
    """
    found: dict[tuple[str, str, str, float], list[float]] = {}
    for curve in (curve for curve in curves if not curve.lost_both):
        whole = not any(curve.trained.values())
        for point in curve.points:
            missing, rate = point["missing"], point["rate"]
            lost_in = [TEST] if whole else []
            if rate == curve.trained[missing] and (whole or rate):
                lost_in.append(TRAINING_AND_TEST)
            for place in lost_in:
                found.setdefault((curve.method, place, missing, rate), []).append(point["macro_f1"])
    return [MeanPoint(*key, mean_interval(values)) for key, values in sorted(found.items())]
