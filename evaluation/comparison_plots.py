"""A comparison of runs in pictures: label efficiency, critical difference, cost. PNG files, drawn without a display."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from evaluation.compare import Group
from evaluation.ranks import Ranking

MARKS = "osD^vPX*<>hp"
"""A mark for each method beside its colour, so that they are told apart without colours."""


def save(figure: Figure, path: Path) -> None:
    """As PNG, without a display."""
    FigureCanvasAgg(figure)
    figure.savefig(path, dpi=150)


def _panels(groups: Sequence[Group], width: float, height: float) -> tuple[Figure, list[tuple[str, Axes]]]:
    """A figure with a panel for each kind of net by what it reads."""
    kinds = sorted({group.reads for group in groups})
    figure = Figure(figsize=(width * len(kinds), height), layout="constrained")
    axes = figure.subplots(1, len(kinds), squeeze=False)[0]
    return figure, list(zip(kinds, axes, strict=True))


def label_efficiency(groups: Sequence[Group], metric: str, path: Path) -> None:
    """The mean of `metric` against the number of labels with its 95 % interval: a line for each method.

    `groups` are in the order that `compare` gives them, best first in each setting; so are the methods of the legend,
    by their mean place.
    """
    figure, panels = _panels(groups, 6, 4.5)
    places: dict[str, list[int]] = {}
    better: Counter[tuple[str, int]] = Counter()  # groups of a setting that came before
    for group in groups:
        setting = group.reads, group.num_labels
        places.setdefault(group.name, []).append(better[setting])
        better[setting] += 1
    methods = sorted(places, key=lambda name: (sum(places[name]) / len(places[name]), name))
    lines: dict[str, Line2D] = {}
    for reads, axes in panels:
        for place, method in enumerate(methods):
            line = sorted(
                (one for one in groups if (one.name, one.reads) == (method, reads)), key=lambda one: one.num_labels
            )
            if not line:
                continue
            found = [one.figures[metric] for one in line]
            labels = [one.num_labels * 1.02 ** (place - len(methods) / 2) for one in line]  # aside, to be seen
            bars = [0.0 if math.isnan(value.half) else value.half for value in found]
            lines[method], *_ = axes.errorbar(
                labels, [value.mean for value in found], bars, capsize=3, linewidth=1.5,
                marker=MARKS[place % len(MARKS)], color=f"C{place % 10}",
            )  # fmt: skip
        budgets = sorted({group.num_labels for group in groups})
        axes.set_xscale("log")
        axes.set_xticks(budgets, [f"{number:,}" for number in budgets])
        axes.minorticks_off()
        axes.set_xlabel("labelled posts")
        axes.set_ylabel(f"{metric.replace('_', ' ')}, mean and 95 % interval")
        axes.set_title(f"net reads {reads}")
        axes.grid(alpha=0.3)
    figure.legend([lines[name] for name in methods], methods, fontsize="small", loc="outside right center")
    save(figure, path)


def cost(groups: Sequence[Group], path: Path) -> None:
    """What each method costs, mean over its runs: seconds of training and peak memory, a bar for each group."""
    figure = Figure(figsize=(10, 1 + 0.28 * len(groups)), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    names = [f"{one.name}, {one.reads}, {one.num_labels:,} labels" for one in groups]
    titles = {"seconds": "seconds of training", "peak_memory_gib": "peak memory, GiB"}
    for axes, (figure_name, title) in zip(panels, titles.items(), strict=True):
        means = [0.0 if math.isnan(one.figures[figure_name].mean) else one.figures[figure_name].mean for one in groups]
        bars = axes.barh(range(len(groups)), means, color="C0")
        axes.bar_label(bars, fmt="%.3g", padding=3, fontsize="small")
        axes.margins(x=0.15, y=0.01)
        axes.set_title(title)
    panels[0].set_yticks(range(len(groups)), names, fontsize="small")
    panels[0].invert_yaxis()
    save(figure, path)


def critical_difference_diagram(ranking: Ranking, metric: str, path: Path) -> None:
    """Mean ranks on a line, the best left; a bar joins methods that are not told apart (Demšar 2006, figure 1)."""
    count = len(ranking.methods)
    half = (count + 1) // 2
    cliques = ranking.cliques
    depth = 0.25 * len(cliques)
    figure = Figure(figsize=(9, 1.6 + 0.3 * (half + len(cliques))), layout="constrained")
    axes = figure.subplots()
    axes.set_axis_off()
    axes.hlines(0, 1, count, color="black")
    for rank in range(1, count + 1):
        axes.vlines(rank, 0, 0.1, color="black")
        axes.text(rank, 0.15, str(rank), ha="center", va="bottom")
    for place, (name, mean) in enumerate(zip(ranking.methods, ranking.mean_ranks, strict=True)):
        left = place < half
        level = -depth - 0.35 * (1 + (place if left else count - 1 - place))
        edge = 1 - 0.05 * count if left else count + 0.05 * count
        axes.plot([mean, mean, edge], [0, level, level], color="black", linewidth=0.8)
        axes.text(edge, level, f" {name} ({mean:.2f}) ", ha="right" if left else "left", va="center")
    for place, (first, last) in enumerate(cliques):
        level = -0.2 - 0.25 * place
        axes.hlines(level, ranking.mean_ranks[first] - 0.03, ranking.mean_ranks[last] + 0.03, color="C3", linewidth=4)
    axes.hlines(0.75, 1, 1 + ranking.critical_difference, color="black", linewidth=2)
    axes.text(1, 0.82, f"critical difference {ranking.critical_difference:.2f}", ha="left", va="bottom")
    axes.set_title(f"mean rank by {metric.replace('_', ' ')} in {ranking.blocks} blocks", fontsize="medium", pad=18)
    axes.set_xlim(1 - 0.6 * count, count + 0.6 * count)
    save(figure, path)
