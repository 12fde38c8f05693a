"""Bench of the algorithms: what a step of each costs beside FixMatch's, and whether FlexMatch's grows with posts."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace

import torch

import algorithms
from algorithms.base import Algorithm, Task
from datasets.batch import Views
from scripts.bench_timing import Row, interleave, ratios
from scripts.bench_world import CLASSES, FROZEN, Bench, learner, training_steps
from training.assembly import Assembly

BASELINE, REMEMBERS_POSTS = "fixmatch", "flexmatch"
FEW, MANY = 10_000, 5_000_000
"""Posts between which the step of an algorithm that remembers something of each of them must not grow."""
STEPS = 4
"""Steps of a measurement."""


def every_algorithm(bench: Bench) -> Iterator[Row]:
    """A step of each algorithm, with the net it is made for, over one of FixMatch: on cached features, and on small
    nets that learn from the posts themselves."""
    names = [BASELINE, *(name for name in algorithms.names() if name != BASELINE)]
    for what, flags in (("cached features", FROZEN), ("small nets", ())):
        variants = {name: training_steps(_assembly(bench, name, *flags), bench.folder / name, STEPS) for name in names}
        seconds = interleave(variants, bench.repeats, bench.device)
        yield Row(f"{what}: {BASELINE}", "ms", tuple(1e3 * value for value in seconds[BASELINE]))
        for name in names[1:]:
            yield Row(f"{what}: {name} over {BASELINE}", "×", ratios(seconds[name], seconds[BASELINE]))
    if REMEMBERS_POSTS in names:
        yield from many_posts(bench, REMEMBERS_POSTS)
    else:
        print(f"  {REMEMBERS_POSTS} is not here: no row on its step at {MANY:,} posts", file=sys.stderr)


def _assembly(bench: Bench, name: str, *flags: str) -> Assembly:
    small = ("--batch_size", "2", "--uratio", "2") if bench.tiny else ()
    return bench.assembly("--algorithm", name, *flags, *small)


def many_posts(bench: Bench, name: str) -> Iterator[Row]:
    """The step of algorithm `name` where there are many posts over one where there are few, on cached features."""
    assembly = _assembly(bench, name, *FROZEN)
    _, labelled, unlabelled = next(iter(assembly.make_loader(0, 1)))
    draw = torch.Generator().manual_seed(0)

    def among(posts: int) -> Callable[[], int]:
        """Steps of the algorithm where the store has `posts` posts."""
        classes = torch.arange(CLASSES)
        task = Task(CLASSES, posts, posts, labelled=classes, labels=classes)
        kind = algorithms.find(name)
        made: Algorithm = kind(assembly.algorithm.options, assembly.net, assembly.ema.net, task).to(bench.device)
        size = len(next(iter(unlabelled.values())))
        index = torch.randint(posts, (size,), generator=draw).to(bench.device)
        views: Views = {view: replace(batch, index=index) for view, batch in unlabelled.items()}
        step = learner(made.train(), labelled, views, bench.autocast)

        def run() -> int:
            for _ in range(STEPS):
                step()
            return STEPS

        return run

    few, many = FEW, bench.sized(2 * FEW, MANY, MANY)
    seconds = interleave({"few": among(few), "many": among(many)}, bench.repeats, bench.device)
    yield Row(f"{name}: step at {many:,} posts over step at {few:,}", "×", ratios(seconds["many"], seconds["few"]))
