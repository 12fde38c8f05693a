"""Pseudo-Label by hand, and its warm-up."""

from __future__ import annotations

from math import log

import pytest

from tests.algorithms.clusters import FIRST, HALF_WAY, WARMING, make, posts, probabilities, with_batch_norm


@pytest.mark.parametrize(("step", "warm"), [(FIRST, 0.0), (WARMING, 0.5), (HALF_WAY, 1.0)])
def test_the_view_that_makes_a_confident_label_learns_it(step, warm):
    algorithm = make("pseudo_label", threshold=0.4, ulb_loss_ratio=3.0)
    known, unknown = posts(4), posts(12, 5, labelled=False)
    losses = algorithm({"weak": known}, {"weak": unknown}, step)
    sup = sum(-log(row[y]) for row, y in zip(probabilities(algorithm.net, known), known.label, strict=True)) / 4
    sure = [max(row) for row in probabilities(algorithm.net, unknown)]
    accepted = [value for value in sure if value >= 0.4]
    assert 0 < len(accepted) < 12
    unsup = sum(-log(value) for value in accepted) / 12
    assert losses.parts["sup_loss"].item() == pytest.approx(sup, rel=1e-5)
    assert losses.parts["unsup_loss"].item() == pytest.approx(unsup, rel=1e-5)
    assert losses.total.item() == pytest.approx(sup + warm * 3.0 * unsup, rel=1e-5)
    assert losses.seen["util_ratio"].item() == pytest.approx(len(accepted) / 12)


def test_with_batch_norm_the_view_passes_once():
    net, passes = with_batch_norm(True), []
    net.register_forward_pre_hook(lambda _, given: passes.append(len(given[0])))
    make("pseudo_label", net)({"weak": posts(4)}, {"weak": posts(12, 5, labelled=False)}, FIRST)
    assert passes == [16]
