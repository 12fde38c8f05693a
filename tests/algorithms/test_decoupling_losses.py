"""The decoupling losses by hand, and the margin against a plain triple loop."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import cosine_similarity

from algorithms.losses.decoupling import MARGIN, cycle, margin, masked_mean, orthogonality, reconstruction

HERE = {"text": torch.tensor([True, True]), "image": torch.tensor([True, False])}


def parts(**given):
    """Parts of two posts with D = 2; those not given are zeros."""
    names = [
        f"{prefix}{m}" for prefix in ("", "common_", "projected_", "rebuilt_", "cycle_") for m in ("text", "image")
    ]
    found = {name: torch.zeros(2, 2) for name in names}
    return found | {name: torch.tensor(value, requires_grad=True) for name, value in given.items()}


def test_masked_mean_of_nothing_is_zero():
    assert masked_mean(torch.tensor([1.0, 5.0]), torch.tensor([True, False])) == 1
    assert masked_mean(torch.tensor([1.0, 5.0]), torch.tensor([False, False])) == 0


def test_reconstruction_by_hand_and_its_target_gets_no_gradient():
    given = parts(
        rebuilt_text=[[1.0, 1.0], [0.0, 2.0]], projected_text=[[0.0, 1.0], [0.0, 0.0]],
        rebuilt_image=[[3.0, 0.0], [9.0, 9.0]], projected_image=[[0.0, 0.0], [0.0, 0.0]],
    )  # fmt: skip
    loss = reconstruction(given, HERE)
    assert loss.item() == pytest.approx((0.5 + 2.0) / 2 + 4.5)  # the second post has no image
    loss.backward()
    assert given["projected_text"].grad is None and given["projected_image"].grad is None
    assert given["rebuilt_text"].grad.tolist() == [[0.5, 0.0], [0.0, 1.0]]
    assert given["rebuilt_image"].grad.tolist() == [[3.0, 0.0], [0.0, 0.0]]


def test_cycle_by_hand():
    given = parts(
        text=[[1.0, 0.0], [0.0, 0.0]], cycle_text=[[0.0, 0.0], [1.0, 1.0]],
        image=[[2.0, 2.0], [5.0, 5.0]], cycle_image=[[0.0, 2.0], [0.0, 0.0]],
    )  # fmt: skip
    loss = cycle(given, HERE)
    assert loss.item() == pytest.approx((0.5 + 1.0) / 2 + 2.0)
    loss.backward()
    assert given["text"].grad.abs().sum() > 0 and given["cycle_text"].grad.abs().sum() > 0
    assert given["image"].grad[1].tolist() == [0.0, 0.0]


def test_orthogonality_by_hand_is_the_same_in_either_direction():
    given = parts(
        text=[[1.0, 0.0], [1.0, 1.0]], common_text=[[0.0, 3.0], [2.0, 0.0]],
        image=[[1.0, 0.0], [1.0, 0.0]], common_image=[[-2.0, 0.0], [1.0, 0.0]],
    )  # fmt: skip
    assert orthogonality(given, HERE).item() == pytest.approx((0.0 + 0.5) / 2 + 1.0)


def naive_margin(common, label, known, between=None):
    """The definition, anchor by anchor, pair by pair."""
    anchors = []
    size = range(len(label))
    for a in size:
        terms = []
        for p in size:
            for n in size:
                counted = known[a] and known[p] and known[n] and p != a
                if not (counted and label[p] == label[a] and label[n] != label[a]):
                    continue
                gap = MARGIN if between is None else between[label[a], label[n]]
                near, far = (cosine_similarity(common[a], common[other], dim=0) for other in (p, n))
                terms.append((gap - near + far).clamp(min=0))
        if terms:
            anchors.append(torch.stack(terms).mean())
    return torch.stack(anchors).mean() if anchors else common.sum() * 0


BETWEEN = torch.tensor([[0.0, 0.15, 0.30], [0.15, 0.0, 0.60], [0.30, 0.60, 0.0]])


@pytest.mark.parametrize("between", [None, BETWEEN])
@pytest.mark.parametrize("seed", range(4))
def test_margin_is_that_of_the_triple_loop_in_value_and_gradient(between, seed):
    draw = torch.Generator().manual_seed(seed)
    common = torch.randn(11, 5, generator=draw, dtype=torch.float64)
    label = torch.randint(0, 3, (11,), generator=draw)
    known = torch.rand(11, generator=draw) < 0.7
    gap = None if between is None else between.double()
    ours, theirs = (common.clone().requires_grad_(True) for _ in range(2))
    loss, expected = margin(ours, label, known, gap), naive_margin(theirs, label, known, gap)
    assert expected > 0
    torch.testing.assert_close(loss, expected)
    loss.backward()
    expected.backward()
    torch.testing.assert_close(ours.grad, theirs.grad)


def test_margin_by_hand():
    """Anchor 0 has one positive at cosine 0.6 and one negative at cosine 0.8, anchor 1 the same with cosine 0.96."""
    common = torch.tensor([[1.0, 0.0], [0.6, 0.8], [0.8, 0.6]])
    loss = margin(common, torch.tensor([0, 0, 1]), torch.ones(3, dtype=torch.bool))
    assert loss.item() == pytest.approx(((MARGIN - 0.6 + 0.8) + (MARGIN - 0.6 + 0.96)) / 2, abs=1e-6)


@pytest.mark.parametrize(("label", "known"), [
    ([0, 0, 0], [True, True, True]), ([0, 1, 2], [True, True, True]), ([0, 0, 1], [False, False, False]),
    ([0, 0, 1], [True, True, False]),
])  # fmt: skip
def test_margin_without_a_pair_of_each_kind_is_zero_and_so_is_its_gradient(label, known):
    common = torch.randn(3, 4, requires_grad=True)
    loss = margin(common, torch.tensor(label), torch.tensor(known))
    loss.backward()
    assert loss.item() == 0 and common.grad.tolist() == torch.zeros(3, 4).tolist()


def test_posts_that_are_not_trusted_get_no_gradient_of_the_margin():
    common = torch.randn(6, 4, generator=torch.Generator().manual_seed(1)).requires_grad_(True)
    margin(common, torch.tensor([0, 0, 1, 1, 0, 1]), torch.tensor([True, True, True, True, False, False])).backward()
    assert (common.grad[4:] == 0).all() and (common.grad[:4] != 0).any()
