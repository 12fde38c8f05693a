"""The exponential moving average of a net's weights: the teacher in training, and the net that is evaluated and kept.

Tarvainen and Valpola, Mean teachers are better role models, https://arxiv.org/abs/1703.01780.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from algorithms.base import Step

_Tensors = tuple[list[Tensor], list[Tensor], list[Tensor], list[Tensor]]
"""Averages, the weights that they follow, buffers of the average, those that they copy."""


class Ema:
    """`net` is an average of the given net's weights, always in evaluation mode and without gradient.

    average ← m · average + (1 − m) · weights, with m = min(momentum, (1 + t) / (10 + t)) at step t, so that the random
    start is soon forgotten. Buffers are copied. Momentum 0 is no average: `net` is then a copy of the net as it is.

    Args:
        net: what is averaged.
        momentum: m.
        rises: false for m = momentum at all steps, for an average that `restart` lets begin at weights worth keeping.
    """

    def __init__(self, net: nn.Module, momentum: float, rises: bool = True) -> None:
        if not 0 <= momentum < 1:
            raise ValueError(f"--ema_m {momentum}: it must be at least 0 and less than 1")
        self.momentum = momentum
        self.rises = rises
        self.net = copy.deepcopy(net).eval().requires_grad_(False)
        self._found: tuple[nn.Module, _Tensors] | None = None

    def momentum_at(self, step: int) -> float:
        """The momentum of step `step`, counted from 0."""
        return Step(step, 0, 0).momentum(self.momentum) if self.rises else self.momentum

    @torch.no_grad()
    def restart(self, net: nn.Module) -> None:
        """Begin anew with the weights and buffers that `net` has now."""
        own = [*self.net.parameters(), *self.net.buffers()]
        torch._foreach_copy_(own, [value.detach() for value in (*net.parameters(), *net.buffers())])

    @torch.no_grad()
    def update(self, net: nn.Module, step: int, skipped: Tensor | None = None) -> None:
        """Draw in the weights that `net` has after step `step`.

        `skipped` is a scalar on the device: where it is 1 the average stays as it is. The frozen weights are the same
        in both from the start and are left out.
        """
        averages, weights, buffers, sources = self._tensors(net)
        share: Tensor | float = 1 - self.momentum_at(step)
        if skipped is not None:
            share = share * (1 - skipped)
        if weights:
            # average + share · (weights − average); lerp takes no share that is known on the device only
            change = torch._foreach_sub(weights, averages)
            torch._foreach_mul_(change, share)
            torch._foreach_add_(averages, change)
        if buffers:
            torch._foreach_copy_(buffers, sources)

    def _tensors(self, net: nn.Module) -> _Tensors:
        """What an update for `net` reads and writes. Found once: looking through all modules at every step takes longer
        than averaging small heads. Weights and buffers are changed in place only, and none is frozen later."""
        if self._found is None or self._found[0] is not net:
            pairs = [
                (average, weight.detach())
                for average, weight in zip(self.net.parameters(), net.parameters(), strict=True)
                if weight.requires_grad
            ]
            sources = [buffer.detach() for buffer in net.buffers()]
            self._found = net, ([a for a, _ in pairs], [w for _, w in pairs], list(self.net.buffers()), sources)
        return self._found[1]
