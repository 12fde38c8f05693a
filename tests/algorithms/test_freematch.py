"""FreeMatch: statistics, thresholds and fairness on a few posts by hand."""

from __future__ import annotations

import math
from copy import deepcopy

import pytest
import torch
from torch.nn.functional import cross_entropy

from algorithms.base import Step
from tests.algorithms.clusters import make, posts, views_for

PROBABILITIES = torch.tensor([[0.8, 0.1, 0.1], [0.6, 0.3, 0.1], [0.2, 0.7, 0.1], [0.5, 0.3, 0.2]])
"""Mean (0.525, 0.35, 0.125), mean confidence 0.65, predicted classes 0, 0, 1, 0."""


def updated(momentum: float = 0.5):
    algorithm = make("freematch")
    algorithm.update(PROBABILITIES, momentum)
    return algorithm


def test_statistics_and_thresholds_by_hand():
    algorithm = updated()
    mean = [(1 / 3 + value) / 2 for value in (0.525, 0.35, 0.125)]
    assert algorithm.thresholds.mean_prediction.tolist() == pytest.approx(mean)
    assert algorithm.mean_confidence.item() == pytest.approx((1 / 3 + 0.65) / 2)
    assert algorithm.label_share.tolist() == pytest.approx([(1 / 3 + value) / 2 for value in (0.75, 0.25, 0)])
    expected = [(1 / 3 + 0.65) / 2 * value / mean[0] for value in mean]
    assert algorithm.thresholds(algorithm.mean_confidence).tolist() == pytest.approx(expected)


def test_fairness_by_hand():
    algorithm = updated()
    strong = torch.tensor([[0.6, 0.3, 0.1], [0.5, 0.4, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8]])
    loss = algorithm.fairness_loss(strong.log(), torch.tensor([1.0, 1.0, 1.0, 0.0]))
    wanted = [a / b for a, b in zip(algorithm.thresholds.mean_prediction, algorithm.label_share, strict=True)]
    mean, share = [1.2 / 3, 1.5 / 3, 0.3 / 3], [2 / 3, 1 / 3, 0]
    found = [mean[0] / share[0], mean[1] / share[1], 0.0]  # nobody predicts the third
    expected = sum(a / sum(wanted) * math.log(b / sum(found) + 1e-12) for a, b in zip(wanted, found, strict=True))
    assert loss.item() == pytest.approx(float(expected), rel=1e-5)


def test_fairness_reaches_the_accepted_posts_alone():
    logits = torch.randn(4, 3, generator=torch.Generator().manual_seed(0), requires_grad=True)
    updated().fairness_loss(logits, torch.tensor([1.0, 0.0, 1.0, 0.0])).backward()
    assert (logits.grad[[1, 3]] == 0).all() and (logits.grad[[0, 2]] != 0).any()


def test_with_nothing_accepted_there_is_no_fairness_and_no_gradient():
    logits = torch.randn(4, 3, generator=torch.Generator().manual_seed(0), requires_grad=True)
    loss = updated().fairness_loss(logits, torch.zeros(4))
    loss.backward()
    assert loss == 0 and (logits.grad == 0).all()


def test_the_momentum_rises_to_the_published_one():
    assert [Step(number, 0, 1).momentum(0.999) for number in (0, 90, 100_000)] == [0.1, 0.91, 0.999]


def test_options_out_of_range_name_their_flag():
    with pytest.raises(ValueError, match=r"--statistics_momentum 1\.5 is a share"):
        make("freematch", statistics_momentum=1.5)
    with pytest.raises(ValueError, match="--fairness_loss_ratio -1 must be a number from 0 up"):
        make("freematch", fairness_loss_ratio=-1)


def test_a_step_by_hand():
    """Statistics first, with the step's own predictions in them, then who is accepted."""
    algorithm = make("freematch", statistics_momentum=0.5, fairness_loss_ratio=0.3, ulb_loss_ratio=2.0)
    known, unknown = views_for("freematch", posts(6), posts(18, 5, labelled=False, start=64))
    before = deepcopy(algorithm)
    losses = algorithm(known, unknown, Step(50, 0, 100))
    net, target = algorithm.net, algorithm.net(unknown["weak"]).logits.softmax(1).detach()
    before.update(target, 0.5)
    confidence, label = target.max(dim=1)
    mask = (confidence >= before.thresholds(before.mean_confidence)[label]).float()
    assert 0 < mask.sum() < len(mask)
    assert torch.equal(losses.histograms["mask"], mask)
    strong = net(unknown["strong"]).logits
    parts = {
        "sup_loss": cross_entropy(net(known["weak"]).logits, known["weak"].label),
        "unsup_loss": (cross_entropy(strong, label, reduction="none") * mask).mean(),
        "fairness_loss": before.fairness_loss(strong, mask),
    }
    assert parts["fairness_loss"] != 0
    for name, value in parts.items():
        torch.testing.assert_close(losses.parts[name], value.detach())
    expected = parts["sup_loss"] + 2.0 * parts["unsup_loss"] + 0.3 * parts["fairness_loss"]
    torch.testing.assert_close(losses.total, expected)
