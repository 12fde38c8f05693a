"""How every program of the house begins and ends: what a user got wrong is one sentence, and exit code 2."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import tyro

from datasets.folders import DISK_ERRORS


def start(options: type, work: Callable[[Any], object], *config: Any) -> NoReturn:
    """Read the command line as `options`, do the `work` that they ask for, and end the program. `config` is tyro's."""
    script = Path(sys.argv[0]).name

    def read_and_work() -> int:
        work(tyro.cli(options, prog=script, config=config, use_underscores=True))
        return 0

    raise SystemExit(told(script, read_and_work))


def told(
    script: str,
    work: Callable[[], int],
    folder: Path | None = None,
    then: str = "start it again",
    worded: Callable[[str], str] = str,
) -> int:
    """The exit code of `work`, whose warnings are printed as notes.

    A user's mistake, or what the disk has against writing, is one sentence on stderr and exit code 2; of the disk's,
    `folder` is named where the error names no file, and what to do `then`. `worded` says the sentence in the flags of
    the script.
    """
    warnings.simplefilter("default", UserWarning)
    warnings.showwarning = lambda message, *_: print(f"note: {worded(str(message))}", file=sys.stderr)
    try:
        return work()
    except ValueError as error:
        print(f"{script}: {worded(str(error))}", file=sys.stderr)
    except OSError as error:
        if error.errno not in DISK_ERRORS:
            raise
        place = error.filename or folder or "the disk"
        print(f"{script}: {place}: {error.strerror}; see to it and {then}", file=sys.stderr)
    return 2
