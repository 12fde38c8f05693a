"""Dropout draws and scales as torch's own."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from nets import dropout
from nets.dropout import Dropout


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("share", [0.0, 0.4, 0.8, 1.0])
def test_it_is_torchs_dropout_number_for_number(share: float, dtype: torch.dtype) -> None:
    values = torch.randn(7, 33).to(dtype)
    answers = []
    for layer in (nn.Dropout(share), Dropout(share)):
        torch.manual_seed(4)
        given = values.clone().requires_grad_()
        out = layer(given)
        out.square().sum().backward()
        answers.append((out, given.grad, torch.rand(3)))
    for own, torchs in zip(*answers, strict=True):
        assert torch.equal(own, torchs)


def test_at_rest_nothing_is_dropped_or_drawn() -> None:
    values = torch.randn(3, 4)
    torch.manual_seed(1)
    state = torch.get_rng_state()
    assert Dropout(0.5).eval()(values) is values
    assert torch.equal(torch.get_rng_state(), state)


def test_no_mask_is_drawn_number_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dropout, "_drawn_by_mkl", lambda: False)
    with torch.profiler.profile() as seen:
        Dropout(0.5)(torch.ones(4, 5))
    names = {event.name for event in seen.events()}
    assert "aten::uniform_" in names and "aten::bernoulli_" not in names
