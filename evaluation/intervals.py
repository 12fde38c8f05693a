"""How sure a figure is: intervals over seeds, paired tests between methods, and the bootstrap of one run.

scipy.stats is imported where it is asked, as it takes a second and a run needs the bootstrap alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from evaluation.metrics import area_under_curve, confusion_matrix, macro_f1


@dataclass(frozen=True)
class Interval:
    """A mean with the interval around it; `low` and `high` are NaN where one value alone was given."""

    mean: float
    low: float
    high: float
    count: int

    @property
    def half(self) -> float:
        """Half the interval's width."""
        return (self.high - self.low) / 2


@dataclass(frozen=True)
class PairedTest:
    """Is one method better than another on the same seeds? `difference` is the mean of first minus second."""

    difference: Interval
    t_p: float  # two-sided, NaN with fewer than two pairs
    wilcoxon_p: float  # two-sided signed rank (exact for few pairs); five pairs cannot go below 0.0625


def mean_interval(values: Sequence[float] | np.ndarray, level: float = 0.95) -> Interval:
    """Mean over seeds with Student's t interval: mean ± t(n − 1) · s / √n."""
    from scipy import stats

    sample = np.asarray(values, dtype=np.float64)
    assert sample.ndim == 1 and len(sample)
    mean, count = float(sample.mean()), len(sample)
    if count < 2:
        return Interval(mean, math.nan, math.nan, count)
    half = float(stats.t.ppf((1 + level) / 2, count - 1) * sample.std(ddof=1) / math.sqrt(count))
    return Interval(mean, mean - half, mean + half, count)


def paired_test(first: Sequence[float] | np.ndarray, second: Sequence[float] | np.ndarray) -> PairedTest:
    """Paired t-test and Wilcoxon's signed rank test of two methods; values of the same seed stand at the same place."""
    from scipy import stats

    differences = np.asarray(first, dtype=np.float64) - np.asarray(second, dtype=np.float64)
    interval = mean_interval(differences)
    if interval.count < 2:
        return PairedTest(interval, math.nan, math.nan)
    if not differences.any():  # both tests divide by zero here: nothing speaks for a difference
        return PairedTest(interval, 1.0, 1.0)
    spread = differences.std(ddof=1) / math.sqrt(len(differences))
    t = interval.mean / spread if spread else math.inf
    t_p = 2 * stats.t.sf(abs(t), len(differences) - 1)
    return PairedTest(interval, float(t_p), float(stats.wilcoxon(differences).pvalue))


def paired_by_seed(first: Mapping[int, float], second: Mapping[int, float]) -> PairedTest | None:
    """`paired_test` of two methods' values by seed, on the seeds that both have; None where there is none."""
    shared = sorted(set(first) & set(second))
    return paired_test([first[seed] for seed in shared], [second[seed] for seed in shared]) if shared else None


def holm_over(tests: Iterable[PairedTest | None]) -> list[float]:
    """`holm` of the t-tests; NaN where there is none."""
    return holm([math.nan if test is None else test.t_p for test in tests])


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted for how many there are (Holm, Scandinavian Journal of Statistics, 1979); NaN stays and does
    not count. The i-th smallest of m is multiplied by m − i + 1, and none is below one that was smaller."""
    places = [place for place in np.argsort(p_values, kind="stable") if not math.isnan(p_values[place])]
    adjusted, least = [math.nan] * len(p_values), 0.0
    for number, place in enumerate(places):
        least = max(least, min(1.0, (len(places) - number) * p_values[place]))
        adjusted[place] = least
    return adjusted


def bootstrap_confusion(
    label: np.ndarray,
    prediction: np.ndarray,
    num_classes: int,
    figure: Callable[[np.ndarray], np.ndarray],
    draws: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Percentile bootstrap of one run's `figure` over its test posts; `mean` is the figure of the posts themselves.

    `figure` makes (...) numbers of (..., C, C) counts. A resample of posts only matters through its confusion matrix,
    and that is one multinomial draw over the C² cells: so 2,000 resamples of any number of posts take milliseconds. It
    says how far the test posts could mislead, not how far another seed would lead.
    """
    table = confusion_matrix(label, prediction, num_classes)
    count = int(table.sum())
    assert count, "no labelled post"
    resampled = np.random.default_rng(seed).multinomial(count, table.ravel() / count, size=draws)
    return _percentiles(float(figure(table)), figure(resampled.reshape(draws, num_classes, num_classes)), level, count)


def bootstrap_macro_f1(
    label: np.ndarray, prediction: np.ndarray, num_classes: int, draws: int = 2000, level: float = 0.95, seed: int = 0
) -> Interval:
    """`bootstrap_confusion` of macro-F1."""
    return bootstrap_confusion(label, prediction, num_classes, macro_f1, draws, level, seed)


def bootstrap_auc(
    positive: np.ndarray, score: np.ndarray, draws: int = 2000, level: float = 0.95, seed: int = 0
) -> Interval:
    """Percentile bootstrap of the area under the ROC curve over the posts; see `area_under_curve`.

    Resamples in which one class does not occur have no such area and do not count.
    """
    count = len(score)
    draw = np.random.default_rng(seed)
    areas = (area_under_curve(positive, score, np.bincount(draw.integers(count, size=count), minlength=count))
             for _ in range(draws))  # fmt: skip
    return _percentiles(area_under_curve(positive, score), np.fromiter(areas, np.float64, draws), level, count)


def _percentiles(own: float, resampled: np.ndarray, level: float, count: int) -> Interval:
    """The figure itself within the middle share `level` of the resampled ones; NaN among these is left out."""
    resampled = resampled[np.isfinite(resampled)]
    if not len(resampled):
        return Interval(own, math.nan, math.nan, count)
    low, high = np.quantile(resampled, [(1 - level) / 2, (1 + level) / 2])
    return Interval(own, float(low), float(high), count)


@dataclass(frozen=True)
class McNemar:
    """How two models differ on the same posts: those that only one of them got right, and how likely by chance."""

    first: int  # posts that only the first got right
    second: int  # posts that only the second got right
    p: float  # two-sided, exact


def mcnemar(first_right: np.ndarray, second_right: np.ndarray) -> McNemar:
    """McNemar's exact test (Psychometrika, 1947) on (N,) bool each: of the posts that one model alone got right, is the
    share of the first one half? The binomial distribution answers; p is 1 where there is no such post."""
    from scipy import stats

    first = int((first_right & ~second_right).sum())
    second = int((second_right & ~first_right).sum())
    differing = first + second
    p = float(stats.binomtest(first, differing).pvalue) if differing else 1.0
    return McNemar(first, second, p)
