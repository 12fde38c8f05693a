"""Two processes with half a batch each remember what one remembers of the whole."""

from __future__ import annotations

import os
import socket
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from algorithms.gather import gather
from tests.algorithms.clusters import FIRST, POSTS, make, posts, views_for
from tests.training.toy import processes_of
from training.distributed import Processes, start_processes, stop_processes
from training.statistics import Statistics

NAMES = ("flexmatch", "comatch", "simmatch", "s2_ver")
STEPS = 3


class CannotShare(Processes):
    """Two processes that may tell each other nothing but what the algorithm itself gathers."""

    def mean_(self, values: Tensor) -> Tensor:
        raise AssertionError("a replicated buffer was shared")

    sum_ = mean_


def remembered(name: str, rank: int = 0, world: int = 1) -> dict[str, Tensor]:
    """The replicated buffers after some steps with this process's slice of every batch."""
    algorithm = make(name, threshold=0.4, align="none")
    apart = {key: value for key, value in algorithm.state_dict().items() if key.startswith(tuple(algorithm.replicated))}
    statistics = Statistics(algorithm, CannotShare(rank, world))
    for number in range(STEPS):
        rows = torch.arange(8) * 7 % 5  # a row comes twice, in both halves of the batch
        known = posts(4, number)
        unknown = replace(posts(8, 10 + number, labelled=False), index=POSTS - 1 - rows)
        parts = [batch.rows(rank * len(batch) // world, (rank + 1) * len(batch) // world) for batch in (known, unknown)]
        statistics.keep()
        with torch.no_grad():
            algorithm(*views_for(name, *parts), FIRST)
        statistics.settle(torch.tensor(0.0))
    return apart


def take_part(rank: int, port: int, path: Path) -> None:
    """One of the two."""
    torch.set_num_threads(1)
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    start_processes(cuda=False)
    try:
        found = {name: remembered(name, rank, 2) for name in NAMES}
        torch.save(found | {"gathered": gather(torch.tensor([[rank, 1], [rank, 2]]))}, path / f"{rank}.pt")
    finally:
        stop_processes()


def test_alone_a_batch_is_what_it_is():
    values = torch.ones(2, 3, requires_grad=True)
    assert torch.equal(gather(values), values) and not gather(values).requires_grad


def test_two_processes_remember_what_one_does(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    pair = processes_of(take_part, [(rank, port, tmp_path) for rank in range(2)])
    for process in pair:
        process.join(120)
    assert [process.exitcode for process in pair] == [0, 0]
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2))
    assert first["gathered"].tolist() == second["gathered"].tolist() == [[0, 1], [0, 2], [1, 1], [1, 2]]
    for name in NAMES:
        whole = remembered(name)
        assert whole.keys() == first[name].keys() == second[name].keys() and whole
        for key, value in whole.items():
            assert torch.equal(first[name][key], second[name][key]), key
            found = first[name][key]
            if name == "comatch":  # the same in another order: each process's unlabelled posts, then its labelled ones
                found, value = found.flatten().sort().values, value.flatten().sort().values
            torch.testing.assert_close(found, value)
