"""RAdam (Liu et al., On the Variance of the Adaptive Learning Rate and Beyond, ICLR 2020, arXiv 1908.03265)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

LEAST_RHO = 5.0
"""Length of the moving average of squared gradients, in steps, above which their variance is tractable."""


class RAdam(torch.optim.Optimizer):
    """RAdam with decoupled weight decay that can leave out a step on the device, as the fused optimisers do.

    torch.optim.RAdam cannot: it neither knows `found_inf` nor keeps its count of steps on the device. Where the scalar
    attribute `found_inf` is 1, weights, moments and counts stay as they are, and the host does not ask. Weights without
    a gradient are passed over.

    Args:
        params, lr, weight_decay: as in torch.
        betas: decay of the averages of gradient and squared gradient.
        eps: added to the denominator.
    """

    found_inf: Tensor | None = None

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Change the weights by their gradients. There is no closure."""
        assert closure is None
        for group in self.param_groups:
            parameters = [parameter for parameter in group["params"] if parameter.grad is not None]
            if parameters:
                beta1, beta2 = group["betas"]
                self._step(parameters, group["lr"], beta1, beta2, group["eps"], group["weight_decay"])

    def _step(
        self, parameters: list[Tensor], lr: float, beta1: float, beta2: float, eps: float, weight_decay: float
    ) -> None:
        for parameter in parameters:
            if not self.state[parameter]:
                state = {"step": torch.zeros((), device=parameter.device)}
                state |= {name: torch.zeros_like(parameter) for name in ("exp_avg", "exp_avg_sq")}
                self.state[parameter] = state
        device = parameters[0].device
        kept = torch.ones((), device=device) if self.found_inf is None else 1 - self.found_inf.to(torch.float32)
        found = (parameter.grad for parameter in parameters)
        gradients = [torch.where(kept > 0, gradient, 0) for gradient in found if gradient is not None]
        means, squares, steps = (
            [self.state[parameter][name] for parameter in parameters] for name in ("exp_avg", "exp_avg_sq", "step")
        )
        torch._foreach_add_(steps, kept)
        torch._foreach_mul_(means, 1 - kept * (1 - beta1))
        torch._foreach_add_(means, gradients, alpha=1 - beta1)
        torch._foreach_mul_(squares, 1 - kept * (1 - beta2))
        torch._foreach_addcmul_(squares, gradients, gradients, value=1 - beta2)
        plain, adaptive = self._factors(torch.stack(steps), beta1, beta2)
        change = torch._foreach_sqrt(squares)
        torch._foreach_add_(change, eps)
        torch._foreach_reciprocal_(change)
        torch._foreach_mul_(change, list(adaptive.unbind()))
        torch._foreach_add_(change, list(plain.unbind()))
        torch._foreach_mul_(change, means)
        torch._foreach_mul_(change, kept * -lr)
        torch._foreach_mul_(parameters, 1 - kept * lr * weight_decay)
        torch._foreach_add_(parameters, change)

    @staticmethod
    def _factors(steps: Tensor, beta1: float, beta2: float) -> tuple[Tensor, Tensor]:
        """(P,) factors on the mean gradient, and on the mean gradient over the root of the mean square: one of the two
        is 0. Section 4 of the paper, algorithm 2; in double precision, for ρ is a small difference of large numbers."""
        steps = steps.to(torch.float64).clamp(min=1)  # 0 where every step so far was left out
        bias1, bias2 = 1 - beta1**steps, 1 - beta2**steps
        longest = 2 / (1 - beta2) - 1
        rho = longest - 2 * steps * beta2**steps / bias2
        tractable = rho > LEAST_RHO
        safe = torch.where(tractable, rho, longest)
        rectification = (safe - 4) * (safe - 2) * longest / ((longest - 4) * (longest - 2) * safe)
        plain = torch.where(tractable, 0.0, 1 / bias1)
        adaptive = torch.where(tractable, (rectification * bias2).sqrt() / bias1, 0.0)
        return plain.to(torch.float32), adaptive.to(torch.float32)
