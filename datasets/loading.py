"""From raw batches to views on the device: read ahead by worker processes, copied one batch ahead."""

from __future__ import annotations

import atexit
import multiprocessing
import os
import signal
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from datasets.augment import ViewMaker
from datasets.batch import Batch
from datasets.image_files import ImageFiles
from datasets.order import Order
from datasets.post_source import PostSource, draw_numbers

PREFETCH = 2
"""Batches that each worker process holds ready."""


@dataclass(frozen=True)
class RawStep:
    """What the loader brings for one step: raw views of the labelled and of the unlabelled posts."""

    number: int
    labelled: dict[str, Batch]
    unlabelled: dict[str, Batch]

    def map(self, function: Any) -> RawStep:
        """Apply `function` to every tensor, once to those that several views share."""
        done: dict[int, Tensor] = {}

        def once(value: Tensor) -> Tensor:
            if id(value) not in done:
                done[id(value)] = function(value)
            return done[id(value)]

        labelled, unlabelled = (
            {name: batch.map(once) for name, batch in views.items()} for views in (self.labelled, self.unlabelled)
        )
        return RawStep(self.number, labelled, unlabelled)

    def pin_memory(self) -> RawStep:
        """Page-locked copy; the data loader calls it by this name."""
        return self.map(Tensor.pin_memory)

    def tensors(self) -> list[Tensor]:
        """Every tensor."""
        found: list[Tensor] = []
        self.map(found.append)
        return found


class _Steps(Dataset):
    """Raw steps by number, for torch's DataLoader."""

    def __init__(
        self,
        source: PostSource,
        labelled: Order | None,
        unlabelled: Order | None,
        views: tuple[Sequence[str], Sequence[str]],
        seed: int,
    ) -> None:
        self.source, self.seed = source, seed
        self.streams = ((labelled, views[0], True), (unlabelled, views[1], False))

    def __getitem__(self, step: int) -> RawStep:
        found: list[dict[str, Batch]] = []
        for order, views, labelled in self.streams:
            if order is None or not views:
                found.append({})
                continue
            draws = draw_numbers(self.seed, order.stream, step, order.batch_size, len(views))[:, order.part]
            found.append(self.source.batch(order.rows(step), views, draws, labelled))
        return RawStep(step, *found)


class _Batches(Dataset):
    """Raw clean batches of given rows, for torch's DataLoader."""

    def __init__(self, source: PostSource | ImageFiles, batches: Sequence[np.ndarray]) -> None:
        self.source, self.batches = source, batches

    def __getitem__(self, number: int) -> RawStep:
        return RawStep(number, {"clean": self.source.batch(self.batches[number])["clean"]}, {})


class _Sentences(Dataset):
    """Another dataset, its ValueErrors handed over as values: torch would re-raise them with the worker's traceback."""

    def __init__(self, data: Dataset) -> None:
        self.data = data

    def __getitem__(self, number: int) -> RawStep | ValueError:
        try:
            return self.data[number]
        except ValueError as error:
            return ValueError(*error.args)


def _start_worker(_: int) -> None:
    """Leave Ctrl-C and SIGTERM to the main process, which ends a run at a step's end and needs its data until then."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def _end_workers() -> None:
    """End the worker processes that are left when Python exits, of an iterator that an error's traceback still holds:
    multiprocessing would send them SIGTERM, which they ignore, and wait for ever."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # torch's handler would tell of their death as of an error
    for child in multiprocessing.active_children():
        if child.daemon:
            child.kill()


@contextmanager
def _quiet_fork() -> Iterator[None]:
    """Have the tokenizers library not warn about the fork: workers only read ids that are there already."""
    name = "TOKENIZERS_PARALLELISM"
    before = os.environ.get(name)
    os.environ[name] = "false"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def _read(data: Dataset, numbers: range, num_workers: int, device: torch.device) -> Iterator[RawStep]:
    """data[number] for all `numbers`, by worker processes where asked for; pinned where the device is CUDA."""
    pinned = device.type == "cuda"
    if num_workers == 0:
        for number in numbers:
            raw = data[number]
            yield raw.pin_memory() if pinned else raw
        return
    loader = DataLoader(
        _Sentences(data),
        batch_size=None,
        sampler=numbers,
        num_workers=num_workers,
        prefetch_factor=PREFETCH,
        pin_memory=pinned,
        worker_init_fn=_start_worker,
        generator=torch.Generator(),  # else starting it would draw from the global one
    )
    with _quiet_fork():
        steps = iter(loader)
    atexit.unregister(_end_workers)
    atexit.register(_end_workers)  # last, so that it comes before torch's own hooks, which wait for each worker
    for raw in steps:
        if isinstance(raw, ValueError):
            raise raw
        yield raw


