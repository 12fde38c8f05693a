"""Pseudo-labels, thresholds and alignment on a few posts by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight

from algorithms.options import PseudoLabelOptions
from algorithms.pseudo_labels import (
    ClassThreshold,
    DistributionAlignment,
    class_weights,
    consistency_loss,
    scaled_threshold,
)

LOGITS = torch.tensor([[0.5, 0.25, 0.25], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6]]).log()


def test_rejected_posts_count_in_the_denominator():
    loss = consistency_loss(LOGITS, torch.tensor([0, 0, 2]), torch.tensor([1.0, 0.0, 1.0]))
    assert loss.item() == pytest.approx((-math.log(0.5) - math.log(0.6)) / 3)


def test_soft_pseudo_labels_and_weights():
    soft = torch.tensor([[0.5, 0.5, 0.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    loss = consistency_loss(LOGITS, soft, torch.tensor([1.0, 0.5, 0.0]))
    expected = (-0.5 * math.log(0.5) - 0.5 * math.log(0.25) - 0.5 * math.log(0.8)) / 3
    assert loss.item() == pytest.approx(expected)


def test_nothing_accepted_is_exactly_zero_with_a_zero_gradient():
    logits = LOGITS.clone().requires_grad_(True)
    loss = consistency_loss(logits, torch.tensor([0, 1, 2]), torch.zeros(3))
    loss.backward()
    assert loss.item() == 0 and (logits.grad == 0).all()


def test_thresholds_fall_for_classes_that_are_seldom_predicted_down_to_the_floor():
    thresholds = ClassThreshold(3, momentum=0.5, floor=0.25)
    assert thresholds(0.9).tolist() == pytest.approx([0.9, 0.9, 0.9])
    thresholds.update(torch.tensor([[1.0, 0.0, 0.0], [0.6, 0.4, 0.0]]))
    mean = [(1 / 3 + 0.8) / 2, (1 / 3 + 0.2) / 2, (1 / 3) / 2]
    assert thresholds.mean_prediction.tolist() == pytest.approx(mean)
    assert thresholds(0.9).tolist() == pytest.approx([0.9, 0.9 * mean[1] / mean[0], 0.9 * mean[2] / mean[0]])
    for _ in range(20):
        thresholds.update(torch.tensor([[1.0, 0.0, 0.0]]))
    assert thresholds(0.9).tolist() == pytest.approx([0.9, 0.225, 0.225])


def test_thresholds_under_a_ceiling_on_the_device_and_with_another_momentum():
    thresholds = ClassThreshold(2, momentum=0.9, floor=0.0)
    thresholds.update(torch.tensor([[0.9, 0.1]]), momentum=0.5)
    assert thresholds(torch.tensor(0.8)).tolist() == pytest.approx([0.8, 0.8 * 0.3 / 0.7])


def test_a_threshold_above_one_is_not_scaled_down():
    share = torch.tensor([0.5, 1.0])
    assert scaled_threshold(0.8, share).tolist() == pytest.approx([0.4, 0.8])
    assert scaled_threshold(1.01, share).tolist() == pytest.approx([1.01, 1.01])


def test_the_target_of_alignment_can_follow_the_labelled_posts():
    align = DistributionAlignment(2, momentum=0.5)
    align.follow(torch.tensor([[0.8, 0.2], [1.0, 0.0]]))
    assert align.target.tolist() == pytest.approx([0.7, 0.3])
    assert align.mean_prediction.tolist() == [0.5, 0.5]


def test_alignment_by_hand():
    align = DistributionAlignment(2, momentum=0.5, target=torch.tensor([0.25, 0.75]))
    aligned = align(torch.tensor([[0.8, 0.2], [0.6, 0.4]]))
    mean = torch.tensor([(0.5 + 0.7) / 2, (0.5 + 0.3) / 2])
    torch.testing.assert_close(align.mean_prediction, mean)
    first = torch.tensor([0.8 * 0.25 / mean[0], 0.2 * 0.75 / mean[1]])
    torch.testing.assert_close(aligned[0], first / first.sum())


def test_alignment_ends_where_the_target_is_and_strength_zero_changes_nothing():
    draw = torch.Generator().manual_seed(0)
    skewed = (torch.randn(400, 3, generator=draw) + torch.tensor([2.0, 0.0, 0.0])).softmax(1)
    align, idle = DistributionAlignment(3, momentum=0.0), DistributionAlignment(3, strength=0.0)
    torch.testing.assert_close(idle(skewed), skewed)
    assert skewed.mean(0)[0] > 0.6
    assert align(skewed).mean(0).max() < 0.45


def test_a_class_that_was_never_predicted_stays_finite():
    align = DistributionAlignment(2, momentum=0.0)
    assert align(torch.tensor([[1.0, 0.0]])).isfinite().all()


@pytest.mark.parametrize("kind", [ClassThreshold, DistributionAlignment])
def test_running_statistics_are_saved_and_come_back(kind):
    first, second = kind(3), kind(3)
    probabilities = torch.tensor([[0.7, 0.2, 0.1]])
    first.update(probabilities) if kind is ClassThreshold else first(probabilities)
    assert not torch.equal(first.mean_prediction, second.mean_prediction)
    second.load_state_dict(first.state_dict())
    assert torch.equal(first.mean_prediction, second.mean_prediction)


@pytest.mark.parametrize(("name", "value"), [("threshold", -0.1), ("ulb_loss_ratio", float("nan"))])
def test_options_out_of_range_name_their_flag(name, value):
    with pytest.raises(ValueError, match=f"--{name} {value} must be a number from 0 up"):
        PseudoLabelOptions(**{name: value})


def test_balanced_weights_are_those_of_scikit_learn():
    labels = np.repeat([0, 1, 2], [9, 2, 4])
    expected = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    np.testing.assert_allclose(class_weights(torch.tensor([9.0, 2.0, 4.0]), 1.0), expected, rtol=1e-6)
