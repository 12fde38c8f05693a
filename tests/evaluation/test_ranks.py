"""Ranks, Friedman's test and the critical difference, by hand, by scipy and by Demšar's published figures."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from evaluation.ranks import Ranking, critical_difference, rank, ranks_of


def test_ranks_with_ties_by_hand() -> None:
    values = np.array([[0.9, 0.5, 0.7], [0.5, 0.5, 0.1], [0.3, 0.3, 0.3]])
    assert ranks_of(values).tolist() == [[1, 3, 2], [1.5, 1.5, 3], [2, 2, 2]]
    assert rank(("a", "b", "c"), values).mean_ranks == (1.5, pytest.approx(6.5 / 3), pytest.approx(7 / 3))


@pytest.mark.parametrize(
    ("methods", "q"),
    [(2, 1.960), (3, 2.343), (4, 2.569), (5, 2.728), (6, 2.850), (7, 2.949), (8, 3.031), (9, 3.102), (10, 3.164)],
)
def test_critical_difference_of_the_published_table(methods: int, q: float) -> None:
    """Demšar 2006, table 5 (a), level 0.05."""
    expected = q * (methods * (methods + 1) / (6 * 14)) ** 0.5
    assert critical_difference(methods, 14) == pytest.approx(expected, rel=5e-4)


def test_friedman_by_hand_and_by_scipy() -> None:
    # rank sums 1+1+2+1 = 5, 2+2+1+2 = 7, 3+3+3+3 = 12 in N = 4 blocks of k = 3:
    # 12 / (4 · 3 · 4) · (25 + 49 + 144) − 3 · 4 · 4 = 54.5 − 48 = 6.5
    values = np.array([[3.0, 2, 1], [3, 2, 1], [2, 3, 1], [3, 2, 1]])
    found = rank(("a", "b", "c"), values)
    assert found.statistic == pytest.approx(6.5)
    assert found.p == pytest.approx(stats.chi2.sf(6.5, 2))
    drawn = np.random.default_rng(0).normal(size=(20, 5))
    expected = stats.friedmanchisquare(*drawn.T)
    assert (rank(tuple("abcde"), drawn).statistic, rank(tuple("abcde"), drawn).p) == tuple(expected)


def test_equal_methods_are_not_told_apart() -> None:
    found = rank(("a", "b", "c"), np.ones((4, 3)))
    assert (found.mean_ranks, found.p, found.cliques) == ((2, 2, 2), 1.0, [(0, 2)])


def test_cliques_are_as_large_as_they_can_be() -> None:
    def cliques(*mean_ranks: float) -> list[tuple[int, int]]:
        return Ranking(tuple("abcde"[: len(mean_ranks)]), mean_ranks, 10, 0.0, 1.0, 1.0).cliques

    assert cliques(1, 1.5, 2.4, 3.3) == [(0, 1), (1, 2), (2, 3)]
    assert cliques(1, 1.2, 1.4, 3) == [(0, 2)]  # (1, 2) lies inside
    assert cliques(1, 2.5, 4) == []


def test_too_little_to_rank() -> None:
    with pytest.raises(ValueError, match="there are 2 methods and 5 such blocks"):
        rank(("a", "b"), np.ones((5, 2)))
    with pytest.raises(ValueError, match="there are 3 methods and 1 such blocks"):
        rank(("a", "b", "c"), np.ones((1, 3)))
