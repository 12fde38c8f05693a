"""Missing-rate curves as tables and pictures: of one run, and of many, over their seeds."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from evaluation.comparison_plots import MARKS, save
from evaluation.comparison_tables import percent
from evaluation.intervals import Interval
from evaluation.missing_rate import TEST, TRAINING_AND_TEST, MeanPoint

NOTHING = ("image", 0.0)


def write_curve(curve: Sequence[Mapping[str, Any]], table: Path, picture: Path, name: str) -> None:
    """One run's curve as CSV, and as PNG: macro-F1 over the rate, one line for each missing modality."""
    _write_rows(curve, table)
    figure, (axes,) = _panels(1, width=6)
    for missing, style in (("image", "o-"), ("text", "s--")):
        points = [point for point in curve if point["missing"] == missing]
        x, y = [100 * point["rate"] for point in points], [point["macro_f1"] for point in points]
        axes.plot(x, y, style, label=f"{missing} missing")
    axes.set(title=name, xlabel="test posts without it, %")
    axes.legend()
    save(figure, picture)


def markdown(points: Sequence[MeanPoint]) -> str:
    """A table in percent: a line for each method and place where posts lose a modality, columns for the rates that runs
    were trained with, 50 and 100 %; last the mean over the columns that the line has."""
    lines: dict[tuple[str, str], dict[tuple[str, float], Interval]] = {}
    for point in points:
        lines.setdefault((point.method, point.lost_in), {})[point.missing, point.rate] = point.macro_f1
    lines = {key: line for key, line in lines.items() if any(rate for _, rate in line)}
    trained = {column for (_, lost_in), line in lines.items() for column in line if lost_in == TRAINING_AND_TEST}
    usual = {(missing, rate) for missing in ("image", "text") for rate in (0.5, 1.0)}
    columns = sorted(column for column in usual | trained if column[1])
    heads = ["nothing", *(f"{rate:.0%} of {missing}s" for missing, rate in columns), "mean"]
    rows = [["method", "lost in", *heads], ["---", "---", *["---:"] * len(heads)]]
    for (method, lost_in), line in lines.items():
        shown = [line.get(column) for column in (NOTHING, *columns)]
        there = [interval.mean for interval in shown if interval is not None]
        cells = ["–" if interval is None else percent(interval) for interval in shown]
        rows.append([method, lost_in, *cells, f"{100 * sum(there) / len(there):.1f}"])
    return "".join("| " + " | ".join(row) + " |\n" for row in rows)


def write_points(points: Sequence[MeanPoint], table: Path) -> None:
    """The points as CSV."""
    rows = []
    for point in points:
        row = asdict(point)
        del row["macro_f1"]
        value = point.macro_f1
        half = "" if math.isnan(value.half) else value.half
        rows.append(row | {"macro_f1": value.mean, "half_interval": half, "runs": value.count})
    _write_rows(rows, table)


def draw(points: Sequence[MeanPoint], picture: Path) -> None:
    """PNG with a panel for each missing modality, a colour for each method: solid where posts lose it in the test
    alone, dashed where in training too."""
    methods = sorted({point.method for point in points})
    figure, panels = _panels(2, width=4.5, legend=4)
    for axes, missing in zip(panels, ("image", "text"), strict=True):
        for place, method in enumerate(methods):
            for lost_in, style in ((TEST, "-"), (TRAINING_AND_TEST, "--")):
                key = (method, lost_in, missing)
                line = [one for one in points if (one.method, one.lost_in, one.missing) == key]
                if len(line) > 1:  # one point is the rate of 0, which no run was trained for
                    x, y = [100 * one.rate for one in line], [one.macro_f1.mean for one in line]
                    label = f"{method}, lost in {lost_in}"
                    axes.plot(x, y, style, marker=MARKS[place % len(MARKS)], color=f"C{place % 10}", label=label)
        axes.set(title=f"{missing} missing", xlabel="posts without it, %")
    named = {str(line.get_label()): line for axes in panels for line in axes.get_lines()}
    figure.legend(handles=list(named.values()), fontsize="small", loc="outside right center")
    save(figure, picture)


def _panels(count: int, width: float, legend: float = 0) -> tuple[Figure, list[Axes]]:
    """An empty figure of panels for macro-F1 side by side, with room for a legend."""
    figure = Figure(figsize=(width * count + legend, 4), layout="constrained")
    panels = list(figure.subplots(1, count, sharey=True, squeeze=False)[0])
    panels[0].set_ylabel("macro-F1")
    for axes in panels:
        axes.grid(alpha=0.3)
    return figure, panels


def _write_rows(rows: Sequence[Mapping[str, Any]], table: Path) -> None:
    with open(table, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
