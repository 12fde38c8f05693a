"""The moving average, by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from training.ema import Ema


def linear(value: float) -> nn.Linear:
    net = nn.Linear(1, 1)
    nn.init.constant_(net.weight, value)
    return net


def weight(ema: Ema) -> float:
    return ema.net.state_dict()["weight"].item()


def test_average_by_hand() -> None:
    net = linear(1.0)
    ema = Ema(net, 0.5)
    nn.init.constant_(net.weight, 3.0)
    ema.update(net, 0)  # momentum (1 + 0) / (10 + 0) = 0.1: 0.1 · 1 + 0.9 · 3
    assert weight(ema) == pytest.approx(2.8)
    nn.init.constant_(net.weight, 4.0)
    ema.update(net, 1000)  # momentum 0.5
    assert weight(ema) == pytest.approx(3.4)


def test_a_skipped_step_changes_nothing_and_momentum_0_copies() -> None:
    net = linear(1.0)
    for momentum, expected in ((0.5, 0.1 + 0.9 * 3), (0.0, 3.0)):
        nn.init.constant_(net.weight, 1.0)
        ema = Ema(net, momentum)
        nn.init.constant_(net.weight, 3.0)
        ema.update(net, 0, torch.tensor(1.0))
        assert weight(ema) == 1.0
        ema.update(net, 0, torch.tensor(0.0))
        assert weight(ema) == pytest.approx(expected)


def test_buffers_are_copied_and_the_average_is_never_trained() -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    ema = Ema(net, 0.9)
    net(torch.tensor([[1.0, 2.0], [3.0, 5.0]]))
    ema.update(net, 0)
    average = ema.net.state_dict()
    assert torch.equal(average["1.running_mean"], net.state_dict()["1.running_mean"])
    assert average["1.num_batches_tracked"] == 1
    assert not any(module.training for module in ema.net.modules())
    assert not any(parameter.requires_grad for parameter in ema.net.parameters())
    assert all(parameter.requires_grad for parameter in net.parameters())


@pytest.mark.parametrize("momentum", [-0.1, 1.0])
def test_momentum_out_of_range(momentum: float) -> None:
    with pytest.raises(ValueError, match="--ema_m"):
        Ema(linear(1.0), momentum)


def test_the_modules_are_looked_through_once(monkeypatch: pytest.MonkeyPatch) -> None:
    net, looked = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)), []
    ema = Ema(net, 0.9)
    named_modules = nn.Module.named_modules
    monkeypatch.setattr(
        nn.Module, "named_modules", lambda *args, **named: looked.append(1) or named_modules(*args, **named)
    )
    ema.update(net, 0)
    first = len(looked)
    ema.update(net, 1)
    assert first > 0 and len(looked) == first
    ema.update(nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)), 2)
    assert len(looked) > first
