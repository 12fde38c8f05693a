"""The variants of T4SA by name: which posts, with what label, in which part.

Serra et al., The Emotions of the Crowd, ECAI 2023, and the notebooks of its authors. Every photo has the label of its
tweet's text as a teacher reads it, if the teacher is sure enough. Differences from the authors' way, on purpose: parts
are drawn by group (tweet and near-duplicates) and not by image, balancing is seeded, and a merged variant is the union
of its two sources' parts, so that no post is in the training part of one variant and the test part of its union. It
lacks the posts whose near-duplicate from the other source is in another part.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from datasets.near_duplicates import groups_across, groups_among
from datasets.neighbours import SearchOptions
from datasets.posts import SENTIMENTS
from datasets.seeds import generator
from datasets.splits import draw_groups
from datasets.store import PostStore
from datasets.text_predictions import TextPredictions

PARTS = ("train", "val", "test")
"""Parts by their number here, and as files are named."""
HELD_OUT = (0.1, 0.1)
"""Shares of validation and test."""
CHUNK = 100_000
Thresholds = tuple[float, float, float]
"""Confidence that the teacher must exceed for negative, neutral, positive."""


@dataclass(frozen=True)
class Variant:
    """A published variant. `labels` "own": those of the posts; else the teacher's, above the thresholds named."""

    name: str
    source: Literal["t4sa1", "t4sa2"]
    labels: Literal["own", "any", "flat", "by_class"]
    balanced: bool = False


VARIANTS = (
    Variant("B-T4SA_1.0", "t4sa1", "own"),
    Variant("B-T4SA_1.0_upd", "t4sa1", "any"),
    Variant("B-T4SA_1.0_upd_filt", "t4sa1", "flat"),
    Variant("bal_flat_T4SA2.0", "t4sa2", "flat", balanced=True),
    Variant("bal_T4SA2.0", "t4sa2", "by_class", balanced=True),
    Variant("unb_T4SA2.0", "t4sa2", "by_class"),
)
MERGED = "merged_T4SA"
MERGES = ("unb_T4SA2.0", "B-T4SA_1.0_upd_filt")
NAMES = (*(variant.name for variant in VARIANTS), MERGED)


@dataclass(frozen=True)
class Chosen:
    """Posts of one store that a variant has: rows (M,), class ids (M,), parts (M,) as numbers in PARTS."""

    store: PostStore
    rows: np.ndarray
    label: np.ndarray
    part: np.ndarray

    def counts(self) -> np.ndarray:
        """(3, 3) posts by part and class."""
        return np.bincount(3 * self.part + self.label, minlength=9).reshape(3, 3)


def merged(chosen: Sequence[Chosen]) -> list[Chosen]:
    """The same posts of several stores without those that a near-duplicate over all stores has in another part.

    Of each group the part with most of its posts keeps them; of equal ones test comes before validation and training.
    """
    group = groups_across([(one.store, one.rows) for one in chosen], SearchOptions())
    part = np.concatenate([one.part for one in chosen])
    counts = np.bincount(len(PARTS) * group + part, minlength=len(PARTS) * len(group)).reshape(-1, len(PARTS))
    of_group = len(PARTS) - 1 - counts[:, ::-1].argmax(1)
    stays = np.split(part == of_group[group], np.cumsum([len(one.rows) for one in chosen])[:-1])
    return [
        Chosen(one.store, one.rows[kept], one.label[kept], one.part[kept])
        for one, kept in zip(chosen, stays, strict=True)
    ]


def teacher_labels(probabilities: np.ndarray, thresholds: Thresholds | None) -> np.ndarray:
    """(N,) int64 class of the highest of the probabilities (N, 3); -1 where it does not exceed that class's threshold.

    Of equal probabilities the first counts, negative before neutral before positive. Zeros are no answer. They are
    compared as float32, as the store keeps them: a probability of 0.70 does not exceed 0.70.
    """
    label = probabilities.argmax(1)
    best = probabilities[np.arange(len(label)), label].astype(np.float32)
    least = np.zeros(3, np.float32) if thresholds is None else np.asarray(thresholds, np.float32)
    return np.where(best > least[label], label, -1)


def undersample(label: np.ndarray, seed: int) -> np.ndarray:
    """Positions, ascending, of as many posts of each class in `label` (M,) as the smallest class has."""
    smallest = np.bincount(label, minlength=3).min()
    drawn = []
    for class_id in range(3):
        of_class = np.flatnonzero(label == class_id)
        drawn.append(generator(seed, "undersampling", class_id).permutation(of_class)[:smallest])
    return np.sort(np.concatenate(drawn))


