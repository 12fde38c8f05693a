"""The released SCRD's net against its formulas, worked out one post at a time, and against its published sizes."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from nets.options import NetOptions
from nets.scrd_released import ScrdReleasedNet
from tests.nets.released_by_hand import answers, make_net, make_posts

OURS = {
    "text": "private_text", "image": "private_image", "common": "common",
    **{f"{ours}_{m}": f"{theirs}_{m}" for m in ("text", "image")
       for ours, theirs in (("common", "common"), ("projected", "x"), ("rebuilt", "rebuilt"), ("cycle", "cycle"))},
}  # fmt: skip


def size(*parts: nn.Module | nn.Parameter) -> int:
    return sum(
        value.numel() for part in parts for value in (part.parameters() if isinstance(part, nn.Module) else [part])
    )


def test_sizes_are_those_of_the_released_net():
    net = make_net(dim=512, text=768, image=512)
    parts, selection = net.decoupling, net.selection
    assert size(parts.project) == 655_360
    assert size(parts.private) == 524_288
    assert size(parts.common) == 262_144
    assert size(parts.decode) == 1_048_576
    assert [size(net.heads[name]) for name in ("text", "image", "common")] == [528_387] * 3
    assert size(selection.choose) == 788_483
    assert size(selection.query, selection.key, selection.value, selection.divisor) == 787_969
    assert size(net) == 126_310_733 - 109_482_240 - 11_176_512  # all but the encoders


def test_every_answer_is_that_of_the_formulas():
    chosen = set()
    for seed in range(4):
        net = make_net(seed)
        nn.init.constant_(net.selection.divisor, 0.7)
        batch = make_posts(8, seed)
        found, expected = net(batch), answers(net, batch)

        def stacked(name: str, expected: list = expected) -> torch.Tensor:
            return torch.stack([post[name] for post in expected])

        pairs = {"logits": "p_f", "text_logits": "p_t", "image_logits": "p_v", "common_logits": "p_m"}
        for name, by_hand in {**pairs, "features": "fused", "selection_logits": "g"}.items():
            torch.testing.assert_close(getattr(found, name), stacked(by_hand), atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(found.selection, stacked("g").softmax(1), atol=1e-5, rtol=1e-4)
        assert set(found.parts) == set(OURS)
        for name, by_hand in OURS.items():
            torch.testing.assert_close(found.parts[name], stacked(by_hand), atol=1e-5, rtol=1e-4)
        chosen |= set(found.selection.argmax(1).tolist())
    assert len(chosen) > 1


def test_the_divisor_starts_at_one_and_learns_but_the_selection_never_does():
    net = make_net()
    assert net.selection.divisor.item() == 1.0
    answer = net(make_posts(5))
    assert not answer.selection.requires_grad
    everything = [answer.logits, answer.text_logits, answer.image_logits, answer.common_logits, *answer.parts.values()]
    sum(value.square().sum() for value in everything).backward()
    without = {name for name, value in net.named_parameters() if value.grad is None}
    assert without == {f"selection.choose.{layer}.{kind}" for layer in (0, 2) for kind in ("weight", "bias")}
    assert net.selection.divisor.grad.abs() > 0


def test_no_dropout_and_no_norm_whatever_the_options_say():
    net = ScrdReleasedNet.from_options(NetOptions(feature_dim=8, dropout=0.5), make_net().encoders, 3)
    batch = make_posts(6)
    torch.testing.assert_close(net.train()(batch).logits, net.eval()(batch).logits, atol=0, rtol=0)
    assert net.dim == 8
    assert not any("Norm" in type(module).__name__ for module in net.modules())


@pytest.mark.parametrize("training", [True, False])
def test_a_post_alone_is_answered_as_among_others(training):
    net, batch = make_net().train(training), make_posts(7)
    for row in range(7):
        alone, among = net(batch.rows(row, row + 1)), net(batch).rows(row, row + 1)
        assert alone.logits.shape == (1, 3) and alone.features.shape == (1, 6)
        torch.testing.assert_close(alone.logits, among.logits)
        torch.testing.assert_close(alone.selection, among.selection)


def test_a_missing_modality_is_zero_features():
    net, batch = make_net(), make_posts(4)
    gone = torch.tensor([True, False, True, False])
    batch = replace(batch, has_text=~gone, has_image=torch.tensor([True, True, False, False]))
    found = net(batch)
    assert (found.parts["text"][gone] == 0).all() and (found.parts["image"][2:] == 0).all()
    zeroed = replace(
        batch,
        text=batch.text * batch.has_text.unsqueeze(1),
        image=batch.image * batch.has_image.unsqueeze(1),
        has_text=torch.ones_like(gone),
        has_image=torch.ones_like(gone),
    )
    torch.testing.assert_close(found.logits, net(zeroed).logits)
    assert torch.isfinite(found.logits).all() and torch.isfinite(found.selection).all()
