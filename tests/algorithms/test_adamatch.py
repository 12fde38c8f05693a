"""AdaMatch: relative threshold, alignment by ratio, warm-up, and what BatchNorm sees."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from algorithms.adamatch import AdaMatch, running_statistics_kept, warm_up
from algorithms.base import Step
from tests.algorithms.clusters import make, posts, surer, views, with_batch_norm

MIDDLE = Step(50, 0, 100)


def batches():
    return views(posts(6)), views(posts(18, 5, labelled=False, start=64))


def test_the_weight_rises_along_half_a_cosine_to_the_middle_of_the_run():
    weights = [warm_up(Step(number, 0, 100)) for number in (0, 25, 50, 75)]
    assert weights == pytest.approx([0, 0.5, 1, 1])
    algorithm, (known, unknown) = make("adamatch", threshold=0.5), batches()
    losses = algorithm(known, unknown, Step(25, 0, 100))
    torch.testing.assert_close(losses.total.detach(), losses.parts["sup_loss"] + 0.5 * losses.parts["unsup_loss"])


def test_losses_are_those_of_the_paper():
    algorithm, (known, unknown) = surer(make("adamatch")), batches()
    net = algorithm.net
    losses = algorithm(known, unknown, MIDDLE)
    with torch.no_grad():
        answer, answer_strong = net(known["weak"]).logits, net(known["strong"]).logits
        sup_loss = (cross_entropy(answer, known["weak"].label) + cross_entropy(answer_strong, known["weak"].label)) / 2
        seen, guess = answer.softmax(1), net(unknown["weak"]).logits.softmax(1)
        share = torch.bincount(algorithm.task.labels) / 64
        ratio = (0.99 * share + 0.01 * seen.mean(0)) / (0.99 / 3 + 0.01 * guess.mean(0))
        aligned = guess * ratio / (guess * ratio).sum(1, keepdim=True)
        confidence, label = aligned.max(1)
        accepted = confidence >= 0.9 * seen.amax(1).mean()
        each = cross_entropy(net(unknown["strong"]).logits, label, reduction="none")
    assert 0 < accepted.sum() < 18
    torch.testing.assert_close(losses.parts["sup_loss"], sup_loss)
    assert torch.equal(losses.histograms["mask"].bool(), accepted)
    torch.testing.assert_close(losses.parts["unsup_loss"], (each * accepted).mean())


def test_labelled_and_unlabelled_posts_are_looked_at_in_the_same_way():
    """At rest, or with BatchNorm in one pass; labelled ones are then learned from in a second one."""
    at_rest = [(18, False), (30, True), (6, False)]
    for net, expected in ((make("adamatch").net.train(), at_rest), (with_batch_norm(True), [(48, True), (12, True)])):
        passes: list[tuple[int, bool]] = []
        net.register_forward_pre_hook(
            lambda module, arguments, seen=passes: seen.append((len(arguments[0]), module.training))
        )
        make("adamatch", net)(*batches(), MIDDLE)
        assert passes == expected


def test_logits_lie_between_those_of_both_passes(monkeypatch):
    algorithm, (known, _) = make("adamatch", with_batch_norm(True)), batches()
    pair = [known["weak"], known["strong"]]
    alone = [prediction.logits for prediction in algorithm.predict(*pair)]
    together = [logits + 1 for logits in alone]
    torch.manual_seed(0)
    drawn = algorithm.interpolated(together, pair)
    share = torch.cat([some - own for some, own in zip(drawn, alone, strict=True)])
    assert ((share >= -1e-6) & (share <= 1 + 1e-6)).all() and share.std() > 0.2
    monkeypatch.setattr(torch, "rand_like", torch.zeros_like)
    torch.testing.assert_close(algorithm.interpolated(together, pair), alone)


def test_the_pass_alone_leaves_the_running_statistics_untouched():
    norm = nn.BatchNorm1d(2)
    values = torch.tensor([[1.0, 2.0], [3.0, 6.0]])
    with running_statistics_kept(norm):
        normalised = norm(values)
    torch.testing.assert_close(normalised, torch.tensor([[-1.0, -1.0], [1.0, 1.0]]), atol=1e-4, rtol=1e-4)
    assert norm.running_mean.tolist() == [0, 0] and norm.num_batches_tracked == 0 and norm.track_running_stats
    algorithm = make("adamatch", with_batch_norm(True))
    algorithm(*batches(), MIDDLE)
    norms = [module for module in algorithm.net.modules() if isinstance(module, nn.BatchNorm1d)]
    assert [int(module.num_batches_tracked) for module in norms] == [1] * len(norms)


def test_the_target_moves_only_where_asked():
    for how, moves in (("labelled", True), ("uniform", False)):
        algorithm = make("adamatch", align=how)
        before = algorithm.alignment.target.clone()
        algorithm(*batches(), MIDDLE)
        assert torch.equal(algorithm.alignment.target, before) != moves


def test_the_threshold_is_the_published_one():
    assert AdaMatch.Options().threshold == 0.9
