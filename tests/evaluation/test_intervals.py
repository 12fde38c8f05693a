"""Intervals and tests against textbook values, SciPy and the plain bootstrap."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import f1_score

from evaluation.intervals import bootstrap_macro_f1, holm, mean_interval, paired_test


def test_mean_interval_by_hand() -> None:
    found = mean_interval([0.50, 0.52, 0.54, 0.56, 0.58])
    # s = 0.0316228, t(4, 97.5 %) = 2.776445, half = 2.776445 * 0.0316228 / sqrt(5)
    assert found.mean == pytest.approx(0.54)
    assert found.half == pytest.approx(0.0392648, abs=1e-6)
    assert (found.low, found.high, found.count) == (pytest.approx(0.5007352), pytest.approx(0.5792648), 5)


def test_one_value_has_no_interval() -> None:
    found = mean_interval([0.5])
    assert found.mean == 0.5 and math.isnan(found.low) and math.isnan(found.half)
    assert math.isnan(paired_test([0.5], [0.4]).t_p)


def test_paired_test_equals_scipy() -> None:
    draw = np.random.default_rng(0)
    first, second = draw.normal(0.6, 0.05, 8), draw.normal(0.55, 0.05, 8)
    found = paired_test(first, second)
    assert found.difference.mean == pytest.approx(first.mean() - second.mean())
    assert found.t_p == pytest.approx(stats.ttest_rel(first, second).pvalue)
    assert found.wilcoxon_p == pytest.approx(stats.wilcoxon(first, second).pvalue)


def test_five_of_five_is_all_that_wilcoxon_can_say() -> None:
    assert paired_test([0.6, 0.7, 0.8, 0.65, 0.9], [0.5, 0.55, 0.6, 0.5, 0.6]).wilcoxon_p == pytest.approx(0.0625)


def test_equal_methods_do_not_differ() -> None:
    found = paired_test([0.5, 0.6], [0.5, 0.6])
    assert found.t_p == 1.0 and found.wilcoxon_p == 1.0 and found.difference.mean == 0.0


def test_bootstrap_is_that_over_posts() -> None:
    draw = np.random.default_rng(1)
    label = draw.integers(0, 3, 150)
    prediction = np.where(draw.random(150) < 0.6, label, draw.integers(0, 3, 150))
    found = bootstrap_macro_f1(label, prediction, 3)
    assert found.mean == pytest.approx(f1_score(label, prediction, average="macro"))
    assert found.count == 150 and found == bootstrap_macro_f1(label, prediction, 3)
    values = []
    for _ in range(400):
        chosen = draw.integers(0, 150, 150)
        values.append(f1_score(label[chosen], prediction[chosen], average="macro"))
    assert [found.low, found.high] == pytest.approx(np.quantile(values, [0.025, 0.975]).tolist(), abs=0.02)


def test_holm_by_hand() -> None:
    """0.01 · 4, 0.02 · 3, 0.03 · 2 (not below the one before), 0.5 · 1; what is not known does not count."""
    assert holm([0.5, 0.01, math.nan, 0.03, 0.02]) == pytest.approx([0.5, 0.04, math.nan, 0.06, 0.06], nan_ok=True)
    assert holm([0.9, 0.8]) == [1.0, 1.0]
