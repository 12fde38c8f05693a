"""Where positive begins for a net of three classes that is asked for two: found on the run's own validation posts.

Where neutral is dropped, positive is what is more probable than negative. A net may rank images well and still lean to
one side: the published students' areas under the ROC curve are better than their accuracies (Serra et al., The Emotions
of the Crowd, ECAI 2023). An offset on log p(positive) - log p(negative) is chosen without a look at any benchmark.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from datasets.batch import Batch
from datasets.posts import SENTIMENTS
from evaluation.predict import limit, predict, rows_with

if TYPE_CHECKING:
    from datasets.store import PostStore

LEAST = 1e-30
"""Probability that smaller ones are taken for, so that their logarithm is finite."""


@dataclass(frozen=True)
class Offset:
    """Positive is answered where log p(positive) - log p(negative) exceeds `offset`."""

    offset: float
    posts: int
    """Validation posts of either class, with an image."""
    balanced_accuracy: float
    """Of these posts, with the offset; without it `at_zero`."""
    at_zero: float


def fit_offset(probabilities: np.ndarray, is_positive: np.ndarray) -> Offset | None:
    """The offset of highest balanced accuracy for (N, 3) probabilities of negative, neutral, positive and (N,) bool.

    It lies in the middle between two posts, or is 0; of equally good ones it is the nearest to 0. None where one of the
    classes is missing.
    """
    negative, _, positive = np.log(np.maximum(probabilities.astype(np.float64), LEAST)).T
    score = positive - negative
    right, wrong = np.sort(score[is_positive]), np.sort(score[~is_positive])
    if not len(right) or not len(wrong):
        return None
    levels = np.unique(score)
    candidates = np.concatenate([[0.0], (levels[1:] + levels[:-1]) / 2])
    above = len(right) - np.searchsorted(right, candidates, side="right")
    below = np.searchsorted(wrong, candidates, side="right")
    gain = above * len(wrong) + below * len(right)  # whole numbers, so that equal ones are equal
    best = np.lexsort((np.abs(candidates), -gain))[0]
    accuracy = gain / (2 * len(right) * len(wrong))
    return Offset(float(candidates[best]), len(score), float(accuracy[best]), float(accuracy[0]))


def validation_offset(
    net: nn.Module,
    reads: Sequence[str],
    batches_of: Callable[[np.ndarray], Iterable[Batch]],
    rows: np.ndarray,
    store: PostStore,
    amp: torch.dtype | None = None,
) -> Offset | None:
    """The offset for what `net` answers for images alone, as in a benchmark, on those of `rows` that are labelled
    negative or positive.

    `reads` are the net's modalities. None where there are not both, or it reads no image or has no such classes.
    """
    ends = [store.classes.index(name) if name in store.classes else -1 for name in (SENTIMENTS[0], SENTIMENTS[2])]
    if "image" not in reads or min(ends) < 0:
        return None
    rows = rows_with(store, rows[np.isin(store.label[rows], ends)], "image_only")
    if not len(rows):
        return None
    answers = predict(net, (limit(batch, "image_only") for batch in batches_of(rows)), amp)
    found = answers.probabilities[:, [ends[0], ends[0], ends[1]]]  # that of neutral is not looked at
    return fit_offset(found, store.label[answers.rows] == ends[1])
