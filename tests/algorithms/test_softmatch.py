"""SoftMatch: the truncated Gaussian by hand, and what alignment changes and what not."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn.functional import cross_entropy

from algorithms.base import Step
from tests.algorithms.clusters import make, posts, views

CONFIDENCE = torch.tensor([0.9, 0.5, 0.7, 0.7])
"""Mean 0.7, unbiased variance 0.08 / 3."""


def test_mean_variance_and_weights_by_hand():
    algorithm = make("softmatch")
    assert (algorithm.mean.item(), algorithm.variance.item()) == (pytest.approx(1 / 3), 1)
    algorithm.update(CONFIDENCE, 0.5)
    mean, variance = (1 / 3 + 0.7) / 2, (1 + 0.08 / 3) / 2
    assert (algorithm.mean.item(), algorithm.variance.item()) == (pytest.approx(mean), pytest.approx(variance))
    below = math.exp(-((0.5 - mean) ** 2) / (2 * variance / 4))
    assert algorithm.weight(CONFIDENCE).tolist() == pytest.approx([1, below, 1, 1])


def test_steeper_by_the_option():
    algorithm = make("softmatch", sigmas=3.0)
    algorithm.mean.fill_(0.8)
    algorithm.variance.fill_(0.04)
    assert algorithm.weight(torch.tensor([0.6])).item() == pytest.approx(math.exp(-(0.2**2) * 9 / 0.08))


def test_a_post_alone_has_no_variance_and_equal_ones_no_division_by_zero():
    algorithm = make("softmatch")
    algorithm.update(torch.tensor([0.9]), 0.0)
    assert algorithm.variance == 0
    assert algorithm.weight(torch.tensor([0.9, 0.95, 0.5])).tolist() == [1, 1, 0]


def test_weights_are_read_from_aligned_predictions_and_labels_are_not():
    algorithm = make("softmatch", statistics_momentum=0.0)
    assert algorithm.alignment is not None
    seen = torch.tensor([0.05, 0.9, 0.05])
    algorithm.alignment.mean_prediction.copy_(seen)
    known, unknown = posts(4), views(posts(12, 5, labelled=False))
    losses = algorithm({"weak": known}, unknown, Step(50, 0, 100))
    probabilities = algorithm.net(unknown["weak"]).logits.softmax(1).detach()
    seen = 0.99 * seen + 0.01 * probabilities.mean(0)
    aligned = probabilities / 3 / seen
    confidence = (aligned / aligned.sum(1, keepdim=True)).amax(1)
    weight = torch.exp(-((confidence - confidence.mean()).clamp(max=0) ** 2) * 4 / (2 * confidence.var()))
    label = probabilities.argmax(1)
    torch.testing.assert_close(losses.histograms["mask"], weight)
    assert torch.equal(losses.histograms["pseudo_label"], label)
    assert not torch.equal(aligned.argmax(1), label)
    each = cross_entropy(algorithm.net(unknown["strong"]).logits, label, reduction="none")
    torch.testing.assert_close(losses.parts["unsup_loss"], (each * weight).mean().detach())
