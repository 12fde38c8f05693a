"""Timing for the bench: variants measured in turns, A B A B, so that a machine that slows down slows down all."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch


@dataclass(frozen=True)
class Row:
    """One line of the bench: what was measured, in what unit, and every repeat of it."""

    what: str
    unit: str
    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle one of the repeats."""
        return statistics.median(self.values)

    @property
    def spread(self) -> str:
        """Smallest and largest repeat; empty where there is one only."""
        if len(self.values) == 1:
            return ""
        return f"{_digits(min(self.values))} to {_digits(max(self.values))}"

    def cells(self) -> tuple[str, str, str, str]:
        """What, median with its unit, spread, number of repeats."""
        return self.what, f"{_digits(self.median)} {self.unit}".strip(), self.spread, str(len(self.values))


def _digits(value: float) -> str:
    """Three significant digits, thousands apart; tiny values by their power of ten."""
    if value == int(value) and abs(value) < 1e6:
        return f"{value:,.0f}"
    if abs(value) < 1e-3:
        return f"{value:.1e}"
    places = 3 if abs(value) < 1 else 2 if abs(value) < 10 else 1 if abs(value) < 100 else 0
    return f"{value:,.{places}f}"


def synchronise(device: torch.device) -> None:
    """Wait until the device has done all it was given; nothing to do on the CPU."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@contextmanager
def no_collection() -> Iterator[None]:
    """Python's garbage collection before, not while, something is timed; as in training."""
    gc.collect()
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def take_turns(variants: Mapping[str, Callable[[], float]], repeats: int) -> dict[str, tuple[float, ...]]:
    """What each variant, a function, measures of itself, by repeat.

    All run once in vain; then in every repeat each runs once, in the same order.
    """
    found: dict[str, list[float]] = {name: [] for name in variants}
    for function in variants.values():
        function()
    with no_collection():
        for _ in range(repeats):
            for name, function in variants.items():
                found[name].append(function())
    return {name: tuple(values) for name, values in found.items()}


def interleave(
    variants: Mapping[str, Callable[[], int]], repeats: int, device: torch.device
) -> dict[str, tuple[float, ...]]:
    """Seconds per thing done, by variant and repeat; each variant does some things (steps, rows) and says how many."""

    def timed(function: Callable[[], int]) -> Callable[[], float]:
        def run() -> float:
            synchronise(device)
            begun = time.perf_counter()
            done = function()
            synchronise(device)
            return (time.perf_counter() - begun) / done

        return run

    return take_turns({name: timed(function) for name, function in variants.items()}, repeats)


def per_second(seconds: Sequence[float], each: float = 1.0) -> tuple[float, ...]:
    """Rates from seconds per thing; `each` thing counts for so many."""
    return tuple(each / value for value in seconds)


def ratios(above: Sequence[float], below: Sequence[float]) -> tuple[float, ...]:
    """`above` over `below`, repeat by repeat: what slowed down a whole repeat cancels."""
    return tuple(a / b for a, b in zip(above, below, strict=True))


@dataclass
class Phases:
    """Seconds spent in functions wrapped by `timed`, by name; on CUDA each is waited for, which costs a little."""

    device: torch.device
    seconds: dict[str, float] = field(default_factory=dict)

    def timed(self, name: str, function: Callable) -> Callable:
        """The same function, its time added to phase `name`."""

        def run(*arguments: object, **named: object) -> object:
            synchronise(self.device)
            begun = time.perf_counter()
            try:
                return function(*arguments, **named)
            finally:
                synchronise(self.device)
                self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - begun

        return run
