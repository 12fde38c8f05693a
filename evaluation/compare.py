"""Runs side by side: means over seeds with intervals, paired tests against a baseline, ranks over settings."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from evaluation.intervals import Interval, PairedTest, holm_over, mean_interval, paired_by_seed
from evaluation.ranks import Ranking, rank

FIGURES = ("accuracy", "macro_f1", "weighted_f1", "ece")
"""Figures of `metrics.score` that a comparison shows, besides the recall of each class."""
COSTS = ("seconds", "peak_memory_gib")
LOWER_IS_BETTER = ("ece", *COSTS)
BOTH = "image and text"
RECIPE = (
    "epoch", "num_train_iter", "batch_size", "uratio", "accumulate", "optim", "lr", "encoder_lr", "layer_decay",
    "momentum", "weight_decay", "schedule", "warmup", "head_first", "clip", "ema_m", "patience", "image_net",
    "image_weights", "image_size", "image_grid", "strong_image", "text_net", "text_weights", "text_pooling",
    "text_tokens", "text_length", "text_rule", "strong_text", "feature_dim", "feature_views", "dropout", "batch_norm",
    "label_balance", "include_lb_to_ulb", "val_ratio", "length_window", "precision", "amp", "num_eval_iter",
)  # fmt: skip
"""Options that are not in a run's name and without which it would not be the same run again."""
NEEDED = ("name", "seed", "num_labels", "classes", "split_fingerprint", "test_fingerprint", "test", "seconds")


@dataclass(frozen=True)
class Run:
    """One finished run: its folder, its results.json, and RECIPE as its options.yaml has it.

    `apart` tells it from runs of the same name with another recipe: lr=0.001.
    """

    folder: Path
    results: dict[str, Any]
    recipe: Mapping[str, Any] = field(default_factory=dict)
    apart: tuple[str, ...] = ()

    @property
    def reads(self) -> str:
        """What the net reads of a post: "image", "text", or "image and text"."""
        net = self.results.get("net")
        return " and ".join(sorted(self.results.get("reads") or [net if net in ("image", "text") else BOTH]))

    @property
    def method(self) -> str:
        """Algorithm and options that are not the usual ones. The net is one of them, unless it is the one that reads
        one modality alone: that is a setting in which methods are compared. "frozen" says that every encoder is."""
        read = set(self.reads.split(" and "))
        words = []
        for word in self.results["name"].split(" "):
            option, _, value = word.partition("=")
            if option == "freeze" and read <= set(value.split(",")):
                words.append("frozen")
            elif option != "net" or self.reads == BOTH:
                words.append(word)
        return " ".join([*words, *self.apart])

    @property
    def group(self) -> tuple[str, str, int]:
        """What repeats with another seed: the method, what it reads, the number of labelled posts."""
        return self.method, *self.setting

    @property
    def setting(self) -> tuple[str, int]:
        """In what methods are compared: what they read, the number of labelled posts."""
        return self.reads, self.results["num_labels"]

    @property
    def seed(self) -> int:
        """Seed of the labelled posts and of training."""
        return self.results["seed"]

    def figures(self, posts: str) -> dict[str, float]:
        """Every figure that is compared, by column name; NaN where the run has none."""
        scores = self.results["test"].get(posts, {})
        values = {name: scores.get(name) for name in FIGURES}
        values |= {f"recall_{name}": scores.get("recall", {}).get(name) for name in self.results["classes"]}
        found = self.results.get("selection", {})
        values |= {f"selection_{name}": found.get(name) for name in ("agreement", "auc")}
        taught = self.results.get("teaching", {})
        values |= {name: taught.get(name) for name in ("accepted", "pseudo_label_accuracy")}
        by_class = taught.get("accepted_by_class", {})
        values |= {f"accepted_{name}": by_class.get(name) for name in self.results["classes"]}
        values |= {name: self.results.get(name) for name in COSTS}
        return {name: math.nan if value is None else float(value) for name, value in values.items()}


@dataclass(frozen=True)
class Group:
    """The runs of one method in one setting, in figures. `against` is the test with the baseline in that setting, and
    `holm_p` its p (paired t) adjusted for all the tests of the comparison."""

    name: str
    reads: str
    num_labels: int
    seeds: tuple[int, ...]
    figures: dict[str, Interval]
    against: PairedTest | None
    holm_p: float = math.nan

    @property
    def setting(self) -> tuple[str, int]:
        """As that of its runs."""
        return self.reads, self.num_labels


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
    run = Run(Path(folder), results)
    return replace(run, recipe=_recipe(run.folder / "options.yaml", run.reads))


