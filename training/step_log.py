"""What the steps of a run gave, on its way from the device to the monitor."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from training.distributed import Processes
from training.monitor import Monitor
from training.scalars import HostCopy, Means, ScalarMeans, SkipCounter, add_pseudo_label_accuracy

T = TypeVar("T")


class Diverged(ValueError):
    """Too many steps in a row had a loss or gradient that is not finite."""


@dataclass
class _Entry:
    """A log entry on its way to the host."""

    step: int
    means: Means
    skips: HostCopy
    histogram_names: list[str]
    histograms: HostCopy
    figures: dict[str, float]


class StepLog:
    """Figures of the steps since the last entry; an entry is shown at once on the CPU, on CUDA with the next one, so
    that the host never waits for the device.

    `skips` counts the steps that were left out; where they were too many in a row, `show` raises Diverged.
    """

    def __init__(self, monitor: Monitor, skips: SkipCounter, device: torch.device, processes: Processes) -> None:
        self._monitor, self._skips, self._device = monitor, skips, device
        self._scalars = ScalarMeans(device, processes)
        self._histograms: dict[str, Tensor] = {}
        self._entries: list[_Entry] = []
        self._posts, self._waited, self._since = 0, 0.0, time.perf_counter()

    def start(self) -> None:
        """The time of the first entry counts from now."""
        self._since = time.perf_counter()

    def timed(self, batches: Iterable[T]) -> Iterator[T]:
        """The same batches; the time waited for each counts as `train/data_wait`."""
        return timed(batches, self._wait)

    def _wait(self, seconds: float) -> None:
        self._waited += seconds

    def add(
        self, scalars: Mapping[str, Tensor], histograms: Mapping[str, Tensor], skipped: Tensor, step: int, posts: int
    ) -> None:
        """Count one step of so many posts; its `scalars` by their tags do not count where `skipped` is 1."""
        self._skips.add(skipped, step)
        self._scalars.add(scalars, skipped)
        self._histograms = {name: value.detach() for name, value in histograms.items()}
        self._posts += posts

    def send(self, step: int, learning_rate: float) -> None:
        """Send the figures of the interval that ends after `step` steps on their way, and show what has come."""
        now = time.perf_counter()
        passed = max(now - self._since, 1e-9)
        figures = {
            "train/posts_per_second": self._posts / passed,
            "train/data_wait": self._waited / passed,
            "lr": learning_rate,
        }
        if self._device.type == "cuda":
            figures["train/memory_gib"] = torch.cuda.max_memory_allocated(self._device) / 2**30
        self._posts, self._waited, self._since = 0, 0.0, now
        names = [name for name in self._histograms if name != "mask"]
        histograms = HostCopy([self._histograms[name] for name in names])
        skips = HostCopy([self._skips.values])
        self._entries.append(_Entry(step, self._scalars.send(), skips, names, histograms, figures))
        self._show_all_but(1 if self._device.type == "cuda" else 0)

    def show(self) -> None:
        """Wait for the entries that are under way, and show them. Raises Diverged."""
        self._show_all_but(0)

    def _show_all_but(self, last: int) -> None:
        while len(self._entries) > last:
            entry = self._entries.pop(0)
            figures = entry.means.read()
            add_pseudo_label_accuracy(figures)
            total, _, stop = map(int, entry.skips.read()[0].tolist())
            self._monitor.log(entry.step, {**figures, **entry.figures, "train/skipped": total})
            arrays = [tensor.float().numpy() for tensor in entry.histograms.read()]
            tags = [f"train/{name}" for name in entry.histogram_names]
            self._monitor.histograms(entry.step, dict(zip(tags, arrays, strict=True)))
            self._check(stop)

    def check(self) -> None:
        """Wait for the last step. Raises Diverged, where an entry would only say so later."""
        self._check(int(self._skips.values[2]))

    def _check(self, stop: int) -> None:
        if stop >= 0:
            raise Diverged(
                f"stopped at step {stop}: {self._skips.limit} steps in a row had a loss or gradient that is not "
                "finite; the last checkpoint is intact. Try a lower --lr, a lower --clip or --precision float32"
            )

    @contextmanager
    def paused(self) -> Iterator[None]:
        """What is done in it does not count in posts per second."""
        begun = time.perf_counter()
        yield
        self._since += time.perf_counter() - begun


def timed(batches: Iterable[T], tell: Callable[[float], object]) -> Iterator[T]:
    """The same batches; `tell` is called with the seconds waited for each."""
    source = iter(batches)
    while True:
        begun = time.perf_counter()
        batch = next(source, None)
        tell(time.perf_counter() - begun)
        if batch is None:
            return
        yield batch
