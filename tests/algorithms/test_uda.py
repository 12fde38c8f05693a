"""UDA by hand: sharpened targets, and which labelled posts its annealing leaves out."""

from __future__ import annotations

from math import exp, log

import pytest
import torch

from algorithms.base import Step
from algorithms.uda import annealing_limit
from tests.algorithms.clusters import HALF_WAY, make, posts, probabilities, views


def test_confident_posts_learn_the_sharpened_answer():
    algorithm = make("uda", threshold=0.4, temperature=0.5, ulb_loss_ratio=0.7)
    known, unknown = posts(4), views(posts(12, 5, labelled=False))
    losses = algorithm({"weak": known}, unknown, HALF_WAY)
    unsup, accepted = 0.0, 0
    weak, strong = (probabilities(algorithm.net, unknown[name]) for name in ("weak", "strong"))
    for target, learner in zip(weak, strong, strict=True):
        if max(target) >= 0.4:
            squares = [p**2 for p in target]
            unsup -= sum(square / sum(squares) * log(q) for square, q in zip(squares, learner, strict=True)) / 12
            accepted += 1
    assert 0 < accepted < 12
    sup = sum(-log(row[y]) for row, y in zip(probabilities(algorithm.net, known), known.label, strict=True)) / 4
    assert losses.parts["unsup_loss"].item() == pytest.approx(unsup, rel=1e-5)
    assert losses.total.item() == pytest.approx(sup + 0.7 * unsup, rel=1e-5)


@pytest.mark.parametrize(("schedule", "released"), [
    ("none", 1.0), ("linear", 0.5), ("log", 1 - exp(-2.5)), ("exp", exp(-2.5)),
])  # fmt: skip
def test_schedules_half_way(schedule, released):
    assert annealing_limit(schedule, 0.5, 4) == pytest.approx(0.25 + 0.75 * released)
    assert annealing_limit("linear", 0.0, 4) == 0.25 and annealing_limit(schedule, 1.0, 4) > 0.99


LOGITS = torch.tensor([[0.9, 0.05, 0.05], [0.1, 0.5, 0.4], [0.3, 0.1, 0.6]]).log()


@pytest.mark.parametrize(("progress", "kept"), [(50, [0.5, 0.6]), (35, [0.5]), (0, []), (100, [0.9, 0.5, 0.6])])
def test_a_label_that_is_known_well_enough_for_now_is_left_out(progress, kept):
    """The linear limits of three classes are 0.67, 0.57, 0.33 and 1."""
    loss = make("uda", tsa_schedule="linear").annealed_loss(LOGITS, torch.tensor([0, 1, 2]), Step(progress, 0, 100))
    expected = sum(-log(value) for value in kept) / len(kept) if kept else 0.0
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_without_annealing_all_labels_count():
    loss = make("uda").annealed_loss(LOGITS, torch.tensor([0, 1, 2]), Step(0, 0, 100))
    assert loss.item() == pytest.approx(-(log(0.9) + log(0.5) + log(0.6)) / 3, rel=1e-5)
