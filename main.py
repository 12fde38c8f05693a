"""Train a model of a post's sentiment, resume, or evaluate: options → posts → net → algorithm → trainer."""

from __future__ import annotations

import shlex
import sys
import warnings
from collections.abc import Callable, Mapping
from contextlib import nullcontext, redirect_stdout
from pathlib import Path
from typing import Any

from datasets.folders import DISK_ERRORS
from training.command_line import Options, parse

After = Callable[[Any, Any, Any], str]
"""What is made of a finished run: from its Assembly, its RunFolder and its answers for the test posts to what is
printed."""
Watch = Callable[[Any, Any, int], Mapping[str, float]]
"""More figures of each evaluation, see training.session."""


def read_options(argv: list[str], preset: Path | None = None, script: str = "main.py") -> Options:
    """The options of `argv`; beneath them those of the file `preset`, or, for a run that is resumed or evaluated again,
    those it was started with. A mistake is told as one of `script`."""
    options = parse(argv, under=preset, prog=script)
    saved = Path(options.run.save_dir) / options.run.save_name / "options.yaml"
    again = options.run.resume or options.run.eval_only
    return parse(argv, under=saved, prog=script) if again and saved.is_file() else options


def run(options: Options, argv: list[str], after: After | None = None, watch: Watch | None = None) -> int:
    """One run; `watch` adds figures to its evaluations, `after` reads the finished one and tells of it.

    Raises ValueError, with one sentence for the user, where something cannot be done.
    """
    import torch

    from training.assembly import assemble, choose_device
    from training.distributed import start_processes, stop_processes
    from training.outcome import conclude, describe
    from training.run_folder import RunFolder
    from training.session import check_split, prepare_folder, train

    folder = RunFolder(Path(options.run.save_dir) / options.run.save_name)
    processes = start_processes(options.run.gpu >= 0 and torch.cuda.is_available())
    try:
        device = choose_device(options, processes.local_rank, print if processes.first else lambda _: None)
        spoken = nullcontext() if processes.first else redirect_stdout(None)
        with spoken, prepare_folder(folder, options, processes):
            if options.run.deterministic:
                torch.use_deterministic_algorithms(True)
            assembly = assemble(options, device, processes)
            if options.run.eval_only:
                check_split(assembly, folder)
            command = shlex.join(["python", "main.py", *argv])
            summary = None if options.run.eval_only else train(assembly, folder, command, watch)
            if processes.first:
                results, answers = conclude(assembly, folder, summary, command)
                print(describe(results, folder))
                if after is not None:
                    print(after(assembly, folder, answers))
    finally:
        stop_processes()
    return 0


def main(argv: list[str], preset: Path | None = None, after: After | None = None, watch: Watch | None = None) -> int:
    """Run the command line `argv`; a user's mistake is one sentence on stderr and exit code 2.

    `preset` is a file of options that the command line wins over; `watch` adds figures to every evaluation; `after`
    reads the finished run and tells of it.
    """
    return attempt(read_options(argv, preset), argv, after, watch)


def attempt(
    options: Options,
    argv: list[str],
    after: After | None = None,
    watch: Watch | None = None,
    script: str = "main.py",
    worded: Callable[[str], str] = str,
) -> int:
    """`main` for options that were read already from the command line `argv`, of `script`, whose sentences for the user
    are `worded` in its own flags."""
    warnings.simplefilter("default", UserWarning)
    warnings.showwarning = lambda message, *_: print(f"note: {message}", file=sys.stderr)
    folder = Path(options.run.save_dir) / options.run.save_name
    return told(script, lambda: run(options, argv, after, watch), folder, "go on with --resume", worded)


def told(script: str, work: Callable[[], int], folder: Path, then: str, worded: Callable[[str], str] = str) -> int:
    """The exit code of `work`. A user's mistake, or what the disk has against writing, is one sentence on stderr and
    exit code 2; of the disk's, `folder` is named where the error names no file, and what to do `then`. `worded` says
    the sentence in the flags of the script."""
    try:
        return work()
    except ValueError as error:
        print(f"{script}: {worded(str(error))}", file=sys.stderr)
    except OSError as error:
        if error.errno not in DISK_ERRORS:
            raise
        print(f"{script}: {error.filename or folder}: {error.strerror}; see to it and {then}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
