"""Which of many methods is better over many settings: mean ranks, Friedman's test, Nemenyi's critical difference.

Demšar, Statistical comparisons of classifiers over multiple data sets, JMLR 7 (2006), section 3.2.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

LEVEL = 0.05
"""Probability of calling a difference of mean ranks one where there is none."""


@dataclass(frozen=True)
class Ranking:
    """K methods ranked in N blocks, best mean rank first."""

    methods: tuple[str, ...]
    mean_ranks: tuple[float, ...]  # 1: best in every block
    blocks: int
    statistic: float  # Friedman's chi square, corrected for ties
    p: float  # that all methods are equal
    critical_difference: float  # of two mean ranks, Nemenyi, level 0.05

    @property
    def cliques(self) -> list[tuple[int, int]]:
        """Largest runs of methods, (first, last), that are not told apart: of two or more, none inside another."""
        found: list[tuple[int, int]] = []
        for first in range(len(self.methods)):
            within = [
                last
                for last in range(first + 1, len(self.methods))
                if self.mean_ranks[last] - self.mean_ranks[first] < self.critical_difference
            ]
            if within and (not found or within[-1] > found[-1][1]):
                found.append((first, within[-1]))
        return found


def ranks_of(values: np.ndarray) -> np.ndarray:
    """(N, K) ranks of (N, K) values within each row: the largest has rank 1, equal ones share the mean rank."""
    return stats.rankdata(-values, axis=1)


def critical_difference(methods: int, blocks: int, level: float = LEVEL) -> float:
    """Difference of two mean ranks from which it counts: q · √(k(k + 1) / 6N), q of the Studentised range over √2."""
    q = stats.studentized_range.ppf(1 - level, methods, np.inf) / math.sqrt(2)
    return float(q * math.sqrt(methods * (methods + 1) / (6 * blocks)))


def rank(methods: tuple[str, ...], values: np.ndarray) -> Ranking:
    """Rank K >= 3 `methods` by (N, K) `values` in N >= 2 blocks, larger ones better. Raises ValueError for fewer."""
    blocks, count = values.shape
    assert count == len(methods)
    if count < 3 or blocks < 2:
        raise ValueError(
            f"ranks need three methods or more in two blocks or more (a block: what is read, labels and seed, with all "
            f"methods); there are {count} methods and {blocks} such blocks"
        )
    mean_ranks = ranks_of(values).mean(axis=0)
    order = np.argsort(mean_ranks, kind="stable")
    same = (values == values[:, :1]).all()  # the test divides by zero: nothing speaks for a difference
    statistic, p = (0.0, 1.0) if same else stats.friedmanchisquare(*values.T)
    return Ranking(
        tuple(methods[place] for place in order),
        tuple(float(mean_ranks[place]) for place in order),
        blocks,
        float(statistic),
        float(p),
        critical_difference(count, blocks),
    )
