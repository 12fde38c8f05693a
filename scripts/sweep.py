"""Many runs of main.py, methods x label budgets x seeds: `python scripts/sweep.py --algorithms supervised,scrd …`.

What stands after `--` goes to every run. Each run is forked from this process, which has imported everything, so it
begins at once. Called again, it leaves out what is done and goes on with what was interrupted; SIGTERM or Ctrl-C
stops it with everything saved.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from training.entry import told
from training.forks import Ended, cores, count_gpus, run_forked, speak_into, use_gpu, warm
from training.monitor import clock
from training.signals import StopSignal
from training.sweep import Job, grid_of, last_words, plan, state, values


@dataclass(frozen=True)
class SweepOptions:
    """Many runs of main.py; what stands after -- goes to every one, as in: -- --train_data_dir posts --epoch 4"""

    algorithms: str
    """Algorithms with commas between them; one may bring flags of its own: "supervised,fixmatch --threshold 0.7"."""
    num_labels: Annotated[str, tyro.conf.arg(aliases=["-nl"])] = "600"
    """Numbers of labelled posts."""
    seeds: str = "1,2,3"
    """Seeds."""
    grid: tuple[str, ...] = ()
    """More flags, each with its values: net=image,text,concat lr=1e-4,1e-3. A value with a comma stands in double
    quotes."""
    save_dir: str = "saved_models/sweep"
    """Folder of runs; each has its own in it."""
    workers: int = 0
    """Runs at a time; 0: one a GPU, without GPUs one a core."""
    dry_run: bool = False
    """List the runs and what is left of each to do; run nothing."""

    def __post_init__(self) -> None:
        if self.workers < 0:
            raise ValueError(f"--workers {self.workers} must be 0 or more")


@dataclass(frozen=True)
class Means:
    """What the runs have of the machine."""

    workers: int
    gpus: int
    threads: int  # of a run

    @classmethod
    def of(cls, options: SweepOptions, jobs: Iterable[Job]) -> Means:
        """As asked for, or as many as there are. Raises ValueError for a --gpu that is not the only one a run sees."""
        gpus = count_gpus() if any(job.options.run.gpu >= 0 for job in jobs) else 0
        if gpus and any(job.options.run.gpu > 0 for job in jobs):
            raise ValueError("--gpu: each run of a sweep sees one GPU, number 0; choose with CUDA_VISIBLE_DEVICES")
        workers = options.workers or gpus or cores()
        threads = int(os.environ.get("OMP_NUM_THREADS") or max(1, cores() // workers))
        return cls(workers, gpus, threads)


def execute(job: Job, resumed: bool, slot: int, means: Means) -> int:
    """One run, in a process of its own. Returns main.py's exit code."""
    import torch

    from main import attempt, main

    speak_into(job.log)
    if means.gpus:
        use_gpu(slot, means.gpus)
    torch.set_num_threads(means.threads)
    # `plan` has read a new run's options; reading them again takes longer than a few dozen steps
    return main([*job.argv, "--resume"]) if resumed else attempt(job.options, list(job.argv))


def sweep(jobs: list[Job], means: Means) -> int:
    """Run what is left to do of `jobs`. Returns the exit code: 1 where a run failed, 143 or 130 after a signal."""
    failures: dict[str, str] = {}
    left: list[Job] = []
    begun: set[str] = set()
    for job in jobs:
        try:
            found = state(job)
        except ValueError as error:
            failures[job.name] = str(error)
            continue
        if found == "begun":
            begun.add(job.name)
        if found != "done":
            left.append(job)
    done = len(jobs) - len(left) - len(failures)
    print(f"{len(jobs)} runs: {done} done before, {len(begun)} to go on with, {len(left) - len(begun)} to start; "
          f"{means.workers} at a time, {means.threads} threads each, {means.gpus} GPUs", flush=True)  # fmt: skip

    def work(job: Job, slot: int) -> int:
        return execute(job, job.name in begun, slot, means)

    start = time.perf_counter()
    with StopSignal() as stop:
        for ended, one in enumerate(run_forked(left, work, means.workers, stop), start=1):
            if one.code and not stop.came:
                failures[one.task.name] = f"{last_words(one.task)} (exit code {one.code}, see {one.task.log})"
            remaining = (time.perf_counter() - start) / ended * (len(left) - ended)
            print(f"[{ended}/{len(left)}] {_outcome(one)}; {clock(remaining)} left", flush=True)
        if stop.came:
            print("stopped by a signal; the same command goes on", flush=True)
            return stop.exit_code
    for name, sentence in failures.items():
        print(f"FAILED {name}: {sentence}", file=sys.stderr)
    print(f"{len(jobs) - len(failures)} of {len(jobs)} runs are done, {len(failures)} failed")
    return 1 if failures else 0


def _listed(job: Job) -> str:
    """How far a run is and its name, or why it cannot be run."""
    try:
        return f"{state(job):5} {job.name}"
    except ValueError as error:
        return f"wrong {job.name}: {error}"


def _outcome(one: Ended[Job]) -> str:
    """A run that has ended, in a few words."""
    if one.code:
        return f"{one.task.name}: ended with exit code {one.code} after {one.seconds:.0f} s"
    full = json.loads(one.task.folder.results.read_text(encoding="utf-8"))["test"]["full"]
    return f"{one.task.name}: accuracy {full['accuracy']:.3f}, macro-F1 {full['macro_f1']:.3f}, {one.seconds:.0f} s"


def main(argv: list[str]) -> int:
    """Run the sweep that the command line `argv` asks for; a user's mistake is one sentence and exit code 2."""
    place = argv.index("--") if "--" in argv else len(argv)
    options = tyro.cli(SweepOptions, args=argv[:place], use_underscores=True, prog="sweep.py")
    return told("sweep.py", lambda: run(options, argv[place + 1 :]))


def run(options: SweepOptions, shared: Sequence[str]) -> int:
    """What `main` does with its options, and those of main.py that all runs share. Raises ValueError for a mistake."""
    grid = grid_of(options.grid)
    algorithms, labels, seeds = map(values, (options.algorithms, options.num_labels, options.seeds))
    jobs = plan(algorithms, labels, seeds, grid, options.save_dir, shared)
    if options.dry_run:
        for job in jobs:
            print(_listed(job))
        return 0
    warm()
    return sweep(jobs, Means.of(options, jobs))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
