"""What the variants of a data set hold: a table (CSV, Markdown) and a chart."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from datasets.posts import SENTIMENTS
from datasets.variants import PARTS

COLUMNS = ("dataset", "part", *SENTIMENTS, "total")
COLOURS = ("#c8631b", "#7a7a7a", "#1f5fa8")
"""Negative, neutral, positive; told apart without red and green, and named in the legend."""

Row = tuple[str | int, ...]


def statistics_rows(counts: Mapping[str, np.ndarray]) -> list[Row]:
    """Rows of COLUMNS from the counts (3, 3) by part and class of each variant: all, then each part."""
    rows: list[Row] = []
    for name, by_part in counts.items():
        for part, of_part in (("all", by_part.sum(0)), *zip(PARTS, by_part, strict=True)):
            rows.append((name, part, *map(int, of_part), int(of_part.sum())))
    return rows


def write_statistics(counts: Mapping[str, np.ndarray], folder: Path) -> list[Path]:
    """Write statistics.csv, statistics.md and statistics.png into the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = statistics_rows(counts)
    files = [folder / f"statistics.{kind}" for kind in ("csv", "md", "png")]
    with files[0].open("w", newline="", encoding="utf-8") as opened:
        csv.writer(opened).writerows([COLUMNS, *rows])
    lines = [
        COLUMNS,
        ("---", "---", *["---:"] * 4),
        *[(*row[:2], *(f"{value:,}" for value in row[2:])) for row in rows],
    ]
    files[1].write_text("".join(f"| {' | '.join(map(str, line))} |\n" for line in lines), encoding="utf-8")
    _draw(counts, files[2])
    return files


def _draw(counts: Mapping[str, np.ndarray], file: Path) -> None:
    """A bar for each variant, its classes side by side, with their numbers."""
    figure = Figure(figsize=(9, 1.2 + 0.6 * len(counts)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    names = list(counts)
    totals = np.stack([counts[name].sum(0) for name in names])
    left = np.zeros(len(names))
    for class_id, (word, colour) in enumerate(zip(SENTIMENTS, COLOURS, strict=True)):
        bars = axes.barh(names, totals[:, class_id], left=left, color=colour, label=word)
        axes.bar_label(
            bars,
            [f"{value:,}" if value else "" for value in totals[:, class_id]],
            label_type="center",
            color="white",
            fontsize=8,
        )
        left += totals[:, class_id]
    axes.invert_yaxis()
    axes.set_xlabel("images")
    axes.legend(ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1), frameon=False)
    figure.savefig(file, dpi=130)
