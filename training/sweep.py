"""Many runs: which there are in a grid of options, what each is called, and how far it is."""

from __future__ import annotations

import csv
import itertools
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from training.command_line import Options, flat_options, parse
from training.defaults import resolve
from training.run_folder import RunFolder

ANYWHERE = {"save_dir", "save_name", "cache_dir", "num_workers", "gpu", "resume", "overwrite", "eval_only"}
"""Options that say where and how a run is made, not what comes out of it."""

State = Literal["done", "begun", "new"]


@dataclass(frozen=True)
class Job:
    """One run of a sweep."""

    name: str
    argv: tuple[str, ...]  # main.py's command line
    options: Options

    @property
    def folder(self) -> RunFolder:
        """Where the run is written."""
        return RunFolder(Path(self.options.run.save_dir) / self.options.run.save_name)

    @property
    def log(self) -> Path:
        """What the run says."""
        return self.folder.path / "log.txt"


SET = {
    "--algorithm": "--algorithms", "--num_labels": "--num_labels", "-nl": "--num_labels", "--seed": "--seeds",
    "--save_dir": "--save_dir", "--save_name": "--save_dir", "-sn": "--save_dir",
}  # fmt: skip
"""Flags of a run that the sweep sets, by the sweep's own flag for them."""


def plan(
    algorithms: Sequence[str],
    num_labels: Sequence[str],
    seeds: Sequence[str],
    grid: Mapping[str, Sequence[str]],
    save_dir: str,
    shared: Sequence[str] = (),
) -> list[Job]:
    """Every combination, a whole round of methods before the next seed, so that an unfinished sweep can be compared.

    An algorithm may bring flags of its own ("fixmatch --threshold 0.7"); `grid` has values by flag; `shared` is the
    part of the command line that all runs have. Raises ValueError where two runs would have one name or `shared` has a
    flag that the sweep sets itself, and ends the program like `parse` where a command line is wrong.
    """
    for flag in (word.partition("=")[0] for word in shared):
        if flag in SET:
            raise ValueError(
                f"{flag} behind -- would be lost, as the sweep sets it for each run: see its own {SET[flag]}"
            )
    jobs: dict[str, Job] = {}
    for seed, labels, method, *values in itertools.product(seeds, num_labels, algorithms, *grid.values()):
        varied = [f"--{flag}={value}" for flag, value in zip(grid, values, strict=True)]
        own = shlex.split(method)
        name = _name(" ".join([*own, *varied]), labels, seed)
        argv = (
            *shared, "--algorithm", *own, *varied, "--num_labels", labels, "--seed", seed,
            "--save_dir", save_dir, "--save_name", name,
        )  # fmt: skip
        job = Job(name, argv, parse(argv, prog=f"sweep, {name}"))
        twin = jobs.setdefault(name, job)
        if twin is not job:
            raise ValueError(f"two runs would be called {name}: {shlex.join(twin.argv)} and {shlex.join(argv)}")
    return list(jobs.values())


def values(text: str) -> list[str]:
    """The values in a list with commas; one that has a comma itself stands in double quotes."""
    found = [value.strip() for value in next(csv.reader([text], skipinitialspace=True), [])]
    if not found or not all(found):
        raise ValueError(f"{text!r} must be values with commas between them, such as 51,201,600")
    return found


def grid_of(texts: Iterable[str]) -> dict[str, list[str]]:
    """The values by flag of texts such as "net=image,text". Raises ValueError where one is no such text."""
    grid = {}
    for text in texts:
        flag, equals, listed = text.partition("=")
        if not equals:
            raise ValueError(f"--grid {text}: give a flag and its values, such as net=image,text,concat")
        grid[flag.lstrip("-")] = values(listed)
    return grid


def _name(method: str, num_labels: str, seed: str) -> str:
    """A folder's name for the run, such as fixmatch-threshold_0.7-net_text-n51-seed1."""
    words = [re.sub(r"[^\w.+-]+", "_", part).strip("_-") for part in re.split(r"\s*--", method)]
    return "-".join([*words, f"n{num_labels}", f"seed{seed}"])


def state(job: Job) -> State:
    """How far a run is. Raises ValueError where its folder holds a run with other options."""
    folder = job.folder
    if not folder.options.is_file():
        return "new"
    saved = yaml.safe_load(folder.options.read_text(encoding="utf-8"))
    changed = _changed(saved, job.options)
    if changed:
        raise ValueError(
            f"{folder.path} holds a run with other options ({', '.join(changed)}): "
            "delete it, or give this sweep another --save_dir"
        )
    return "done" if folder.results.is_file() and folder.report.is_file() else "begun"


def _changed(saved: Mapping[str, Any], asked: Options) -> list[str]:
    """Options that differ, each as "lr: 0.001, now 0.01". A flag that did not exist then had its default."""
    from nets.build import read_length  # slow to import, and not needed where no run is there

    resolved, usual = resolve(asked), _defaults(asked)
    now = flat_options(resolved)
    if saved.get("text_length", now["text_length"]) < now["text_length"]:  # the net may have cut it
        now["text_length"] = read_length(resolved.net, now["text_length"])
    left_open = {"image_size"} if not now["image_size"] else set()  # then the weights say it
    left_open |= {"num_train_iter"} if now["num_train_iter"] < 0 else set()  # then the number of labelled posts does
    names = [name for name in now if name not in ANYWHERE | left_open]
    return [
        f"{name}: {saved.get(name, usual[name])}, now {now[name]}"
        for name in names
        if saved.get(name, usual[name]) != now[name]
    ]


def _defaults(options: Options) -> dict[str, Any]:
    groups = (getattr(options, name) for name in Options.__dataclass_fields__)
    return {name: value for group in groups for name, value in asdict(type(group)()).items()}


def last_words(job: Job) -> str:
    """The last line of a run's log: the sentence for the user where it failed."""
    if not job.log.is_file():
        return "it left no log"
    lines = [line.strip() for line in job.log.read_text(encoding="utf-8", errors="replace").splitlines()]
    return next((line.removeprefix("main.py: ") for line in reversed(lines) if line), "its log is empty")
