"""Two processes with half a batch each do what one does with the whole."""

from __future__ import annotations

import json
import os
import signal
import socket
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training.toy import ToyLoader, ToyNet, build, fingerprint, processes_of, signal_at
from training.checkpoint import checkpoints
from training.distributed import ALONE, Processes, start_processes, stop_processes
from training.statistics import Statistics

OPTIONS: dict[str, Any] = {"epoch": 1, "num_log_iter": 1, "lr": 0.001}


def net() -> ToyNet:
    """Without dropout, which each process draws for its own posts, and without statistics of half a batch."""
    torch.manual_seed(0)
    return ToyNet(dropout=0.0, batch_norm=False)


def take_part(rank: int, port: int, path: Path, kill_step: int, bad_steps: tuple[int, ...], parts: int) -> None:
    """One of two processes, as torchrun would start it."""
    torch.set_num_threads(1)
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    processes = start_processes(cuda=False)
    # the bad post lies in the share of the first process only
    loader = ToyLoader(bad_steps if processes.first else (), processes)
    # so does the loss that is infinite; its gradient, which both share, is finite
    infinite_steps = tuple(step + 2 for step in bad_steps) if processes.first else ()
    trainer = build(path, loader, processes, net(), infinite_steps=infinite_steps, accumulate=parts, **OPTIONS)
    if not processes.first:  # the signal reaches only one of them
        signal_at(trainer, kill_step, signal.SIGTERM)
    try:
        trainer.train()
    finally:
        (path.parent / f"{path.name}.{rank}").write_text(fingerprint(trainer))
        stop_processes()


def both(path: Path, kill_step: int = -1, bad_steps: tuple[int, ...] = (), parts: int = 1) -> list[int | None]:
    """Run the two to their end; their exit codes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    pair = processes_of(take_part, [(rank, port, path, kill_step, bad_steps, parts) for rank in range(2)])
    for process in pair:
        process.join(120)
    return [process.exitcode for process in pair]


def losses(path: Path) -> list[list[float]]:
    lines = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    names = ("train/total_loss", "train/sup_loss", "train/util_ratio", "train/grad_norm", "train/pseudo_acc")
    return [[line.get(name, -1.0) for name in names] for line in lines if names[0] in line]


def test_two_give_the_losses_of_one_and_skip_the_same_steps(tmp_path: Path) -> None:
    build(tmp_path / "one", ToyLoader((4,)), net=net(), infinite_steps=(6,), **OPTIONS).train()
    assert both(tmp_path / "two", bad_steps=(4,), parts=2) == [0, 0]
    one, two = losses(tmp_path / "one"), losses(tmp_path / "two")
    assert len(one) == 8  # steps 4 and 6 have none
    torch.testing.assert_close(torch.tensor(two), torch.tensor(one), atol=1e-6, rtol=1e-5)
    assert (tmp_path / "two.0").read_text() == (tmp_path / "two.1").read_text()


def test_a_signal_to_one_stops_both_after_the_same_step(tmp_path: Path) -> None:
    codes = both(tmp_path / "run", kill_step=3)
    assert codes == [143, 143]
    assert [path.name for path in checkpoints(tmp_path / "run" / "checkpoints")] == ["step-00000004"]
    assert (tmp_path / "run.0").read_text() == (tmp_path / "run.1").read_text()


def test_alone_nothing_is_asked_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert start_processes(cuda=False) is ALONE
    values = torch.tensor([2.0])
    assert ALONE.mean_(values) is ALONE.sum_(values) is ALONE.max_(values) is values
    assert (ALONE.any(True), ALONE.any(False), ALONE.broadcast("a"), ALONE.first) == (True, False, "a", True)
    ALONE.barrier()
    stop_processes()


class TwoAlike(Processes):
    """Two processes of which the other does what this one does."""

    def mean_(self, values: torch.Tensor) -> torch.Tensor:
        return values

    def sum_(self, values: torch.Tensor) -> torch.Tensor:
        return values.mul_(2)


def test_statistics_of_both_are_the_mean_and_counts_the_sum() -> None:
    module = torch.nn.BatchNorm1d(1)
    statistics = Statistics(module, TwoAlike(world=2))
    statistics.keep()
    module(torch.tensor([[1.0], [3.0]]))
    statistics.settle(torch.tensor(0.0))
    assert module.running_mean is not None and module.num_batches_tracked is not None
    assert module.running_mean.item() == pytest.approx(0.2)
    assert module.num_batches_tracked.item() == 2
    statistics.keep()
    module(torch.tensor([[float("nan")], [3.0]]))
    statistics.settle(torch.tensor(1.0))
    assert module.running_mean.item() == pytest.approx(0.2)
    assert module.num_batches_tracked.item() == 2
