"""Runs side by side: means over seeds with intervals, and paired tests against a baseline."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evaluation.intervals import Interval, PairedTest, mean_interval, paired_test

FIGURES = ("accuracy", "macro_f1", "weighted_f1", "ece")
"""Figures of `metrics.score` that a comparison shows, besides the recall of each class."""
NEEDED = ("name", "seed", "num_labels", "classes", "split_fingerprint", "test_fingerprint", "test", "seconds")


@dataclass(frozen=True)
class Run:
    """One finished run: its folder and its results.json."""

    folder: Path
    results: dict[str, Any]

    @property
    def group(self) -> tuple[str, int]:
        """What repeats with another seed: the method's name and the number of labelled posts."""
        return self.results["name"], self.results["num_labels"]

    @property
    def seed(self) -> int:
        """Seed of the labelled posts and of training."""
        return self.results["seed"]

    def figures(self, posts: str) -> dict[str, float]:
        """Every figure that is compared, by column name; NaN where the run has none."""
        scores = self.results["test"].get(posts, {})
        values = {name: scores.get(name) for name in FIGURES}
        values |= {f"recall_{name}": scores.get("recall", {}).get(name) for name in self.results["classes"]}
        values |= {"seconds": self.results["seconds"], "peak_memory_gib": self.results.get("peak_memory_gib")}
        return {name: math.nan if value is None else float(value) for name, value in values.items()}


@dataclass(frozen=True)
class Group:
    """The runs of one method at one number of labels, in figures. `against` is the test with the baseline."""

    name: str
    num_labels: int
    seeds: tuple[int, ...]
    figures: dict[str, Interval]
    against: PairedTest | None


def read_run(folder: Path | str) -> Run:
    """Read `<folder>/results.json`. Raises ValueError where it is missing, no JSON, or lacks a key that is compared."""
    path = Path(folder) / "results.json"
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"{folder} has no results.json: it is no run's folder, or the run is not finished") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not JSON ({error}): evaluate the run again with --eval_only") from None
    missing = [key for key in NEEDED if key not in results]
    if missing:
        raise ValueError(f"{path} lacks {', '.join(missing)}: evaluate the run again with --eval_only")
    return Run(Path(folder), results)


def check_comparable(runs: Sequence[Run]) -> None:
    """Raise ValueError where two of `runs` were not tested on the same posts, or the same seed trained on others."""
    first = runs[0]
    seen: dict[tuple[str, int, int], Run] = {}
    splits: dict[tuple[int, int], Run] = {}
    for run in runs:
        for key, what in (("test_fingerprint", "tested on other posts"), ("classes", "trained for other classes")):
            if run.results[key] != first.results[key]:
                raise ValueError(f"{run.folder} was {what} than {first.folder} ({key}): compare them separately")
        other = seen.setdefault((*run.group, run.seed), run)
        if other is not run:
            raise ValueError(f"{other.folder} and {run.folder} are both {run.group[0]} with seed {run.seed}: give one")
        twin = splits.setdefault((run.results["num_labels"], run.seed), run)
        if twin.results["split_fingerprint"] != run.results["split_fingerprint"]:
            raise ValueError(
                f"{run.folder} had other labelled or unlabelled posts than {twin.folder} with the same seed "
                "(split_fingerprint): train both on the same split"
            )


