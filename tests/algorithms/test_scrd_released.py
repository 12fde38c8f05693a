"""The released SCRD's losses against its formulas, written as loops over posts and pairs."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity

from algorithms.base import Step
from algorithms.scrd_released import ScrdReleased, margins
from datasets.batch import Batch
from nets.scrd_released import ScrdReleasedNet
from tests.algorithms.clusters import TASK
from tests.nets.released_by_hand import answers, head, make_net, make_posts

RELEASED = {2: 0, 0: 1, 1: 2}  # ours to theirs: positive 0, negative 1, neutral 2
VIEWS = ("weak", "strong", "strong_1")
THRESHOLD = 0.6


def ce(logits: Tensor, label: int) -> Tensor:
    return -(logits[label] - logits.exp().sum().log())


def make(seed: int = 0, threshold: float = THRESHOLD) -> ScrdReleased:
    net = make_net(seed)
    with torch.no_grad():
        for part in net.heads.values():
            part[-1].weight.mul_(6)  # so that some predictions are confident
        net.selection.choose[2].bias.add_(torch.tensor([0.0, 0.0, 0.2]))
    options = ScrdReleased.Options(threshold=threshold, ulb_loss_ratio=0.7)
    return ScrdReleased(options, net, copy.deepcopy(net), TASK).train()


def make_views(seed: int = 0, labelled: int = 3, unlabelled: int = 5) -> tuple[dict[str, Batch], dict[str, Batch]]:
    others = {name: make_posts(unlabelled, 100 * seed + place, labelled=False) for place, name in enumerate(VIEWS)}
    return {"weak": make_posts(labelled, seed)}, others


def at(epoch: int) -> Step:
    return Step(epoch * 10, epoch, 1000)


def by_hand(net: ScrdReleasedNet, known: Batch, views: dict[str, Batch], epoch: int) -> tuple[Tensor, dict[str, Any]]:
    """The total loss and what it is made of."""
    lb, (weak, strong, strong_1) = answers(net, known), [answers(net, views[name]) for name in VIEWS]
    labels = known.label.tolist()
    count: dict[str, Any] = {"taken": 0, "refused": 0, "dropped": 0, "kept": 0, "unsure": 0}

    final = sum(ce(post["p_f"], y) for post, y in zip(lb, labels, strict=True)) / len(lb)
    sup = final
    for m, p in (("text", "p_t"), ("image", "p_v")):
        own = []
        for post, y in zip(lb, labels, strict=True):
            if epoch <= 10 and ce(head(net, "common", post[f"private_{m}"]), y) < 0.5 * final:
                own.append(ce(post[p], y))
        count["taken"] += len(own)
        count["refused"] += len(lb) - len(own)
        if own:
            sup = sup + sum(own) / len(own)

    unsup, labels_f = torch.tensor(0.0), []
    for post, learner in zip(weak, strong, strict=True):
        guess = {p: int(post[p].argmax()) for p in ("p_f", "p_t", "p_v")}
        confidence = {p: post[p].softmax(0).max().item() for p in guess}
        labels_f.append(guess["p_f"])
        if epoch <= 10 and int(post["g"].argmax()) == 2 and confidence["p_f"] >= THRESHOLD:
            doubts = (
                ce(head(net, "text", post["common"]), guess["p_t"]),
                ce(head(net, "image", post["common"]), guess["p_v"]),
            )
            if doubts[0] > sup or doubts[1] > sup:
                confidence["p_f"] = 0.0
                count["dropped"] += 1
        for p, y in guess.items():
            if confidence[p] >= THRESHOLD:
                unsup = unsup + ce(learner[p], y) / len(weak)
                count["kept"] += p == "p_f"
            else:
                count["unsure"] += 1

    everyone = [*lb, *weak, *strong, *strong_1]
    cycle = reconstruction = orthogonality = torch.tensor(0.0)
    for post in everyone:
        for m in ("text", "image"):
            reconstruction = reconstruction + (post[f"rebuilt_{m}"] - post[f"x_{m}"]).square().mean() / len(everyone)
            cycle = cycle + (post[f"cycle_{m}"] - post[f"private_{m}"]).square().mean() / len(everyone)
            cosine = cosine_similarity(post[f"private_{m}"], post[f"common_{m}"], dim=0)
            orthogonality = orthogonality + max(cosine, torch.tensor(0.0)) / len(everyone)

    ids = [RELEASED[y] for y in (*labels, *labels_f)] * 2
    features = [post[f"common_{m}"] for m in ("text", "image") for post in (*lb, *weak)]
    anchors = []
    for a, y_a in enumerate(ids):
        hinges = [
            max(
                torch.tensor(0.0),
                0.15 * abs(y_a - y_n)
                - cosine_similarity(features[a], features[p], dim=0)
                + cosine_similarity(features[a], features[n], dim=0),
            )
            for p, y_p in enumerate(ids) if p != a and y_p == y_a
            for n, y_n in enumerate(ids) if y_n != y_a
        ]  # fmt: skip
        if hinges:
            anchors.append(sum(hinges) / len(hinges))
    margin = sum(anchors) / len(anchors) if anchors else torch.tensor(0.0)
    decouple = cycle + reconstruction + 0.1 * (margin + orthogonality)
    total = sup + 0.7 * unsup + decouple
    count |= {"sup_loss": sup, "unsup_loss": unsup, "decouple_loss": decouple, "total_loss": total}
    return total, count


@pytest.mark.parametrize("epoch", [10, 11])
def test_losses_and_gradients_are_those_of_the_formulas(epoch):
    seen: dict[str, float] = {}
    for seed in range(8):
        algorithm, (labelled, unlabelled) = make(seed), make_views(seed)
        other = copy.deepcopy(algorithm.net)
        losses = algorithm(labelled, unlabelled, at(epoch))
        total, count = by_hand(other, labelled["weak"], unlabelled, epoch)
        for name, value in losses.parts.items():
            torch.testing.assert_close(value, count[name].detach(), atol=1e-5, rtol=1e-4)
        losses.total.backward()
        total.backward()
        for (name, one), two in zip(algorithm.net.named_parameters(), other.parameters(), strict=True):
            assert (one.grad is None) == name.startswith("selection.choose"), name
            if one.grad is not None:  # a head that no loss reads has zeros, or none where nothing was ever summed
                expected = torch.zeros_like(one) if two.grad is None else two.grad
                torch.testing.assert_close(one.grad, expected, atol=2e-5, rtol=2e-3)
            else:
                assert two.grad is None
        assert losses.seen["plf_drop"].item() == pytest.approx(count["dropped"] / 5)
        assert losses.seen["util_ratio"].item() == pytest.approx(count["kept"] / 5)
        for name in ("taken", "refused", "dropped", "kept", "unsure"):
            seen[name] = seen.get(name, 0) + count[name]
    happens = {"refused", "kept", "unsure"} | ({"taken", "dropped"} if epoch <= 10 else set())
    assert {name for name, number in seen.items() if number} == happens


def test_the_selection_is_never_trained():
    algorithm, (labelled, unlabelled) = make(), make_views()
    before = copy.deepcopy(algorithm.net.selection.choose.state_dict())
    optimiser = torch.optim.SGD(algorithm.parameters(), lr=0.01, momentum=0.9, weight_decay=0.1, nesterov=True)
    for _ in range(3):
        algorithm(labelled, unlabelled, at(0)).total.backward()
        optimiser.step()
        optimiser.zero_grad()
    after = algorithm.net.selection.choose.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_margins_follow_the_released_ids():
    negative, neutral, positive = range(3)
    found = margins(3)
    assert found[positive, neutral].item() == pytest.approx(0.30)
    assert found[positive, negative].item() == found[negative, neutral].item() == pytest.approx(0.15)
    assert torch.equal(found, found.T) and not found.diagonal().any()
    assert margins(2).tolist() == [[0, pytest.approx(0.15)], [pytest.approx(0.15), 0]]


def test_one_pass_over_all_views_and_the_teacher_is_not_asked(monkeypatch):
    algorithm, (labelled, unlabelled) = make(), make_views(labelled=2, unlabelled=8)
    sizes = []
    algorithm.net.register_forward_hook(lambda module, args, answer: sizes.append(len(args[0])))
    monkeypatch.setattr(algorithm.teacher, "forward", None)
    losses = algorithm(labelled, unlabelled, at(0))
    assert sizes == [26]  # B + 3 μB
    assert all(value.ndim == 0 and not value.requires_grad for value in (losses.parts | losses.seen).values())
    assert losses.seen["sel_text"] + losses.seen["sel_image"] + losses.seen["sel_common"] == pytest.approx(1)


def test_one_post_of_each_and_nothing_confident():
    algorithm, (labelled, unlabelled) = make(threshold=1.1), make_views(labelled=1, unlabelled=1)
    losses = algorithm(labelled, unlabelled, at(0))
    losses.total.backward()
    assert losses.parts["unsup_loss"] == 0
    assert torch.isfinite(losses.total)


def test_missing_modalities_leave_all_numbers_finite():
    algorithm, (labelled, unlabelled) = make(), make_views()
    rows = torch.arange(5)
    lacking = {
        name: replace(batch, has_text=rows > 0, has_image=(rows > 1) | (rows == 0))
        for name, batch in unlabelled.items()
    }
    known = replace(labelled["weak"], has_text=rows[:3] == 0, has_image=rows[:3] == 1)  # the third has neither
    losses = algorithm({"weak": known}, lacking, at(0))
    losses.total.backward()
    assert torch.isfinite(losses.total)
    assert all(torch.isfinite(value.grad).all() for value in algorithm.net.parameters() if value.grad is not None)


def test_another_net_is_refused():
    with pytest.raises(ValueError, match="--net scrd_released"):
        ScrdReleased(ScrdReleased.Options(), nn.Linear(1, 1), nn.Linear(1, 1), TASK)
