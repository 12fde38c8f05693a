"""SimMatch: the bank, unfolding, aggregation and losses by hand."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import cross_entropy, normalize

from algorithms.base import Task
from datasets.batch import Batch
from tests.algorithms.clusters import CLASSES, FIRST, POSTS, make, posts, surer, views_for

ROWS, LABELS = torch.tensor([1, 5, 9, 40]), torch.tensor([0, 2, 1, 2])
TASK = Task(CLASSES, POSTS, POSTS, ROWS, LABELS)


def labelled(places: list[int]) -> Batch:
    """Labelled posts of `TASK`."""
    batch = posts(len(places))
    return Batch(ROWS[places], LABELS[places], batch.has_image, batch.has_text, batch.image, batch.text)


def batches(places: list[int]):
    return views_for("simmatch", labelled(places), posts(12, 5, labelled=False, start=64))


def unit(*values: float) -> torch.Tensor:
    return normalize(torch.tensor(values, dtype=torch.float32), dim=0)


def test_the_bank_moves_towards_what_was_read():
    algorithm = make("simmatch", task=TASK, embedding_dim=2, bank_momentum=0.75)
    algorithm.remember(torch.tensor([9, 1]), torch.stack([unit(1, 0), unit(0, 1)]))
    torch.testing.assert_close(algorithm.bank, torch.tensor([[0.0, 1], [0, 0], [1, 0], [0, 0]]))
    algorithm.remember(torch.tensor([9]), unit(0, 1).view(1, 2))
    torch.testing.assert_close(algorithm.bank[2], unit(0.75, 0.25))
    assert algorithm.bank[0].tolist() == [0, 1] and (algorithm.bank[[1, 3]] == 0).all()


def test_of_a_post_that_comes_twice_the_mean_and_of_one_not_finite_nothing():
    algorithm = make("simmatch", task=TASK, embedding_dim=2)
    embedding = torch.stack([unit(1, 0), unit(0, 1), torch.tensor([float("nan"), 1.0]), torch.tensor([0.0, torch.inf])])
    algorithm.remember(torch.tensor([5, 5, 5, 40]), embedding)
    torch.testing.assert_close(algorithm.bank, torch.stack([unit(0, 0), unit(1, 1), unit(0, 0), unit(0, 0)]))


@pytest.mark.parametrize("whole", [False, True])
def test_losses_are_those_of_the_paper(whole):
    algorithm = surer(make("simmatch", task=TASK, threshold=0.7, align="none", smoothing_ratio=0.3))
    algorithm(*batches([0, 1, 2, 3] if whole else [0, 1, 2]), FIRST)
    known, unknown = batches([1, 0, 2])
    net, head, bank = algorithm.net, algorithm.head, algorithm.bank.clone()
    with torch.no_grad():
        target, learner = algorithm.teacher(unknown["weak"]), net(unknown["strong"])
        p = target.logits.softmax(1)
        pseudo, instance_loss = p.clone(), torch.zeros(12)
        for i, (z, z_strong) in enumerate(zip(head(target), head(learner), strict=True)):
            near = (bank @ z / 0.1).softmax(0)
            unfolded = torch.stack([near[k] * p[i, LABELS[k]] for k in range(4)])
            student = (bank @ z_strong / 0.1).softmax(0)
            instance_loss[i] = -(unfolded / unfolded.sum() * student.log()).sum()
            aggregated = torch.stack([near[label == LABELS].sum() for label in range(CLASSES)])
            if whole:
                pseudo[i] = 0.7 * p[i] + 0.3 * aggregated
        accepted = pseudo.amax(1) >= 0.7
        each = -(pseudo * learner.logits.log_softmax(1)).sum(1)
        sup_loss = cross_entropy(net(known["weak"]).logits, known["weak"].label)
        unsup_loss, contrast_loss = (each * accepted).mean(), instance_loss.mean() * whole
    losses = algorithm(known, unknown, FIRST)
    assert 0 < accepted.sum() < 12
    assert torch.equal(losses.histograms["mask"].bool(), accepted)
    torch.testing.assert_close(losses.parts["unsup_loss"], unsup_loss)
    torch.testing.assert_close(losses.parts["contrast_loss"], contrast_loss)
    torch.testing.assert_close(losses.total.detach(), sup_loss + unsup_loss + contrast_loss)


def test_the_teacher_makes_the_labels_and_the_student_learns():
    algorithm = make("simmatch", task=TASK, threshold=0.0, align="none", smoothing_ratio=0.0)
    algorithm(*batches([0, 1, 2, 3]), FIRST)
    with torch.no_grad():
        for parameter in algorithm.net.parameters():
            parameter.add_(0.3)
    known, unknown = batches([0, 1])
    losses = algorithm(known, unknown, FIRST)
    teachers, students = (net(unknown["weak"]).logits.softmax(1).amax(1) for net in (algorithm.teacher, algorithm.net))
    torch.testing.assert_close(losses.histograms["confidence"], teachers)
    assert not torch.allclose(teachers, students, atol=1e-3)
    losses.total.backward()
    assert all(parameter.grad is not None for parameter in algorithm.head.parameters())
    assert all(parameter.grad is None for parameter in algorithm.teacher.parameters())


def test_the_bank_is_saved_and_what_the_task_says_is_not():
    state = make("simmatch", task=TASK).state_dict()
    assert {"bank", "head.layers.0.weight"} <= set(state) and not {"rows", "labels"} & set(state)
