"""CoMatch: the memory, the smoothed pseudo-labels and the losses by hand."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import cross_entropy

from algorithms.comatch import CoMatch, Memory
from tests.algorithms.clusters import CLASSES, FIRST, make, posts, surer, views_for


def batches(labelled: int = 4, unlabelled: int = 12):
    return views_for("comatch", posts(labelled), posts(unlabelled, 5, labelled=False, start=64))


def rows(*values: float) -> torch.Tensor:
    return torch.tensor([[value] for value in values])


def test_the_memory_overwrites_the_oldest():
    memory = Memory(4, 1, 1)
    memory.write(rows(1, 2, 3), rows(0.1, 0.2, 0.3))
    assert memory.embeddings.flatten().tolist() == [1, 2, 3, 0] and not memory.is_full
    memory.write(rows(4, 5), rows(0.4, 0.5))
    assert memory.embeddings.flatten().tolist() == [5, 2, 3, 4] and memory.is_full
    assert memory.probabilities.flatten().tolist() == pytest.approx([0.5, 0.2, 0.3, 0.4])
    memory.write(rows(6, 7, 8, 9, 10, 11), rows(*[0.6] * 6))  # the last four of more than there is room for
    assert sorted(memory.embeddings.flatten().tolist()) == [8, 9, 10, 11] and memory.written == 11


def test_what_is_not_finite_is_not_remembered():
    memory = Memory(2, 1, 1)
    memory.write(rows(1, 2), rows(0.1, 0.2))
    memory.write(rows(float("nan"), 3), rows(0.5, float("inf")))
    assert memory.embeddings.flatten().tolist() == [1, 2]


def test_the_memory_answers_with_its_nearest_posts():
    memory = Memory(2, 2, 2)
    memory.write(torch.eye(2), torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
    nearer = 1 / (1 + torch.tensor(-1 / 0.5).exp())
    torch.testing.assert_close(memory(torch.tensor([[0.0, 1.0]]), 0.5), torch.stack([1 - nearer, nearer]).view(1, 2))


@pytest.mark.parametrize("full", [False, True])
def test_losses_are_those_of_the_paper(full):
    size = 8 if full else 1000
    algorithm = surer(make("comatch", memory_size=size, threshold=0.7, similarity_floor=0.6, align="none"))
    known, unknown = batches()
    first_known, first_unknown = batches(6, 10)
    algorithm(first_known, first_unknown, FIRST)
    net, head = algorithm.net, algorithm.head
    with torch.no_grad():
        kept = torch.cat([head(net(first_unknown["weak"])), head(net(first_known["weak"]))])[-8:]
        sure = torch.cat(
            [net(first_unknown["weak"]).logits.softmax(1), torch.eye(CLASSES)[first_known["weak"].label]]
        )[-8:]  # fmt: skip
        target = net(unknown["weak"])
        near = torch.stack([(z @ kept.T / 0.2).softmax(0) for z in head(target)])
        pseudo = target.logits.softmax(1)
        if full:
            pseudo = 0.9 * pseudo + 0.1 * near @ sure
        accepted = pseudo.amax(1) >= 0.7
        learner, other = net(unknown["strong"]), net(unknown["strong_1"])
        each = -(pseudo * learner.logits.log_softmax(1)).sum(1)
        contrast = torch.zeros(12)
        for i, (z, p) in enumerate(zip(head(learner), pseudo, strict=True)):
            weight = torch.stack([p @ q if p @ q >= 0.6 else torch.tensor(0.0) for q in pseudo])
            weight[i] = 1
            chance = torch.stack([(z @ other_z / 0.2).exp() for other_z in head(other)])
            contrast[i] = -(weight / weight.sum() * (chance / chance.sum()).log()).sum()
    losses = algorithm(known, unknown, FIRST)
    assert 0 < accepted.sum() < 12
    assert torch.equal(losses.histograms["mask"].bool(), accepted)
    torch.testing.assert_close(losses.parts["unsup_loss"], (each * accepted).mean())
    torch.testing.assert_close(losses.parts["contrast_loss"], contrast.mean())
    sup_loss = cross_entropy(net(known["weak"]).logits, known["weak"].label).detach()
    torch.testing.assert_close(losses.total.detach(), sup_loss + (each * accepted).mean() + contrast.mean())


def test_both_strong_views_and_the_head_learn_from_the_contrast():
    algorithm, (known, unknown) = make("comatch", threshold=1.01), batches()
    for name in unknown:
        unknown[name].text.requires_grad_(True)
    algorithm(known, unknown, FIRST).total.backward()
    assert unknown["weak"].text.grad is None
    assert unknown["strong"].text.grad.abs().sum() > 0 and unknown["strong_1"].text.grad.abs().sum() > 0
    assert all(parameter.grad is not None for parameter in algorithm.head.parameters())


def test_defaults_are_the_published_ones():
    options = CoMatch.Options()
    assert (options.embedding_dim, options.embedding_temperature, options.smoothing_ratio) == (64, 0.2, 0.1)
    assert (options.similarity_floor, options.memory_size, options.threshold) == (0.8, 5 * 8 * 64, 0.95)
    with pytest.raises(ValueError, match="--memory_size 0 must be a number above 0"):
        CoMatch.Options(memory_size=0)
