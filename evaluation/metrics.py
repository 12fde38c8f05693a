"""How good the answers are: accuracy, F1, recall, confusion matrix, calibration. NumPy only; equal to scikit-learn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

RELIABILITY_BINS = 15
"""Bins of the expected calibration error, as in Guo et al., "On Calibration of Modern Neural Networks", 2017."""


def confusion_matrix(label: np.ndarray, prediction: np.ndarray, num_classes: int) -> np.ndarray:
    """(C, C) int64 counts: rows are the true classes, columns the predicted ones."""
    cells = np.bincount(label * num_classes + prediction, minlength=num_classes * num_classes)
    return cells.reshape(num_classes, num_classes)


def class_f1(confusion: np.ndarray) -> np.ndarray:
    """(..., C) F1 of each class from (..., C, C) counts; NaN for a class neither true nor predicted anywhere."""
    hits = np.diagonal(confusion, axis1=-2, axis2=-1)
    either = confusion.sum(-1) + confusion.sum(-2)
    return np.divide(2.0 * hits, either, out=np.full(either.shape, np.nan), where=either > 0)


def macro_f1(confusion: np.ndarray) -> np.ndarray:
    """(...) mean F1 of the classes that are true or predicted somewhere; from (..., C, C) counts."""
    return np.nanmean(class_f1(confusion), axis=-1)


def accuracy(confusion: np.ndarray) -> np.ndarray:
    """(...) share of right answers; from (..., C, C) counts."""
    return np.trace(confusion, axis1=-2, axis2=-1) / confusion.sum(axis=(-2, -1))


def area_under_curve(positive: np.ndarray, score: np.ndarray, weight: np.ndarray | None = None) -> float:
    """Area under the ROC curve: how likely a positive post has a higher score than a negative one, ties counting half.

    `positive` (N,) bool, `score` (N,), `weight` (N,): how often each post counts. NaN where a class does not occur.
    """
    weight = np.ones(len(score)) if weight is None else weight
    _, place = np.unique(score, return_inverse=True)
    above, below = (np.bincount(place, weights=weight * mask) for mask in (positive, ~positive))
    pairs = above.sum() * below.sum()
    won = above @ (np.cumsum(below) - below / 2)  # of the pairs with a negative post: those below, and half the equal
    return float(won / pairs) if pairs else float("nan")


def reliability(probabilities: np.ndarray, label: np.ndarray, bins: int = RELIABILITY_BINS) -> dict[str, np.ndarray]:
    """Confidence against accuracy in `bins` equally wide bins (low, high].

    Returns `count` (bins,) int64, `confidence` and `accuracy` (bins,) means, NaN in an empty bin.
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    right = probabilities.argmax(axis=1) == label
    place = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    count = np.bincount(place, minlength=bins)

    def mean(values: np.ndarray) -> np.ndarray:
        total = np.bincount(place, weights=values, minlength=bins)
        return np.divide(total, count, out=np.full(bins, np.nan), where=count > 0)

    return {"count": count, "confidence": mean(confidence), "accuracy": mean(right.astype(np.float64))}


def calibration_error(probabilities: np.ndarray, label: np.ndarray, bins: int = RELIABILITY_BINS) -> float:
    """Expected calibration error: mean distance of confidence and accuracy over the bins, weighted by their posts."""
    found = reliability(probabilities, label, bins)
    share = found["count"] / len(label)
    return float(np.nansum(share * np.abs(found["confidence"] - found["accuracy"])))


def score(probabilities: np.ndarray, label: np.ndarray, classes: Sequence[str]) -> dict[str, Any]:
    """Every figure of the house for one set of answers, ready for JSON.

    `probabilities` is (N, C), `label` (N,) class ids; posts with a negative label (nobody labelled them) do not count.
    Keys: `n`, `accuracy`, `macro_f1`, `weighted_f1`, `ece`; `recall`, `precision`, `f1` and `posts` by class name;
    `confusion`, C lists of C counts (rows: truth). Recall is None for a class without a post, precision 0 for a class
    that is never predicted (as in scikit-learn), F1 None for a class that is neither; macro-F1 leaves those out.
    Raises ValueError where no post has a label, or a probability is not finite.
    """
    assert probabilities.ndim == 2 and probabilities.shape == (len(label), len(classes))
    labelled = label >= 0
    probabilities, label = probabilities[labelled], label[labelled].astype(np.int64)
    if not len(label):
        raise ValueError("none of the posts to evaluate has a label: give labelled posts, or predict without scoring")
    if not np.isfinite(probabilities).all():
        broken = int((~np.isfinite(probabilities)).any(axis=1).sum())
        raise ValueError(
            f"the net gives probabilities that are not finite for {broken} of {len(label)} posts: it diverged"
        )
    confusion = confusion_matrix(label, probabilities.argmax(axis=1), len(classes))
    hits, true, predicted = np.diagonal(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
    f1 = class_f1(confusion)
    return {
        "n": len(label),
        "accuracy": float(hits.sum() / len(label)),
        "macro_f1": float(macro_f1(confusion)),
        "weighted_f1": float(np.nansum(f1 * true) / len(label)),
        "ece": calibration_error(probabilities, label),
        "recall": {name: hits[i] / true[i] if true[i] else None for i, name in enumerate(classes)},
        "precision": {name: hits[i] / max(1, predicted[i]) for i, name in enumerate(classes)},
        "f1": {name: None if np.isnan(f1[i]) else f1[i] for i, name in enumerate(classes)},
        "posts": dict(zip(classes, true.tolist(), strict=True)),
        "confusion": confusion.tolist(),
    }


def in_words(posts: str, found: Mapping[str, Any]) -> str:
    """The figures of `score` that a person wants first, in a line that begins with what `posts` they are of."""
    recall = ", ".join(f"{label} {value:.2f}" for label, value in found["recall"].items() if value is not None)
    return (
        f"{posts}: accuracy {found['accuracy']:.3f}, macro-F1 {found['macro_f1']:.3f}, recall {recall} "
        f"({found['n']} posts)"
    )


def selection_agreement(selection: np.ndarray, decides: np.ndarray) -> dict[str, float | int]:
    """How well a modal selection finds the modality that really decides, where that is known (synthetic world).

    `selection` is (N, 3): text, image, common; `decides` (N,) holds "text", "image" or "both". Posts of "both" do not
    count. A post agrees if the true modality got more than the other one, and by half if both got the same.
    `agreement` is the mean over the two modalities, `auc` the probability that the image share is larger in a post
    whose image decides than in one whose text does (Mann-Whitney); both are 0.5 by chance. Raises ValueError where one
    of the two never decides.
    """
    image_share = selection[:, 1] - selection[:, 0]
    image, text = image_share[decides == "image"], image_share[decides == "text"]
    if not len(image) or not len(text):
        raise ValueError("the agreement of the selection needs posts whose text decides and posts whose image does")
    order = np.sort(text)
    below, upto = np.searchsorted(order, image, "left"), np.searchsorted(order, image, "right")
    return {
        "n": len(image) + len(text),
        "agreement": float((2 + np.sign(image).mean() - np.sign(text).mean()) / 4),
        "auc": float((below + upto).mean() / 2 / len(text)),
    }
