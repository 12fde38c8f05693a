"""Figures of the training steps, gathered on the device and read by the host one log interval later."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from training.distributed import ALONE, Processes

_KNOWN, _RIGHT = "pseudo labels known", "pseudo labels right"


class HostCopy:
    """Copies of tensors on their way to the host; the device works on. `read` waits only for what is not there yet."""

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        self._event: torch.cuda.Event | None = None
        if any(tensor.is_cuda for tensor in tensors):
            self._host = [
                torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True).copy_(tensor, non_blocking=True)
                for tensor in tensors
            ]
            self._device = list(tensors)  # must outlive the copy
            self._event = torch.cuda.Event()
            self._event.record(torch.cuda.current_stream(tensors[0].device))
        else:
            self._host = [tensor.detach().clone() for tensor in tensors]

    def read(self) -> list[Tensor]:
        """The copies, on the host."""
        if self._event is not None:
            self._event.synchronize()
            self._event, self._device = None, []
        return self._host


class ScalarMeans:
    """Means of named scalars over the steps since the last `send`, over all processes; skipped steps do not count."""

    def __init__(self, device: torch.device, processes: Processes = ALONE) -> None:
        self._processes = processes
        self._one = torch.ones((), device=device)
        self._sums: dict[tuple[str, ...], Tensor] = {}  # by the names of a step: the sums, then how many steps

    @torch.no_grad()
    def add(self, values: Mapping[str, Tensor], skipped: Tensor) -> None:
        """Add the 0-dimensional `values` of one step, or nothing where the scalar `skipped` is 1."""
        names = tuple(values)
        row = torch.stack([*(value.detach().to(torch.float32) for value in values.values()), self._one])
        row = torch.where(skipped > 0, torch.zeros_like(row), row)
        if names in self._sums:
            self._sums[names].add_(row)
        else:
            self._sums[names] = row

    def send(self) -> Means:
        """Start the way of the means to the host, and begin anew."""
        names = list(self._sums)
        if not names:
            return Means([], HostCopy([]))
        flat = self._processes.sum_(torch.cat([self._sums[key] for key in names]))
        self._sums = {}
        return Means(names, HostCopy([flat]))


class Means:
    """What `ScalarMeans.send` has sent."""

    def __init__(self, names: list[tuple[str, ...]], copy: HostCopy) -> None:
        self._names = names
        self._copy = copy

    def read(self) -> dict[str, float]:
        """The means by name; a name of which no step counts is left out."""
        flat = [value for tensor in self._copy.read() for value in tensor.tolist()]
        sums: dict[str, float] = {}
        counts: dict[str, float] = {}
        start = 0
        for names in self._names:
            row = flat[start : start + len(names) + 1]
            start += len(row)
            for name, value in zip(names, row[:-1], strict=True):
                sums[name] = sums.get(name, 0.0) + value
                counts[name] = counts.get(name, 0.0) + row[-1]
        return {name: value / counts[name] for name, value in sums.items() if counts[name]}


class SkipCounter:
    """Counts on the device the steps that were skipped: all of them, those in a row, and where there were too many."""

    def __init__(self, limit: int, device: torch.device) -> None:
        if limit < 1:
            raise ValueError(f"--max_skipped {limit}: it must be at least 1")
        self.limit = limit
        self.values = torch.tensor([0, 0, -1], device=device)  # all, in a row, step at which the limit was met

    @torch.no_grad()
    def add(self, skipped: Tensor, step: int) -> None:
        """Count step `step`, which was skipped where the scalar `skipped` is 1."""
        bad = skipped.to(torch.int64)
        total, row, stop = self.values
        row = (row + 1) * bad
        stop = torch.where((row == self.limit) & (stop < 0), step, stop)
        self.values = torch.stack([total + bad, row, stop])


def pseudo_label_figures(
    pseudo_label: Tensor, mask: Tensor, truth: Tensor | None, classes: Sequence[str]
) -> dict[str, Tensor]:
    """Shares of a batch's unlabelled posts, all (B,): those accepted as each class, and those known and right.

    A post counts by its `mask`, what it weighs in the loss; its `truth` is known where that is not negative.
    """
    weight = mask.to(torch.float32)
    figures = {
        f"train/pseudo_label/{name}": (weight * (pseudo_label == place)).mean() for place, name in enumerate(classes)
    }
    if truth is not None:
        known = weight * (truth >= 0)
        figures[_KNOWN] = known.mean()
        figures[_RIGHT] = (known * (truth == pseudo_label)).mean()
    return figures


def add_pseudo_label_accuracy(figures: dict[str, float]) -> None:
    """Turn the two shares of `pseudo_label_figures` into the accuracy of an interval; none where none was known."""
    known, right = figures.pop(_KNOWN, 0.0), figures.pop(_RIGHT, 0.0)
    if known > 0:
        figures["train/pseudo_acc"] = right / known
