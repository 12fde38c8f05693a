"""Which posts lose a modality on purpose: for measuring what a missing one costs, in training and in a test."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from datasets.seeds import derive_seed


def missing_numbers(ids: Sequence[str], seed: int) -> np.ndarray:
    """(N,) float64, evenly over 0 to 1: a function of seed and id alone, whichever other posts there are. The posts
    below a rate lose a modality at that rate, so those of a lower rate are among those of a higher one."""
    return np.array([derive_seed(seed, f"missing modality {name}") for name in ids], dtype=np.float64) / 2.0**63


def missing_modalities(
    ids: Sequence[str], both: np.ndarray, image_rate: float, text_rate: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """(N,) bool each: posts whose image, and posts whose text, is taken away; never a post's last one.

    `both` (N,) bool: posts that have both. The rates, whose sum is 1 at most, are shares of those.
    """
    assert image_rate >= 0 and text_rate >= 0 and image_rate + text_rate <= 1
    numbers = missing_numbers(ids, seed)
    return both & (numbers < image_rate), both & (numbers >= 1 - text_rate)
