"""FixMatch and the supervised baseline: values, gradients, and when the weak views run apart."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from algorithms.base import reads_batch_statistics
from algorithms.fixmatch import FixMatch
from datasets.batch import concatenate
from tests.algorithms.clusters import FIRST, TASK, feature_net, gradients, make, posts, views, with_batch_norm


class Joint(FixMatch):
    """FixMatch as it is written down: all views in one pass, the pseudo-labels detached."""

    def predict_with_targets(self, labelled, weak, strong):
        return tuple(self.predict(labelled, weak, strong))


def count_passes(net: nn.Module) -> list[int]:
    sizes: list[int] = []
    net.register_forward_pre_hook(lambda module, arguments: sizes.append(len(arguments[0])))
    return sizes


def test_supervised_is_the_cross_entropy_of_the_labelled_posts():
    algorithm = make("supervised")
    batch = posts(6)
    losses = algorithm({"weak": batch}, {}, FIRST)
    torch.testing.assert_close(losses.total, cross_entropy(algorithm.net(batch).logits, batch.label))
    assert losses.parts["sup_loss"] == losses.parts["total_loss"] == losses.total.detach()


@pytest.mark.parametrize("uratio", [1, 7])
def test_the_losses_are_those_of_the_paper(uratio):
    algorithm = make("fixmatch", threshold=0.4, ulb_loss_ratio=0.5)
    known, unknown = posts(4), views(posts(4 * uratio, 5, labelled=False))
    losses = algorithm({"weak": known}, unknown, FIRST)
    net = algorithm.net
    confidence, label = net(unknown["weak"]).logits.softmax(1).max(1)
    each = cross_entropy(net(unknown["strong"]).logits, label, reduction="none")
    accepted = confidence >= 0.4
    assert 0 < accepted.sum() < len(accepted) or uratio == 1
    expected = sum(each[accepted]) / len(each)
    torch.testing.assert_close(losses.parts["unsup_loss"], torch.as_tensor(expected).detach())
    total = cross_entropy(net(known).logits, known.label) + 0.5 * expected
    torch.testing.assert_close(losses.total, total)
    assert losses.seen["util_ratio"] == accepted.float().mean()
    assert torch.equal(losses.histograms["pseudo_label"], label)


def test_weak_views_apart_give_the_gradients_of_one_joint_pass():
    net = feature_net("concat").train()
    batches = {"weak": posts(5)}, views(posts(15, 2, labelled=False))
    sizes = count_passes(net)
    apart = gradients(make("fixmatch", net, threshold=0.4), *batches)
    assert sizes == [15, 20]
    joint = gradients(Joint(FixMatch.Options(threshold=0.4), net, net, TASK), *batches)
    assert apart.keys() == joint.keys() and apart
    for name in apart:
        torch.testing.assert_close(apart[name], joint[name], atol=1e-6, rtol=1e-6)


def test_batch_norm_that_reads_the_batch_makes_it_one_pass():
    batches = {"weak": posts(5)}, views(posts(15, 2, labelled=False))
    for training, expected in ((True, [35]), (False, [15, 20])):
        net = with_batch_norm(training)
        assert reads_batch_statistics(net) == training
        sizes = count_passes(net)
        apart = gradients(make("fixmatch", net, threshold=0.4), *batches)
        assert sizes == expected
        joint = gradients(Joint(FixMatch.Options(threshold=0.4), deepcopy(net), net, TASK), *batches)
        for name in apart:
            torch.testing.assert_close(apart[name], joint[name], atol=1e-6, rtol=1e-6)


def test_no_gradient_goes_through_pseudo_labels():
    algorithm = make("fixmatch", threshold=0.0)
    known, unknown = posts(4), views(posts(8, 2, labelled=False))
    for name in ("weak", "strong"):
        unknown[name].text.requires_grad_(True)
    algorithm({"weak": known}, unknown, FIRST).total.backward()
    assert unknown["weak"].text.grad is None
    assert unknown["strong"].text.grad.abs().sum() > 0


def test_low_precision_does_not_lose_gradients_to_the_pass_without_them():
    """Autocast keeps the weights that it has cast: those of the pass without gradient must not serve the other."""
    algorithm = make("fixmatch", threshold=0.0)
    with torch.autocast("cpu", torch.bfloat16):
        losses = algorithm({"weak": posts(4)}, views(posts(8, 2, labelled=False)), FIRST)
    losses.total.backward()
    assert [name for name, value in algorithm.net.named_parameters() if value.grad is None] == []
    assert losses.total.dtype == torch.float32


@pytest.mark.parametrize(("threshold", "share"), [(0.0, 1), (1.01, 0)])
def test_threshold_zero_takes_all_and_above_one_none(threshold, share):
    algorithm = make("fixmatch", threshold=threshold)
    known = {"weak": posts(4)}
    losses = algorithm(known, views(posts(8, 2, labelled=False)), FIRST)
    assert losses.seen["util_ratio"] == share and (losses.histograms["mask"] == share).all()
    assert (losses.parts["unsup_loss"] == 0) == (share == 0)
    if not share:
        assert losses.total == losses.parts["sup_loss"]
        alone = gradients(make("supervised", algorithm.net), known, {})
        for name, value in gradients(algorithm, known, views(posts(8, 2, labelled=False))).items():
            torch.testing.assert_close(value, alone[name])


def test_one_pass_over_several_batches_answers_each():
    algorithm = make("fixmatch")
    first, second = posts(3), posts(5, 1)
    answers = algorithm.predict(first, second)
    whole = algorithm.net(concatenate([first, second])).logits
    assert [len(answer.logits) for answer in answers] == [3, 5]
    torch.testing.assert_close(torch.cat([answer.logits for answer in answers]), whole)


def test_the_teacher_is_no_part_of_the_algorithm():
    algorithm = make("fixmatch")
    assert not any("teacher" in name for name in algorithm.state_dict())
    assert all(
        parameter is not other for parameter in algorithm.parameters() for other in algorithm.teacher.parameters()
    )
