"""Methods over all settings of a comparison: what each is worth on average, and whether it beats the baseline."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from evaluation.compare import Run, sign
from evaluation.intervals import Interval, PairedTest, holm_over, mean_interval, paired_by_seed


@dataclass(frozen=True)
class Overall:
    """A method's figure, averaged over the settings, over its seeds; `holm_p` is adjusted for the methods tested."""

    name: str
    figure: Interval
    against: PairedTest | None
    holm_p: float = math.nan


def overall(
    runs: Sequence[Run], baseline: str | None = None, posts: str = "full", metric: str = "macro_f1"
) -> list[Overall]:
    """Each method of `runs` that can be compared over all settings (what the net reads, number of labels), best first.

    A seed's figure is its mean over the settings, so that a test over seeds pairs independent label sets. Seeds that
    lack a setting do not count, and methods without another seed are left out.
    """
    settings = {run.setting for run in runs}
    found: dict[str, dict[int, dict[tuple[str, int], float]]] = {}
    for run in runs:
        value = run.figures(posts)[metric]
        if not math.isnan(value):
            found.setdefault(run.method, {}).setdefault(run.seed, {})[run.setting] = value
    means = {
        method: {
            seed: float(np.mean(list(values.values())))
            for seed, values in seeds.items()
            if len(values) == len(settings)
        }
        for method, seeds in found.items()
    }
    reference = means.get(baseline or "", {})
    lines = [
        Overall(
            method,
            mean_interval(list(by_seed.values())),
            paired_by_seed(by_seed, {} if method == baseline else reference),
        )
        for method, by_seed in means.items()
        if by_seed
    ]
    adjusted = holm_over(line.against for line in lines)
    lines = [replace(line, holm_p=p) for line, p in zip(lines, adjusted, strict=True)]
    return sorted(lines, key=lambda line: (-sign(metric) * line.figure.mean, line.name))
