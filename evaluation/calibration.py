"""Temperature scaling: probabilities that mean what they say (Guo et al., ICML 2017, section 4.2)."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize_scalar

LOWEST, HIGHEST = 0.05, 20.0
"""Bounds of the temperature."""


def with_temperature(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """(N, C) softmax(logits / T), from the (N, C) probabilities softmax(logits)."""
    logits = np.log(np.maximum(probabilities.astype(np.float64), 1e-30)) / temperature
    weight = np.exp(logits - logits.max(axis=1, keepdims=True))
    return weight / weight.sum(axis=1, keepdims=True)


def fit_temperature(probabilities: np.ndarray, label: np.ndarray) -> float:
    """The temperature under which (N, C) `probabilities` give the (N,) labels the highest likelihood.

    Posts with a negative label do not count. Raises ValueError where none has a label.
    """
    known = np.flatnonzero(label >= 0)
    if not len(known):
        raise ValueError("none of the held-out posts has a label, so there is nothing to calibrate on")
    places = np.arange(len(known)), label[known]

    def loss(log_temperature: float) -> float:
        found = with_temperature(probabilities[known], float(np.exp(log_temperature)))
        return -float(np.log(np.maximum(found[places], 1e-30)).mean())

    bounds = float(np.log(LOWEST)), float(np.log(HIGHEST))
    return float(np.exp(minimize_scalar(loss, bounds=bounds, method="bounded").x))