def _recipe(file: Path, reads: str) -> dict[str, Any]:
    """RECIPE as far as it concerns what the net reads, weights by their names; {} where the options were not kept."""
    if not file.is_file():
        return {}
    try:
        options = yaml.load(file.read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError as error:
        raise ValueError(f"{file} is no YAML: {str(error).splitlines()[0]}") from None
    unread = {"image", "text"} - set(reads.split(" and "))
    names = [name for name in RECIPE if name in (options or ()) and not unread & set(name.split("_"))]
    return {name: Path(options[name]).name if name.endswith("_weights") else options[name] for name in names}


def tell_apart(runs: Iterable[Run]) -> list[Run]:
    """The runs, with `apart` where those of one name have several recipes with the same number of labels."""
    told = list(runs)
    for group in {run.group for run in told}:
        places = [place for place, run in enumerate(told) if run.group == group and run.recipe]
        names = _differing([told[place] for place in places])
        for place in places:
            run = told[place]
            told[place] = replace(run, apart=tuple(f"{name}={run.recipe.get(name)}" for name in names))
    return told


def unshared(runs: Sequence[Run]) -> list[str]:
    """A sentence for each option of RECIPE in which runs differ that are compared with one another."""
    sentences = []
    for setting in sorted({run.setting for run in runs}):
        block = [run for run in runs if run.setting == setting and run.recipe]
        for name in _differing(block):
            methods: dict[str, list[str]] = {}
            for run in block:
                known = methods.setdefault(str(run.recipe.get(name)), [])
                known += [run.method] if run.method not in known else []
            told = "; ".join(f"{value} in {', '.join(known)}" for value, known in methods.items())
            sentences.append(f"with {setting[1]} labels --{name} is not the same everywhere: {told}")
    return sentences


def _differing(runs: Sequence[Run]) -> list[str]:
    return [name for name in RECIPE if len({str(run.recipe.get(name)) for run in runs}) > 1]


def check_comparable(runs: Sequence[Run]) -> None:
    """Raise ValueError where two of `runs` were not tested on the same posts, or the same seed trained on others."""
    first = runs[0]
    seen: dict[tuple[tuple[str, str, int], int], Run] = {}
    splits: dict[tuple[int, int], Run] = {}
    for run in runs:
        for key, what in (("test_fingerprint", "tested on other posts"), ("classes", "trained for other classes")):
            if run.results[key] != first.results[key]:
                raise ValueError(f"{run.folder} was {what} than {first.folder} ({key}): compare them separately")
        other = seen.setdefault((run.group, run.seed), run)
        if other is not run:
            raise ValueError(f"{other.folder} and {run.folder} are both {run.method} with seed {run.seed}: give one")
        twin = splits.setdefault((run.results["num_labels"], run.seed), run)
        if twin.results["split_fingerprint"] != run.results["split_fingerprint"]:
            raise ValueError(
                f"{run.folder} had other labelled or unlabelled posts than {twin.folder} with the same seed "
                "(split_fingerprint): train both on the same split"
            )


def find_runs(folders: Iterable[Path | str]) -> tuple[list[Run], list[Path]]:
    """The runs in `folders`: each a run's, or one whose sub-folders are runs'; and those sub-folders that hold a run
    which is not finished. Raises ValueError where a folder holds no run."""
    runs, unfinished = [], []
    for folder in map(Path, folders):
        inner = sorted(path.parent for path in folder.glob("*/options.yaml"))
        if (folder / "results.json").is_file() or not inner:
            runs.append(read_run(folder))
            continue
        finished = [path for path in inner if (path / "results.json").is_file()]
        runs += [read_run(path) for path in finished]
        unfinished += [path for path in inner if path not in finished]
    return tell_apart(runs), unfinished


def compare(
    runs: Sequence[Run], baseline: str | None = None, posts: str = "full", metric: str = "macro_f1"
) -> list[Group]:
    """Group `runs` by method and setting (what the net reads, number of labels); best `metric` first in each setting,
    those without it last.

    `posts` is "full", "image_only", "text_only" or one of `deciders.KINDS`. With `baseline`, each other group is tested
    against the group of that method in the same setting, on the seeds that both have. Raises ValueError for runs that
    cannot be compared, an unknown baseline or metric.
    """
    _check(runs, posts, metric)
    methods = sorted({run.method for run in runs})
    if baseline is not None and baseline not in methods:
        raise ValueError(f"--baseline {baseline}: no run is called so; there are {', '.join(methods)}")
    table: dict[tuple[str, str, int], dict[int, dict[str, float]]] = {}
    for run in runs:
        table.setdefault(run.group, {})[run.seed] = run.figures(posts)
    columns = list(runs[0].figures(posts))
    groups = []
    for (name, reads, num_labels), by_seed in table.items():
        reference = {} if baseline is None or name == baseline else table.get((baseline, reads, num_labels), {})
        ours, theirs = ({seed: found[metric] for seed, found in side.items()} for side in (by_seed, reference))
        against = paired_by_seed(ours, theirs)
        figures = {column: mean_interval([values[column] for values in by_seed.values()]) for column in columns}
        groups.append(Group(name, reads, num_labels, tuple(sorted(by_seed)), figures, against))
    adjusted = holm_over(group.against for group in groups)
    groups = [replace(group, holm_p=p) for group, p in zip(groups, adjusted, strict=True)]

    def place(group: Group) -> tuple[object, ...]:
        mean = group.figures[metric].mean
        return *group.setting, math.isnan(mean), -sign(metric) * mean, group.name

    return sorted(groups, key=place)


def ranking(runs: Sequence[Run], posts: str = "full", metric: str = "macro_f1") -> tuple[Ranking, int]:
    """The methods ranked over the blocks (setting and seed) in which all of them have the figure, and how many other
    blocks there are. Raises ValueError as `compare` does, and where there are too few methods or blocks."""
    _check(runs, posts, metric)
    methods = tuple(sorted({run.method for run in runs}))
    blocks: dict[tuple[str, int, int], dict[str, float]] = {}
    for run in runs:
        value = sign(metric) * run.figures(posts)[metric]
        if not math.isnan(value):
            blocks.setdefault((run.reads, run.results["num_labels"], run.seed), {})[run.method] = value
    whole = [block for block in blocks.values() if len(block) == len(methods)]
    values = np.array([[block[name] for name in methods] for block in whole]).reshape(len(whole), len(methods))
    return rank(methods, values), len(blocks) - len(whole)


def _check(runs: Sequence[Run], posts: str, metric: str) -> None:
    if not runs:
        raise ValueError("there is no run to compare")
    check_comparable(runs)
    columns = list(runs[0].figures(posts))
    if metric not in columns:
        raise ValueError(f"--metric {metric}: there is none of that name; there are {', '.join(columns)}")


def sign(metric: str) -> int:
    """1 where more of the metric is better, else -1."""
    return -1 if metric in LOWER_IS_BETTER else 1
