"""Temperature scaling against values by hand."""

from __future__ import annotations

import numpy as np
import pytest

from evaluation.calibration import fit_temperature, with_temperature
from evaluation.metrics import calibration_error


def test_a_temperature_divides_the_logits() -> None:
    logits = np.array([[2.0, 0.0, -1.0], [0.5, 0.5, 3.0]])
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    expected = np.exp(logits / 4) / np.exp(logits / 4).sum(1, keepdims=True)
    np.testing.assert_allclose(with_temperature(probabilities, 4.0), expected, rtol=1e-12)
    np.testing.assert_allclose(with_temperature(probabilities, 1.0), probabilities, rtol=1e-12)


def test_two_classes_by_hand() -> None:
    # always 0.9 sure and right three times of four: best is 0.75, so T = log 9 / log 3 = 2
    probabilities, label = np.tile([0.9, 0.1], (8, 1)), np.array([0, 0, 0, 1, 0, 0, 1, 0])
    assert fit_temperature(probabilities, label) == pytest.approx(2.0, abs=1e-3)
    assert calibration_error(with_temperature(probabilities, 2.0), label) == pytest.approx(0, abs=1e-9)


def test_posts_without_a_label_do_not_count() -> None:
    probabilities, label = np.tile([0.9, 0.1], (8, 1)), np.array([0, 0, 0, 1, -1, -1, -1, -1])
    assert fit_temperature(probabilities, label) == pytest.approx(2.0, abs=1e-3)
    with pytest.raises(ValueError, match="nothing to calibrate on"):
        fit_temperature(probabilities, np.full(8, -1))


def test_a_sure_mistake_has_a_finite_loss() -> None:
    assert np.isfinite(fit_temperature(np.array([[1.0, 0.0], [1.0, 0.0]]), np.array([1, 0])))
