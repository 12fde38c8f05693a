"""The published benchmarks by name. A file of this folder holds those of one folder of images, in its BENCHMARKS: a new
one is all that a new benchmark needs."""

from __future__ import annotations

import importlib
from functools import cache
from pathlib import Path

from evaluation.benchmarks.base import Benchmark, Examples

__all__ = ["Benchmark", "Examples", "benchmarks", "find"]

SHARED = {"__init__", "base"}
"""Files of this folder that hold no benchmark."""


@cache
def benchmarks() -> dict[str, Benchmark]:
    """Every benchmark by its name. Raises ValueError where two have one name; a failing import raises."""
    found: dict[str, Benchmark] = {}
    for path in sorted(Path(__file__).parent.glob("*.py")):
        if path.stem in SHARED:
            continue
        for benchmark in importlib.import_module(f"{__name__}.{path.stem}").BENCHMARKS:
            if benchmark.name in found:
                raise ValueError(f"two benchmarks are called {benchmark.name!r}, one of them in {path.name}")
            found[benchmark.name] = benchmark
    return found


def find(name: str) -> Benchmark:
    """The benchmark called `name`. Raises ValueError, which lists those known, for any other name."""
    if name not in benchmarks():
        raise ValueError(f"-b {name}: no benchmark has that name; there are {', '.join(benchmarks())}")
    return benchmarks()[name]