def compare(
    runs: Sequence[Run], baseline: str | None = None, posts: str = "full", metric: str = "macro_f1"
) -> list[Group]:
    """Group `runs` by name and number of labels; best `metric` first within each number of labels.

    `posts` is "full", "image_only" or "text_only". With `baseline`, each other group is tested against the group of
    that name with as many labels, on the seeds that both have. Raises ValueError for runs that cannot be compared, an
    unknown baseline or metric.
    """
    if not runs:
        raise ValueError("there is no run to compare")
    check_comparable(runs)
    names = sorted({run.group[0] for run in runs})
    if baseline is not None and baseline not in names:
        raise ValueError(f"--baseline {baseline}: no run is called so; there are {', '.join(names)}")
    table: dict[tuple[str, int], dict[int, dict[str, float]]] = {}
    for run in runs:
        table.setdefault(run.group, {})[run.seed] = run.figures(posts)
    columns = list(runs[0].figures(posts))
    if metric not in columns:
        raise ValueError(f"--metric {metric}: there is none of that name; there are {', '.join(columns)}")
    groups = []
    for (name, num_labels), by_seed in table.items():
        reference = table.get((baseline, num_labels)) if baseline is not None and name != baseline else None
        shared = sorted(set(by_seed) & set(reference or {}))
        against = None
        if reference is not None and shared:
            ours, theirs = ([side[seed][metric] for seed in shared] for side in (by_seed, reference))
            against = paired_test(ours, theirs)
        figures = {column: mean_interval([values[column] for values in by_seed.values()]) for column in columns}
        groups.append(Group(name, num_labels, tuple(sorted(by_seed)), figures, against))
    return sorted(groups, key=lambda group: (group.num_labels, -group.figures[metric].mean, group.name))


def _p(value: float) -> str:
    if math.isnan(value):
        return "–"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _percent(value: Interval) -> str:
    """Mean and half-width in percent points."""
    if math.isnan(value.mean):
        return "–"
    return f"{100 * value.mean:.1f}" + ("" if math.isnan(value.half) else f" ± {100 * value.half:.1f}")


def _plain(value: Interval, digits: int) -> str:
    return "–" if math.isnan(value.mean) else f"{value.mean:.{digits}f}"


def markdown(groups: Iterable[Group], baseline: str | None = None, metric: str = "macro_f1") -> str:
    """A Markdown table in percent: mean ± half of the 95 % t interval over seeds."""
    groups = list(groups)
    percents = [name for name in groups[0].figures if name not in ("seconds", "peak_memory_gib")]
    header = ["method", "labels", "seeds", *(name.replace("_", " ") for name in percents)]
    if baseline is not None:
        header += [f"{metric.replace('_', ' ')} − {baseline}", "p (paired t)", "p (Wilcoxon)", "pairs"]
    header += ["seconds", "GiB"]
    lines = [header, ["---", *["---:"] * (len(header) - 1)]]
    for group in groups:
        cells = [group.name.replace("|", "\\|"), str(group.num_labels), str(len(group.seeds))]
        cells += [_percent(group.figures[name]) for name in percents]
        if baseline is not None and group.against is not None:
            test = group.against
            cells += [_percent(test.difference), _p(test.t_p), _p(test.wilcoxon_p), str(test.difference.count)]
        elif baseline is not None:
            cells += ["baseline" if group.name == baseline else "–", "–", "–", "–"]
        cells += [_plain(group.figures["seconds"], 0), _plain(group.figures["peak_memory_gib"], 2)]
        lines.append(cells)
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def table_csv(groups: Iterable[Group]) -> str:
    """The same for machines: mean, low and high of every figure as fractions; empty where there is none."""
    rows: list[dict[str, object]] = []
    for group in groups:
        row: dict[str, object] = {"name": group.name, "num_labels": group.num_labels}
        row |= {"seeds": " ".join(map(str, group.seeds))}
        columns = dict(group.figures)
        test = group.against
        nothing = Interval(math.nan, math.nan, math.nan, 0)
        columns["difference"] = nothing if test is None else test.difference
        for name, value in columns.items():
            row |= {name: value.mean, f"{name}_low": value.low, f"{name}_high": value.high}
        row |= {
            "pairs": 0 if test is None else test.difference.count,
            "t_p": math.nan if test is None else test.t_p,
            "wilcoxon_p": math.nan if test is None else test.wilcoxon_p,
        }
        rows.append(
            {key: "" if isinstance(value, float) and math.isnan(value) else value for key, value in row.items()}
        )
    file = io.StringIO()
    writer = csv.DictWriter(file, fieldnames=list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()
