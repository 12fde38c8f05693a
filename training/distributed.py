"""Several processes, started by torchrun, each with its slice of one global batch.

With one process nothing is initialised and every helper here does nothing. Collectives run on the shared schedule only,
so that every process makes the same ones in the same order, and none waits for ever (`TIMEOUT`).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

TIMEOUT = timedelta(days=2)
"""How long a process waits for the others. Rank 0 alone ingests, tokenises and computes features of frozen encoders,
which of millions of posts takes hours; where a process ends with an error, torchrun ends the others."""


@dataclass(frozen=True)
class Processes:
    """Which of how many processes this one is. The default is a process on its own."""

    rank: int = 0
    world: int = 1
    local_rank: int = 0  # among those of this machine: its CUDA device

    @property
    def first(self) -> bool:
        """Whether this is the one process that writes files and speaks."""
        return self.rank == 0

    def mean_(self, values: Tensor) -> Tensor:
        """Put the mean over all processes into `values`."""
        if self.world > 1:
            dist.all_reduce(values)
            values.div_(self.world)
        return values

    def sum_(self, values: Tensor) -> Tensor:
        """Put the sum over all processes into `values`."""
        if self.world > 1:
            dist.all_reduce(values)
        return values

    def max_(self, values: Tensor) -> Tensor:
        """Put the largest over all processes into `values`."""
        if self.world > 1:
            dist.all_reduce(values, op=dist.ReduceOp.MAX)
        return values

    def any(self, flag: bool) -> bool:
        """Whether `flag` is true in any process; host to host, the devices run on."""
        if self.world == 1:
            return flag
        return bool(self.max_(torch.tensor(int(flag))).item())

    def broadcast(self, value: Any) -> Any:
        """What rank 0 has; the other processes' `value` is ignored."""
        if self.world == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box, src=0)
        return box[0]

    def barrier(self) -> None:
        """Wait until every process is here."""
        self.any(False)


ALONE = Processes()
"""The one process of a run without torchrun."""


def start_processes(cuda: bool, timeout: timedelta = TIMEOUT) -> Processes:
    """Join the other processes where torchrun started this one among several; else this one is on its own.

    `cuda`: whether the tensors live on CUDA (nccl); flags always travel from host to host (gloo).
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        return ALONE
    local_rank = int(os.environ["LOCAL_RANK"])
    if cuda:
        if local_rank >= torch.cuda.device_count():
            raise ValueError(
                f"torchrun started process {local_rank} on this machine, which has {torch.cuda.device_count()} "
                "CUDA devices: start as many processes as there are devices, or use --gpu -1"
            )
        torch.cuda.set_device(local_rank)
    dist.init_process_group("cpu:gloo,cuda:nccl" if cuda else "gloo", timeout=timeout)
    return Processes(dist.get_rank(), dist.get_world_size(), local_rank)


def stop_processes() -> None:
    """Leave the other processes; without any, nothing."""
    if dist.is_initialized():
        dist.destroy_process_group()