def _copied(steps: Iterable[RawStep], device: torch.device) -> Iterator[RawStep]:
    """The same on `device`. On CUDA a step is copied on a side stream while the one before is being computed."""
    if device.type != "cuda":
        yield from steps
        return
    side = torch.cuda.Stream(device)
    ready: RawStep | None = None
    for raw in steps:
        with torch.cuda.stream(side):
            coming = raw.map(lambda value: value.to(device, non_blocking=True))
        if ready is not None:
            yield ready
        # The memory belongs to the side stream: it must not be given away before the main stream has read it.
        main = torch.cuda.current_stream(device)
        main.wait_stream(side)
        for value in coming.tensors():
            value.record_stream(main)
        ready = coming
    if ready is not None:
        yield ready


class TrainingLoader:
    """Iterates (step, labelled views, unlabelled views), on the device, for the steps `start` to `stop` - 1.

    What a step brings is a function of the step alone: not of where the loader starts, of the number of worker
    processes or of the number of training processes. A source that decodes no images is read without worker processes.
    """

    def __init__(
        self,
        source: PostSource,
        labelled: Order,
        unlabelled: Order | None,
        labelled_views: Sequence[str],
        unlabelled_views: Sequence[str],
        view_maker: ViewMaker,
        start: int,
        stop: int,
        seed: int,
        num_workers: int = 0,
        device: torch.device | str = "cpu",
    ) -> None:
        if num_workers < 0:
            raise ValueError(f"--num_workers {num_workers}: give 0 or more")
        self.data = _Steps(source, labelled, unlabelled, (labelled_views, unlabelled_views), seed)
        self.orders = (labelled, unlabelled)
        self.view_maker = view_maker
        self.steps = range(start, stop)
        self.seed = seed
        self.num_workers = num_workers if source.decodes else 0
        self.device = torch.device(device)

    def __len__(self) -> int:
        return len(self.steps)

    def __iter__(self) -> Iterator[tuple[int, dict[str, Batch], dict[str, Batch]]]:
        for raw in _copied(_read(self.data, self.steps, self.num_workers, self.device), self.device):
            labelled, unlabelled = (
                self.view_maker(views, self.seed, raw.number, order.stream, order.part, order.batch_size, training=True)
                if order is not None and views
                else {}
                for order, views in zip(self.orders, (raw.labelled, raw.unlabelled), strict=True)
            )
            yield raw.number, labelled, unlabelled


def evaluation_batches(
    source: PostSource | ImageFiles,
    rows: np.ndarray,
    batch_size: int,
    view_maker: ViewMaker,
    device: torch.device | str = "cpu",
    num_workers: int = 0,
) -> Iterator[Batch]:
    """The clean view of the posts in `rows`, each once; `Batch.index` tells which post is where.

    Posts are sorted by the length of their text, so that little padding is computed; images are cut at the centre.
    Image files keep the order of `rows`.
    """
    if batch_size < 1:
        raise ValueError(f"--eval_batch_size {batch_size}: give 1 or more")
    rows = np.asarray(rows, dtype=np.int64)
    if source.tokens is not None:
        rows = rows[np.argsort(source.tokens.count(rows), kind="stable")]
    batches = [rows[start : start + batch_size] for start in range(0, len(rows), batch_size)]
    device = torch.device(device)
    workers = min(num_workers, len(batches)) if source.decodes else 0
    for raw in _copied(_read(_Batches(source, batches), range(len(batches)), workers, device), device):
        yield view_maker(raw.labelled, 0, 0, "evaluation")["clean"]
