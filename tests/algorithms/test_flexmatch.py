"""FlexMatch: thresholds by hand, the count of confident posts against a recount, and what a step costs."""

from __future__ import annotations

import math
import time

import pytest
import torch
from torch.nn.functional import cross_entropy

from algorithms.base import Task
from algorithms.flexmatch import ConfidentClasses
from tests.algorithms.clusters import CLASSES, FIRST, POSTS, TASK, make, posts, surer, views

N = 40


def counted(counts: list[int], **options):
    """FlexMatch over N unlabelled posts, of which so many were last taken for each class."""
    algorithm = make("flexmatch", task=Task(CLASSES, POSTS, N, TASK.labelled, TASK.labels), threshold=0.8, **options)
    algorithm.confident.counts.copy_(torch.tensor(counts))
    return algorithm


def test_while_most_posts_were_never_confident_all_thresholds_are_low():
    shares = [6 / 30, 3 / 30, 1 / 30]  # 30 of 40 have no class yet
    expected = [0.8 * share / (2 - share) for share in shares]
    assert counted([6, 3, 1]).thresholds().tolist() == pytest.approx(expected)
    assert counted([0, 0, 0]).thresholds().tolist() == [0, 0, 0]


def test_later_the_class_learned_best_has_the_full_threshold():
    expected = [0.8, 0.8 * 0.5 / 1.5, 0.8 * 0.25 / 1.75]
    assert counted([20, 10, 5]).thresholds().tolist() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("mapping", "mapped"),
    [("convex", lambda x: x / (2 - x)), ("linear", lambda x: x), ("concave", lambda x: math.log2(x + 1))],
)
def test_without_warm_up_and_with_every_mapping(mapping, mapped):
    algorithm = counted([6, 3, 0], threshold_warmup=False, threshold_mapping=mapping)
    expected = [0.8 * mapped(share) for share in (1, 0.5, 0)]
    assert algorithm.thresholds().tolist() == pytest.approx(expected)


def test_losses_are_those_of_the_paper_with_the_thresholds_before_the_step():
    algorithm = surer(counted([20, 16, 18]))
    known, unknown = posts(4), views(posts(24, 5, labelled=False, start=100))
    net = algorithm.net
    confidence, label = net(unknown["weak"]).logits.softmax(1).max(1)
    threshold = [0.8, 0.8 * 0.8 / 1.2, 0.8 * 0.9 / 1.1]
    accepted = [value >= threshold[one] for value, one in zip(confidence.tolist(), label.tolist(), strict=True)]
    each = cross_entropy(net(unknown["strong"]).logits, label, reduction="none")
    losses = algorithm({"weak": known}, unknown, FIRST)
    assert 0 < sum(accepted) < 24
    assert losses.histograms["mask"].bool().tolist() == accepted
    torch.testing.assert_close(losses.parts["unsup_loss"], sum(each[torch.tensor(accepted)]).detach() / 24)
    last = [one if value >= 0.8 else -1 for value, one in zip(confidence.tolist(), label.tolist(), strict=True)]
    assert algorithm.confident.last_class[100:124].tolist() == last
    assert (algorithm.confident.last_class >= 0).sum() == 24 - last.count(-1)


def test_counts_equal_a_recount_after_many_steps_with_rows_that_come_twice():
    draw = torch.Generator().manual_seed(0)
    confident = ConfidentClasses(30, CLASSES)
    last = [-1] * 30
    for _ in range(150):
        index = torch.randint(0, 30, (17,), generator=draw)
        label = torch.randint(0, CLASSES, (17,), generator=draw)
        sure = torch.rand(17, generator=draw) < 0.4
        confident.update(index, label, sure)
        for row, new, counts in zip(index.tolist(), label.tolist(), sure.tolist(), strict=True):
            last[row] = new if counts else last[row]
        assert confident.last_class.tolist() == last
        assert confident.counts.tolist() == [last.count(label) for label in range(CLASSES)]


def test_a_row_keeps_its_last_confident_class():
    confident = ConfidentClasses(4, CLASSES)
    rows, yes = torch.tensor([2, 2, 2]), torch.tensor([True, True, False])
    confident.update(rows, torch.tensor([0, 1, 2]), yes)
    assert confident.last_class.tolist() == [-1, -1, 1, -1] and confident.counts.tolist() == [0, 1, 0]


def test_posts_that_are_not_finite_are_passed_over():
    algorithm = make("flexmatch", threshold=0.0)
    unknown = views(posts(6, 5, labelled=False, lacking=False))
    unknown["weak"].text[2] = float("nan")
    algorithm({"weak": posts(4)}, unknown, FIRST)
    assert (algorithm.confident.last_class[:6] < 0).tolist() == [False, False, True, False, False, False]
    assert algorithm.confident.counts.sum() == 5


def test_many_classes_have_room():
    confident = ConfidentClasses(2, 300)
    confident.update(torch.tensor([0]), torch.tensor([299]), torch.tensor([True]))
    assert confident.last_class.tolist() == [299, -1] and confident.counts[299] == 1


def best_time(rows: int) -> float:
    """Seconds of the quickest of many updates; what else the machine does only ever adds to a time."""
    draw = torch.Generator().manual_seed(0)
    confident = ConfidentClasses(rows, CLASSES)
    index = torch.randint(0, rows, (50, 448), generator=draw)
    label = torch.randint(0, CLASSES, (50, 448), generator=draw)
    sure = torch.rand(50, 448, generator=draw) < 0.7
    times = []
    for some in zip(index, label, sure, strict=True):
        begun = time.perf_counter()
        confident.update(*some)
        times.append(time.perf_counter() - begun)
    return min(times)


def test_a_step_costs_the_same_at_ten_thousand_and_at_five_million_posts():
    ratios = []
    for _ in range(5):
        ratios.append(best_time(5_000_000) / best_time(10_000))
        if ratios[-1] < 2:
            return
    raise AssertionError(f"times of a step at 5 million posts, as a multiple of those at 10 thousand: {ratios}")
