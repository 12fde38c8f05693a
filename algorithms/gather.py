"""What the processes of a distributed run tell each other within a step."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor


def gather(values: Tensor) -> Tensor:
    """The (B, ...) `values` of all processes, in the order of the global batch, the same in each; without gradient.

    Every process must call it at the same place of every step. A process on its own gets what it gave.
    """
    values = values.detach()
    if not dist.is_initialized():
        return values
    parts = [torch.empty_like(values) for _ in range(dist.get_world_size())]
    dist.all_gather(parts, values.contiguous())
    return torch.cat(parts)