def draw_parts(label: np.ndarray, group: np.ndarray, seed: int) -> np.ndarray:
    """(M,) int64 part of each post: 80 % train, 10 % validation, 10 % test of each class, whole groups only."""
    compact = np.unique(group, return_inverse=True)[1]
    return draw_groups(label, compact, HELD_OUT, seed).astype(np.int64)


def probabilities_of(store: PostStore, predictions: TextPredictions | None) -> np.ndarray:
    """(N, 3) float32 probabilities of negative, neutral, positive, zeros where there is no answer.

    From the predictions, found by the store's column `tweet`, or else from the store's own teacher. Raises ValueError
    where there is neither.
    """
    if predictions is None:
        if store.teacher is None:
            raise ValueError(
                f"{store.path} has no teacher's probabilities: label it with scripts/label_tweets.py, or give the "
                "teacher's predictions by tweet"
            )
        if set(store.classes) != set(SENTIMENTS):
            raise ValueError(f"{store.path} has the classes {store.classes}, not {SENTIMENTS}")
        return store.teacher[:, [store.classes.index(name) for name in SENTIMENTS]]
    if "tweet" not in store.columns:
        raise ValueError(f"{store.path} has no column 'tweet' by which its posts could be found in the predictions")
    found = []
    for start in range(0, len(store), CHUNK):
        tweets = store.strings("tweet", np.arange(start, min(start + CHUNK, len(store))))
        found.append(predictions.of(np.array([int(tweet or -1) for tweet in tweets], np.int64)))
    return np.concatenate(found)


class VariantSource:
    """A store of photos whose variants are built. `keep_duplicates`: near-duplicate photos stay.

    Raises ValueError where duplicates shall go and nobody has looked for them.
    """

    def __init__(
        self, store: PostStore, predictions: TextPredictions | None, seed: int, keep_duplicates: bool = False
    ) -> None:
        self.store, self._predictions, self._seed = store, predictions, seed
        usable = store.has_image & ~store.of_benchmark
        self.near_benchmarks = int(store.has_image.sum() - usable.sum())
        if not keep_duplicates:
            if "image_group" not in store.columns:
                raise ValueError(
                    f"{store.path} has no column image_group: run scripts/find_duplicates.py on it, or give "
                    "--keep_duplicates"
                )
            usable &= store.column("image_group") == np.arange(len(store))
        self._usable = usable

    def choose(self, variant: Variant, thresholds: Thresholds | None) -> Chosen:
        """The posts of a variant. Published parts are kept for the posts' own labels. Raises ValueError without any."""
        if variant.labels == "own":
            order = np.array([*(SENTIMENTS.index(name) for name in self._own_classes()), -1])
            label = order[self.store.label]
            lacking = ""
        else:
            probabilities = probabilities_of(self.store, self._predictions)
            label = teacher_labels(probabilities, thresholds)
            lacking = self._lacking(label, probabilities, thresholds)
        rows = np.flatnonzero(self._usable & (label >= 0))
        if variant.balanced:
            rows = rows[undersample(label[rows], self._seed)]
        if not len(rows):
            raise ValueError(f"{self.store.path} has no photo for {variant.name}: its thresholds leave none{lacking}")
        if lacking:
            warnings.warn(f"{variant.name} lacks a class, because its thresholds leave no photo{lacking}", stacklevel=2)
        published = self.store.split[rows]
        if variant.labels == "own" and (published > 0).all():
            part = published.astype(np.int64) - 1
        else:
            part = draw_parts(label[rows], groups_among(self.store, rows), self._seed)
        chosen = Chosen(self.store, rows, label[rows], part)
        if (chosen.counts().sum(1) == 0).any():
            warnings.warn(
                f"{variant.name} has an empty part: its photos are too few, or too many share a group", stacklevel=2
            )
        return chosen

    def _lacking(self, label: np.ndarray, probabilities: np.ndarray, thresholds: Thresholds | None) -> str:
        """The classes that no usable photo has, with how sure of them the teacher ever is; "" where all have some."""
        answers = probabilities[self._usable]
        best = answers.max(0) if len(answers) else np.zeros(3)
        lost = [
            f"{name} (the teacher gives it {best[number]:.3f} at most, and the threshold is {least:g})"
            for number, (name, least) in enumerate(zip(SENTIMENTS, thresholds or (0.0,) * 3, strict=True))
            if not (label[self._usable] == number).any()
        ]
        return f" of the class {', '.join(lost)}" if lost else ""

    def _own_classes(self) -> Sequence[str]:
        if not set(self.store.classes) <= set(SENTIMENTS):
            raise ValueError(f"{self.store.path} has the classes {self.store.classes}, not {SENTIMENTS}")
        return self.store.classes
