"""Π-model and Mean Teacher by hand: who is the target, and what its difference costs."""

from __future__ import annotations

from math import log

import pytest

from tests.algorithms.clusters import FIRST, HALF_WAY, WARMING, feature_net, make, posts, probabilities, views


@pytest.mark.parametrize(("step", "warm"), [(FIRST, 0.0), (WARMING, 0.5), (HALF_WAY, 1.0)])
@pytest.mark.parametrize(("name", "weight"), [("pi_model", 10.0), ("mean_teacher", 50.0)])
def test_the_second_view_learns_what_the_target_says_of_the_first(name, weight, step, warm):
    average = feature_net("concat", seed=9).eval()
    algorithm = make(name, teacher=average)
    known, unknown = posts(4), views(posts(8, 5, labelled=False), names=algorithm.unlabelled_views)
    losses = algorithm({"weak": known}, unknown, step)
    sup = sum(-log(row[y]) for row, y in zip(probabilities(algorithm.net, known), known.label, strict=True)) / 4
    target = probabilities(average if name == "mean_teacher" else algorithm.net, unknown["weak"])
    learner = probabilities(algorithm.net, unknown["weak_1"])
    squares = [(p - q) ** 2 for own, its in zip(learner, target, strict=True) for p, q in zip(own, its, strict=True)]
    unsup = sum(squares) / len(squares)
    assert losses.parts["unsup_loss"].item() == pytest.approx(unsup, rel=1e-4) and unsup > 1e-4
    assert losses.total.item() == pytest.approx(sup + warm * weight * unsup, rel=1e-5)
    assert losses.histograms["pseudo_label"].tolist() == [row.index(max(row)) for row in target]


def test_alignment_moves_the_target():
    unknown = views(posts(8, 5, labelled=False), names=("weak", "weak_1"))
    losses = []
    for align in ("none", "uniform"):
        algorithm = make("pi_model", align=align)
        if algorithm.alignment is not None:
            algorithm.alignment.mean_prediction.copy_(algorithm.class_weight.new_tensor([0.8, 0.1, 0.1]))
        losses.append(algorithm({"weak": posts(4)}, unknown, HALF_WAY).parts["unsup_loss"].item())
    assert losses[1] > losses[0]
