"""The running statistics of a net and an algorithm: kept clean of bad steps, and the same in every process."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from training.distributed import ALONE, Processes

LARGEST = 1 << 20
"""Elements up to which a buffer counts as a statistic. What has a row for every post an algorithm should name in
`replicated`, whatever its size."""


class Statistics:
    """The buffers of `module` that training changes, as they were before the step.

    A step whose loss or gradient is not finite has run its forward pass: BatchNorm and the algorithm have already
    written what they saw into their buffers. `settle` takes that back on the device, without asking the host. With
    several processes it also makes the buffers those of the global batch: of a float one the mean is taken, of an
    integer one (a count) the changes are added up. What the algorithm names in `replicated` is left alone.
    """

    def __init__(self, module: nn.Module, processes: Processes = ALONE) -> None:
        saved = module.state_dict(keep_vars=True)
        apart = tuple(getattr(module, "replicated", ()))
        self.processes = processes
        self.buffers = [
            value
            for name, value in saved.items()
            if not isinstance(value, nn.Parameter)
            and value.numel() <= LARGEST
            and not f"{name}.".startswith(tuple(f"{part}." for part in apart))
        ]
        self.before = [buffer.detach().clone() for buffer in self.buffers]

    @torch.no_grad()
    def keep(self) -> None:
        """Remember the buffers as they are now."""
        if self.buffers:
            torch._foreach_copy_(self.before, self.buffers)

    @torch.no_grad()
    def settle(self, skipped: Tensor) -> None:
        """Put back what `keep` has seen where the scalar `skipped` is 1."""
        if not self.buffers:
            return
        if self.processes.world > 1:
            self._share()
        bad = skipped > 0
        kept = [torch.where(bad, old, new) for old, new in zip(self.before, self.buffers, strict=True)]
        torch._foreach_copy_(self.buffers, kept)

    def _share(self) -> None:
        """One all-reduce for the floats and one for the integers."""
        for is_float in (True, False):
            places = [i for i, buffer in enumerate(self.buffers) if buffer.is_floating_point() == is_float]
            if not places:
                continue
            kind = torch.float32 if is_float else torch.int64
            changes = [self.buffers[i].to(kind) - self.before[i].to(kind) for i in places]
            flat = torch.cat([change.flatten() for change in changes])
            flat = self.processes.mean_(flat) if is_float else self.processes.sum_(flat)
            parts = flat.split([change.numel() for change in changes])
            for i, part in zip(places, parts, strict=True):
                buffer = self.buffers[i]
                buffer.copy_(self.before[i].to(kind) + part.view_as(buffer))
