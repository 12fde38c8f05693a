"""Optimisers, the learning rate of every weight, and its course over the run."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from training.options import TrainingOptions
from training.radam import RAdam

ENCODER_SHARE = 0.2
"""Learning rate of a pretrained encoder as a share of --lr where --encoder_lr is 0."""

_LAYER = re.compile(r"(?:^|\.)(?:layers?|blocks?|stages?)\.?(\d+)(?:\.(?:blocks\.|layers\.)?(\d+)(?=\.))?")


@dataclass(frozen=True)
class Schedule:
    """Factor on the learning rate, a pure function of the step: linear warm-up, then half a cosine down to 0
    ("cosine") or no change ("constant").

    Or that of SCRD's released code (and of FixMatch): the first 7/16 of half a cosine, from 1 down to 0.195, without
    warm-up ("released"). Over the first `head_first` steps the encoders' rate is 0.
    """

    total: int  # steps of the run
    warmup: int  # steps over which it rises
    course: str = "cosine"
    head_first: int = 0

    def __call__(self, step: int) -> float:
        """The factor of step `step`, counted from 0."""
        if self.course == "released":
            return max(0.0, math.cos(7 / 16 * math.pi * step / self.total))
        if step < self.warmup:
            return (step + 1) / (self.warmup + 1)
        if self.course == "constant":
            return 1.0
        progress = (step - self.warmup) / max(1, self.total - self.warmup)
        return 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))

    def apply(self, optimiser: torch.optim.Optimizer, step: int) -> None:
        """Give every group of `optimiser` its learning rate of step `step`."""
        factor = self(step)
        for group in optimiser.param_groups:
            waits = group["is_encoder"] and step < self.head_first
            group["lr"] = 0.0 if waits else group["base_lr"] * factor


def layer_factors(encoder: nn.Module, decay: float) -> dict[str, float]:
    """Factor on the learning rate of each parameter of `encoder`, by name.

    The last layer has `decay`, the one below it `decay`², and so on down to the stem; what comes after the layers
    (norm, pooler) has 1. Layers are what the names number after "layer", "block" or "stage". Source: BEiT,
    https://arxiv.org/abs/2106.08254, appendix.
    """
    layers: dict[str, tuple[int, ...] | None] = {}
    for name, _ in encoder.named_parameters():
        found = _LAYER.search(name)
        layers[name] = tuple(int(number) for number in found.groups() if number is not None) if found else None
    order = sorted({layer for layer in layers.values() if layer is not None})
    depth = {layer: place + 1 for place, layer in enumerate(order)}
    factors, below = {}, True
    for name, layer in layers.items():
        below = below and layer is None
        level = depth[layer] if layer is not None else (0 if below and order else len(order) + 1)
        factors[name] = decay ** (len(order) + 1 - level)
    return factors


def _learning_rates(
    module: nn.Module, options: TrainingOptions, encoders: Mapping[str, nn.Module], pretrained: Collection[str]
) -> dict[int, float]:
    """The learning rate of each parameter, by its id, before the schedule."""
    rates = {id(parameter): options.lr for parameter in module.parameters()}
    for name, encoder in encoders.items():
        rate = (options.encoder_lr or options.lr * ENCODER_SHARE) if name in pretrained else options.lr
        factors = layer_factors(encoder, options.layer_decay)
        for inner, parameter in encoder.named_parameters():
            rates[id(parameter)] = rate * factors[inner]
    return rates


def build_optimiser(
    module: nn.Module,
    options: TrainingOptions,
    total_steps: int,
    encoders: Mapping[str, nn.Module] | None = None,
    pretrained: Collection[str] = (),
) -> tuple[torch.optim.Optimizer, Schedule]:
    """The optimiser of all weights of `module` that are trained, and its schedule over `total_steps` steps.

    `module` is the algorithm (its net, and weights of its own if it has any), on its device. `encoders` are parts of
    it by name; those named in `pretrained` learn at `--encoder_lr` (0: a fifth of `--lr`), and `--layer_decay` applies
    to all of them. Biases, norms and all else with fewer than two dimensions have no weight decay. All
    optimisers leave out a step on the device (see `training.trainer`): of torch's only the fused ones can.
    """
    if options.lr <= 0:
        raise ValueError(f"--lr {options.lr}: the learning rate must be greater than 0")
    if not 0 < options.layer_decay <= 1:
        raise ValueError(f"--layer_decay {options.layer_decay}: it must be greater than 0 and at most 1")
    if not 0 <= options.warmup < 1:
        raise ValueError(f"--warmup {options.warmup}: it is a share of the steps, at least 0 and less than 1")
    rates = _learning_rates(module, options, encoders or {}, pretrained)
    inside = {id(parameter) for encoder in (encoders or {}).values() for parameter in encoder.parameters()}
    groups: dict[tuple[float, float, bool], list[nn.Parameter]] = {}
    for parameter in module.parameters():
        if parameter.requires_grad:
            decay = options.weight_decay if parameter.ndim >= 2 else 0.0
            key = rates[id(parameter)], decay, options.head_first > 0 and id(parameter) in inside
            groups.setdefault(key, []).append(parameter)
    if not groups:
        raise ValueError("nothing is left to train: every weight of the net is frozen")
    settings = [
        {"params": parameters, "lr": rate, "base_lr": rate, "weight_decay": decay, "is_encoder": is_encoder}
        for (rate, decay, is_encoder), parameters in groups.items()
    ]
    optimiser: torch.optim.Optimizer
    if options.optim == "AdamW":
        optimiser = torch.optim.AdamW(settings, fused=True)
    elif options.optim == "RAdam":
        optimiser = RAdam(settings)
    else:
        nesterov = options.momentum > 0
        optimiser = torch.optim.SGD(settings, momentum=options.momentum, nesterov=nesterov, fused=True)
        if nesterov:
            # left to itself SGD makes these on the first step without a value, which is kept where that step is skipped
            for group in optimiser.param_groups:
                for parameter in group["params"]:
                    optimiser.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
    warmup, head_first = (round(share * total_steps) for share in (options.warmup, options.head_first))
    schedule = Schedule(total_steps, warmup, options.schedule, head_first)
    return optimiser, schedule


def optimiser_state(optimiser: torch.optim.Optimizer, module: nn.Module) -> dict[str, dict[str, Tensor]]:
    """What the optimiser remembers of each parameter of `module`, by the parameter's name."""
    return {
        name: dict(optimiser.state[parameter])
        for name, parameter in module.named_parameters()
        if parameter in optimiser.state
    }


def load_optimiser_state(
    optimiser: torch.optim.Optimizer, module: nn.Module, state: Mapping[str, Mapping[str, Tensor]]
) -> None:
    """Give back what `optimiser_state` has told; the learning rates are the schedule's and stay as they are.

    By name, not by place: other groups (another --layer_decay) cannot mix up the moments of two weights.
    """
    for name, parameter in module.named_parameters():
        if name in state:
            optimiser.state[parameter] = {key: value.to(parameter.device) for key, value in state[name].items()}
