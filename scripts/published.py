"""What the published scripts of the auxiliary-losses system share: flags are read, and main.py runs what they say."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path
from typing import Any, TypeVar

import tyro

import main as house
from training.command_line import Options
from training.entry import told
from training.published_flags import PublishedFlags, PublishedRun

CONFIG = Path(__file__).resolve().parents[1] / "configs" / "auxiliary_losses.yaml"
Flags = TypeVar("Flags", bound=PublishedFlags)


def start(script: str, flags: type[Flags], run_of: Callable[[Flags], PublishedRun], argv: list[str]) -> int:
    """Read the command line `argv` as `flags` and train, or evaluate, the run that it stands for.

    A user's mistake is one sentence on stderr, in the script's own flags, and exit code 2.
    """
    given = tyro.cli(flags, args=argv, use_underscores=True, prog=script)
    try:
        run = run_of(given)
        words = run.argv()
    except ValueError as error:
        print(f"{script}: {error}", file=sys.stderr)
        return 2
    said = StringIO()
    try:
        with redirect_stderr(said):
            options = house.read_options(words, CONFIG, script)
    finally:
        sys.stderr.write(given.in_own_words(said.getvalue()))
    if run.load:
        folder = run.file("net.pth").parent
        return told(script, lambda: _evaluate(run, options), folder, "start it again", given.in_own_words)
    # what is heavy is imported when the options have been read
    return house.attempt(
        options,
        argv,
        after=lambda *finished: _record(run).after(*finished),
        watch=lambda *evaluated: _record(run).watch(*evaluated),
        script=f"scripts/{script}",
        worded=given.in_own_words,
    )


def _evaluate(run: PublishedRun, options: Options) -> int:
    """Evaluate the saved weights of `run`, which `options` stand for."""
    print(_record(run).evaluate_saved(options))
    return 0


def _record(run: PublishedRun) -> Any:
    from training.published_runs import PublishedRecord

    return PublishedRecord(run)
