"""Small draws from a NumPy generator that text and image of the synthetic world share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

Item = TypeVar("Item")


def chance(rng: np.random.Generator, probability: float) -> bool:
    """True with this probability."""
    return bool(rng.random() < probability)


def between(rng: np.random.Generator, low: float, high: float) -> float:
    """A number drawn evenly from [low, high)."""
    return low + (high - low) * float(rng.random())


def pick(rng: np.random.Generator, items: Sequence[Item]) -> Item:
    """One of the items, all equally likely."""
    return items[int(rng.random() * len(items))]


def pick_tail(rng: np.random.Generator, items: Sequence[Item], skew: float = 4.0) -> Item:
    """One of the items, the first ones most likely: the probability of rank r falls like r^(1/skew - 1)."""
    return items[int(rng.random() ** skew * len(items))]
