"""S2-VER: prototypes, relations, distributions, thresholds and losses by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn.functional import cross_entropy

from algorithms.s2_ver import S2Ver
from tests.algorithms.clusters import CLASSES, FIRST, make, posts, surer, views_for


def batches():
    return views_for("s2_ver", posts(6), posts(12, 5, labelled=False, start=64))


def test_prototypes_move_to_the_posts_that_are_rightly_classified():
    algorithm = make("s2_ver", embedding_dim=2)
    algorithm.prototypes.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]]))
    embedding = torch.tensor([[0.0, 1.0], [1.0, 0.0], [1.0, 0.0], [1.0, 0.0]])
    algorithm.update(embedding, torch.tensor([0, 0, 2, 0]), torch.tensor([0, 0, 1, 2]))
    prototypes = [[0.9 + 0.05, 0.05], [0.0, 1.0], [0.5, 0.5]]  # of 1 and 2 none is right
    assert algorithm.prototypes.tolist() == [pytest.approx(row) for row in prototypes]
    for i in range(CLASSES):
        close = [math.exp(-math.dist(prototypes[i], other) / 0.5) for other in prototypes]
        expected = [0.9 / 3 + 0.1 * value / sum(close) for value in close]
        assert algorithm.relations[i].tolist() == pytest.approx(expected)


def test_label_distributions_by_hand():
    algorithm = make("s2_ver", embedding_dim=2)
    algorithm.prototypes.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]]))
    relations = [[0.8, 0.1, 0.1], [0.2, 0.6, 0.2], [0.0, 0.5, 0.5]]
    algorithm.relations.copy_(torch.tensor(relations))
    near = [math.exp(5 * value) for value in (0.6, 0.8, -0.6)]
    near = [value / sum(near) for value in near]
    own = [0.7, 0.2, 0.1]
    expected = [0.8 * own[j] + 0.2 * sum(near[i] * relations[i][j] for i in range(3)) for j in range(3)]
    found = algorithm.distribution(torch.tensor([own]), torch.tensor([[0.6, 0.8]]))
    assert found[0].tolist() == pytest.approx(expected)


@pytest.mark.parametrize(("distribution", "ceiling"), [([0.9, 0.05, 0.05], 0.95), ([0.9, 0.05, 0.05], 0.8)])
def test_clear_posts_need_less_confidence(distribution, ceiling):
    algorithm = make("s2_ver", threshold=ceiling, least_threshold=0.6)
    entropy = -sum(value * math.log(value) for value in distribution)
    clear = 0.6 + 0.4 / ((1 + entropy) * 0.9)
    assert 0.9 < clear < 0.95
    least = min(clear, ceiling)
    probabilities = torch.tensor([[least + 1e-3, 1 - least - 1e-3, 0.0], [least - 1e-3, 1 - least + 1e-3, 0.0]])
    pseudo = algorithm.accept(probabilities, torch.tensor([distribution] * 2))
    assert pseudo.mask.tolist() == [1, 0]


def test_ambiguous_posts_need_the_highest_confidence():
    algorithm = make("s2_ver")
    pseudo = algorithm.accept(torch.tensor([[0.96, 0.04, 0.0], [0.94, 0.06, 0.0]]), torch.full((2, 3), 1 / 3))
    assert pseudo.mask.tolist() == [1, 0]  # 1 / ((1 + ln 3) / 3) is above 1


def test_losses_are_those_released():
    algorithm = surer(make("s2_ver", threshold=0.7, least_threshold=0.5, ulb_loss_ratio=0.5))
    known, unknown = batches()
    algorithm(known, unknown, FIRST)
    losses = algorithm(known, unknown, FIRST)  # its prototypes and relations are those after the update
    net, head = algorithm.net, algorithm.head
    with torch.no_grad():
        target, learner, other = (net(unknown[name]) for name in ("weak", "strong", "strong_1"))
        p = target.logits.softmax(1)
        near = torch.stack([(algorithm.prototypes @ z / 0.2).softmax(0) for z in head(target)])
        d = 0.8 * p + 0.2 * near @ algorithm.relations
        label = p.argmax(1)
        entropy = -(d * d.log()).sum(1)
        agreed = d[torch.arange(12), label]
        least = (0.5 + 0.5 * (1 / ((1 + entropy) * agreed)).clamp(max=1)).clamp(max=0.7)
        accepted = p.amax(1) >= least
        unsup_loss = (cross_entropy(learner.logits, label, reduction="none") * accepted).mean()
        distribution_loss = ((d * (d.log() - other.logits.log_softmax(1))).sum(1) * accepted).mean()
        contrast_loss = 0.0
        for i, z in enumerate(head(learner)):
            q = torch.stack([d[i] @ d[j] if d[i] @ d[j] > 0.3 else torch.tensor(0.0) for j in range(12)])
            q[i] = 1
            q = q / q.sum()
            chance = (head(other) @ z / 0.2).softmax(0)
            contrast_loss += sum((a * (a / b).log()).item() for a, b in zip(q, chance, strict=True) if a > 0) / 12
        sup_loss = cross_entropy(net(known["weak"]).logits, known["weak"].label)
    assert 0 < accepted.sum() < 12
    assert torch.equal(losses.histograms["mask"].bool(), accepted)
    torch.testing.assert_close(losses.parts["unsup_loss"], unsup_loss)
    torch.testing.assert_close(losses.parts["distribution_loss"], distribution_loss, atol=1e-5, rtol=1e-4)
    assert losses.parts["contrast_loss"].item() == pytest.approx(contrast_loss, rel=1e-4)
    total = sup_loss + 0.5 * unsup_loss + 3 * contrast_loss + 3 * distribution_loss
    torch.testing.assert_close(losses.total.detach(), total, atol=1e-4, rtol=1e-4)


def test_relations_and_distributions_stay_distributions():
    algorithm, (known, unknown) = make("s2_ver"), batches()
    for _ in range(5):
        algorithm(known, unknown, FIRST)
    torch.testing.assert_close(algorithm.relations.sum(1), torch.ones(CLASSES))
    own = algorithm.net(unknown["weak"])
    found = algorithm.distribution(own.logits.softmax(1), algorithm.head(own))
    torch.testing.assert_close(found.sum(1), torch.ones(12))


def test_defaults_are_the_released_ones():
    options = S2Ver.Options()
    assert (options.smoothing_ratio, options.similarity_floor, options.least_threshold) == (0.2, 0.3, 0.7)
    assert (options.contrast_loss_ratio, options.distribution_loss_ratio, options.embedding_temperature) == (3, 3, 0.2)
    assert (options.threshold, options.embedding_dim) == (0.95, 64)
