"""What the published scripts of the auxiliary-losses system share: flags are read, and main.py runs what they say."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import tyro

import main as house
from training.published_flags import PublishedRun

CONFIG = Path(__file__).resolve().parents[1] / "configs" / "auxiliary_losses.yaml"
Flags = TypeVar("Flags")


def start(script: str, flags: type[Flags], run_of: Callable[[Flags], PublishedRun], argv: list[str]) -> int:
    """Read the command line `argv` as `flags` and train, or evaluate, the run that it stands for.

    A user's mistake is one sentence on stderr and exit code 2.
    """
    given = tyro.cli(flags, args=argv, use_underscores=True, prog=script)
    try:
        run = run_of(given)
        words = run.argv()
    except ValueError as error:
        print(f"{script}: {error}", file=sys.stderr)
        return 2
    if run.load:
        return house.told(script, lambda: _evaluate(run, words), run.file("net.pth").parent, "start it again")
    # what is heavy is imported when the options have been read
    return house.main(
        words,
        CONFIG,
        after=lambda *finished: _record(run).after(*finished),
        watch=lambda *evaluated: _record(run).watch(*evaluated),
    )


def _evaluate(run: PublishedRun, words: list[str]) -> int:
    """Evaluate the saved weights of `run`, which is `words` of main.py."""
    print(_record(run).evaluate_saved(house.read_options(words, CONFIG)))
    return 0


def _record(run: PublishedRun) -> Any:
    from training.published_runs import PublishedRecord

    return PublishedRecord(run)
