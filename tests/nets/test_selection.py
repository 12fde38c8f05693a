"""Modal-selection attention against its formula, and its gradient."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from nets.selection import ModalSelection, witness_weights
from tests.nets.tiny import tiny_net, tiny_posts

ALL = torch.ones(1, 3, dtype=torch.bool)


def by_hand(module: ModalSelection, parts: Tensor, present: list[bool]) -> list[Tensor]:
    """The three candidates o_k of one post, part by part."""
    found = []
    for k in range(3):
        others = [j for j in range(3) if j != k and present[j]]
        answer = parts[k].clone()
        if others:
            query = module.query(parts[k])
            scores = torch.stack([query @ module.key(parts[j]) / math.sqrt(parts.shape[1]) for j in others])
            for weight, j in zip(scores.softmax(0), others, strict=True):
                answer = answer + weight * module.value(parts[j])
        found.append(answer)
    return found


def module(how: str, dim: int = 4) -> tuple[ModalSelection, Tensor]:
    torch.manual_seed(3)
    return ModalSelection(dim, how), torch.randn(1, 3, dim)


@pytest.mark.parametrize("present", [[True, True, True], [True, False, True], [False, True, True]])
def test_soft_selection_weighs_what_each_part_takes_from_the_others(present):
    net, parts = module("soft")
    fused, logits, _ = net(parts, torch.tensor([present]))
    here = parts[0] * torch.tensor(present).unsqueeze(1)
    asked = net.choose(here.flatten())
    assert torch.equal(logits[0].isneginf(), ~torch.tensor(present))
    chosen = torch.where(torch.tensor(present), asked, -torch.inf).softmax(0).tolist()
    weights = [(p + there / sum(present)) / 2 for p, there in zip(chosen, present, strict=True)]
    expected = sum(w * o for w, o in zip(weights, by_hand(net, here, present), strict=True))
    torch.testing.assert_close(fused[0], expected)


def test_gumbel_takes_the_likeliest_part_alone_in_evaluation():
    net, parts = module("gumbel")
    fused, logits, _ = net.eval()(parts, ALL)
    torch.testing.assert_close(fused[0], by_hand(net, parts[0], [True] * 3)[int(logits.argmax())])


def test_gumbel_draws_one_part_in_training_as_often_as_it_is_likely():
    net, parts = module("gumbel")
    fused, logits, _ = net.train()(parts.expand(4000, -1, -1), ALL.expand(4000, -1))
    candidates = torch.stack(by_hand(net, parts[0], [True] * 3))
    distance = (fused.unsqueeze(1) - candidates).norm(dim=2)
    assert (distance.min(dim=1).values < 1e-5).all()
    drawn = torch.bincount(distance.argmin(dim=1), minlength=3) / 4000
    torch.testing.assert_close(drawn, logits[0].softmax(0).detach(), atol=0.03, rtol=0)


def test_a_missing_part_is_never_drawn():
    net, parts = module("gumbel")
    present = torch.tensor([[False, True, True]]).expand(500, -1)
    fused, *_ = net.train()(parts.expand(500, -1, -1), present)
    changed = parts.clone()
    changed[:, 0] = 50.0
    torch.manual_seed(0)
    first, *_ = net(parts.expand(500, -1, -1), present)
    torch.manual_seed(0)
    second, *_ = net(changed.expand(500, -1, -1), present)
    assert fused.isfinite().all() and torch.equal(first, second)


def test_a_part_that_is_alone_passes_as_it_is():
    for how in ("soft", "gumbel", "none"):
        net, parts = module(how)
        fused, logits, _ = net(parts, torch.tensor([[False, False, True]]))
        torch.testing.assert_close(fused[0], parts[0, 2])
        assert logits.softmax(1).tolist() == [[0.0, 0.0, 1.0]]


def test_without_selection_all_parts_that_are_there_count_the_same():
    net, parts = module("none")
    fused, logits, _ = net(parts, ALL)
    torch.testing.assert_close(fused[0], torch.stack(by_hand(net, parts[0], [True] * 3)).mean(0))
    assert not logits.requires_grad and not hasattr(net, "choose")


@pytest.mark.parametrize("how", ["soft", "gumbel"])
def test_the_classification_loss_alone_teaches_the_selection_of_a_fused_answer(how):
    """The fault of the released code: there the selection stays at its random start."""
    net = tiny_net("scrd", selection=how, decision="fused")[0].train()
    batch = tiny_posts()
    cross_entropy(net(batch).logits, batch.label).backward()
    for parameter in net.selection.choose.parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all() and parameter.grad.abs().max() > 0


def test_witnesses_weigh_as_they_are_chosen():
    """The deciding one up to thrice as much as the other, the same where the common part decides, alone as it is."""
    chosen = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.5, 0.1, 0.4], [0.7, 0.0, 0.3], [0.0, 0.0, 1.0]])
    present = torch.tensor([[1, 1], [1, 1], [1, 1], [1, 0], [0, 0]], dtype=torch.bool)
    expected = torch.tensor([[1.5, 0.5], [1.0, 1.0], [1.2, 0.8], [1.0, 0.0], [0.0, 0.0]])
    torch.testing.assert_close(witness_weights(chosen, present), expected)


def test_parts_that_do_not_ask_are_summed_as_they_are():
    torch.manual_seed(3)
    net, parts = ModalSelection(4, "soft", asks=False), torch.randn(1, 3, 4)
    fused, logits, chosen = net(parts, ALL)
    assert torch.equal(chosen, logits.softmax(1)) and not hasattr(net, "query")
    torch.testing.assert_close(fused[0], ((chosen[0] + 1 / 3) / 2) @ parts[0])
