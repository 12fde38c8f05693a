"""Intervals and tests against textbook values, SciPy and the plain bootstrap."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import f1_score, roc_auc_score

from evaluation.intervals import (
    bootstrap_auc,
    bootstrap_confusion,
    bootstrap_macro_f1,
    holm,
    mcnemar,
    mean_interval,
    paired_test,
)
from evaluation.metrics import accuracy


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


def test_mcnemar_by_hand() -> None:
    # of 12 posts that one alone got right the first got 10: p = 2 · (C(12,0) + C(12,1) + C(12,2)) / 2^12 = 158 / 4096
    first = np.array([True] * 10 + [False] * 2 + [True] * 5 + [False] * 3)
    second = np.array([False] * 10 + [True] * 2 + [True] * 5 + [False] * 3)
    found = mcnemar(first, second)
    assert (found.first, found.second) == (10, 2)
    assert found.p == pytest.approx(158 / 4096)
    assert mcnemar(second, first).p == pytest.approx(158 / 4096)
    assert mcnemar(first, first).p == 1.0
    assert mcnemar(first[9:12], second[9:12]).p == 1.0  # 1 against 2


def test_bootstrap_of_the_area_is_that_over_posts() -> None:
    draw = np.random.default_rng(2)
    positive = draw.random(120) < 0.6
    score = draw.normal(positive.astype(float)).round(1)
    found = bootstrap_auc(positive, score, draws=300)
    assert found.mean == pytest.approx(roc_auc_score(positive, score))
    assert found == bootstrap_auc(positive, score, draws=300) != bootstrap_auc(positive, score, draws=300, seed=1)
    chosen = draw.integers(0, 120, (300, 120))
    values = [roc_auc_score(positive[rows], score[rows]) for rows in chosen]
    assert [found.low, found.high] == pytest.approx(np.quantile(values, [0.025, 0.975]).tolist(), abs=0.025)


def test_one_class_alone_has_no_area() -> None:
    found = bootstrap_auc(np.ones(5, bool), np.arange(5.0), draws=10)
    assert all(map(math.isnan, (found.mean, found.low, found.high)))


def test_bootstrap_of_accuracy_is_a_binomial_s() -> None:
    label = np.array([0] * 60 + [1] * 40)
    prediction = np.where(np.arange(100) % 5 == 0, 1 - label, label)
    found = bootstrap_confusion(label, prediction, 2, accuracy, draws=20_000)
    assert found.mean == 0.8
    assert [found.low, found.high] == pytest.approx(stats.binom.ppf([0.025, 0.975], 100, 0.8) / 100, abs=0.011)
