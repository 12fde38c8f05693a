"""Train a model of a post's sentiment, resume, or evaluate: options → posts → net → algorithm → trainer."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Mapping
from contextlib import nullcontext, redirect_stdout
from functools import partial
from pathlib import Path
from typing import Any

from training.command_line import Options, parse
from training.entry import told

After = Callable[[Any, Any, Any], str]
"""What is made of a finished run: from its Assembly, its RunFolder and its answers for the test posts to what is
printed."""
Watch = Callable[[Any, Any, int], Mapping[str, float]]
"""More figures of each evaluation, see training.session."""


def read_options(argv: list[str], preset: Path | None = None, script: str = "main.py") -> Options:
    """The options of `argv`; beneath them those of the file `preset`, or, for a run that is resumed or evaluated again,
    those it was started with: its own, or, where it has none yet, those of the run that --load_path names. A mistake is
    told as one of `script`."""
    name = Path(script).name
    options = parse(argv, under=preset, prog=name)
    if not (options.run.resume or options.run.eval_only):
        return options
    home = ["--save_dir", options.run.save_dir, "--save_name", options.run.save_name]
    folders = [Path(options.run.save_dir) / options.run.save_name]
    if options.run.resume and options.run.load_path:
        given = Path(options.run.load_path).resolve()
        folders += [given, given.parent.parent]  # a run's folder, or one of its checkpoints
    saved = next((file for folder in folders if (file := folder / "options.yaml").is_file()), None)
    return parse([*argv, *home], under=saved, prog=name) if saved else options


def run(options: Options, command: str, after: After | None = None, watch: Watch | None = None) -> int:
    """One run, which `command` asks for; `watch` adds figures to its evaluations, `after` reads the finished one and
    tells of it.

    Raises ValueError, with one sentence for the user, where something cannot be done.
    """
    import torch

    from training.assembly import assemble, choose_device
    from training.distributed import start_processes, stop_processes
    from training.outcome import conclude, describe
    from training.run_folder import RunFolder
    from training.session import check_same, prepare_folder, train

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
                check_same(assembly, folder)
            summary = None if options.run.eval_only else train(assembly, folder, command, watch)
            if processes.first:
                results, answers = conclude(assembly, folder, summary, command)
                print(describe(results, folder))
                if after is not None:
                    print(after(assembly, folder, answers))
    finally:
        stop_processes()
    return 0


def main(argv: list[str]) -> int:
    """Run the command line `argv`; a user's mistake is one sentence on stderr and exit code 2."""
    return attempt(read_options(argv), argv)


def attempt(
    options: Options,
    argv: list[str],
    after: After | None = None,
    watch: Watch | None = None,
    script: str = "main.py",
    worded: Callable[[str], str] = str,
) -> int:
    """`main` for options that were read already from the command line `argv` of `script`, a path from the root: both
    are the command that the run keeps.

    `watch` adds figures to every evaluation; `after` reads the finished run and tells of it. Sentences for the user are
    `worded` in the script's own flags.
    """
    folder = Path(options.run.save_dir) / options.run.save_name
    command = shlex.join(["python", script, *argv])
    work = partial(run, options, command, after, watch)
    return told(Path(script).name, work, folder, "go on with --resume", worded)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
