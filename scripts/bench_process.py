"""Programs run apart by the bench: how long they took, how much memory, and what they leave when they are killed."""

from __future__ import annotations

import hashlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile

ROOT = Path(__file__).resolve().parents[1]
INTERVAL = 0.05
"""Seconds between two looks at a program that runs."""
KIBIBYTE = 1024


@dataclass(frozen=True)
class Cost:
    """What a program took."""

    seconds: float
    cpu_seconds: float
    peak_bytes: int
    """Largest resident memory, seen every INTERVAL; 0 where the system is not Linux. Pages of mapped files, which the
    system takes back when it needs them, are counted."""
    own_peak_bytes: int
    """The same without what is a file's."""


class Killed(Exception):
    """The program was killed, as was wanted."""


def run_apart(arguments: Sequence[str], until: Callable[[float], bool] = lambda spent: False) -> Cost:
    """Run `python ARGUMENTS` in the project's folder. It is killed (SIGKILL) as soon as `until` says so, which is asked
    every INTERVAL with the processor's seconds that it has spent.

    Raises Killed then, and RuntimeError with the last line that it said where it failed.
    """
    begun = time.perf_counter()
    with TemporaryFile() as said:
        command = [sys.executable, *arguments]
        process = subprocess.Popen(command, cwd=ROOT, stdout=said, stderr=subprocess.STDOUT)
        peak, own_peak, killed = 0, 0, False
        while True:
            done, status, usage = os.wait4(process.pid, os.WNOHANG)
            if done:
                break
            # Not usage.ru_maxrss: a process inherits that of the larger one which began it.
            peak, own_peak = max(peak, _memory(process.pid, "VmHWM")), max(own_peak, _memory(process.pid, "RssAnon"))
            if not killed and until(_spent(process.pid, begun)):
                os.kill(process.pid, signal.SIGKILL)
                killed = True
            time.sleep(INTERVAL)
        seconds = time.perf_counter() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
        if killed and process.returncode == -signal.SIGKILL:
            raise Killed
        if process.returncode:
            said.seek(0)
            lines = said.read().decode(errors="replace").splitlines() or [""]
            raise RuntimeError(f"{arguments[0]} ended with {process.returncode}: {lines[-1]}")
    return Cost(seconds, usage.ru_utime + usage.ru_stime, peak, own_peak)


def _spent(process: int, begun: float) -> float:
    """Seconds of the processor that a process has spent, by Linux; elsewhere those since it was begun."""
    try:
        after_name = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return time.perf_counter() - begun
    return (int(after_name[11]) + int(after_name[12])) / os.sysconf("SC_CLK_TCK")


def _memory(process: int, what: str) -> int:
    """Bytes of memory by their name in Linux's /proc; 0 where there is no such figure."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0
    found = re.search(rf"^{what}:\s*(\d+) kB", status, re.MULTILINE)
    return int(found[1]) * KIBIBYTE if found else 0


def kill_at(arguments: Sequence[str], moment: float, has_begun: Callable[[], bool]) -> None:
    """Run a program and kill it when it has spent `moment` seconds and has begun to write.

    Raises RuntimeError where it was done before.
    """
    try:
        run_apart(arguments, lambda spent: spent >= moment and has_begun())
    except Killed:
        return
    raise RuntimeError(f"{arguments[0]} was done before it could be killed")


def digests(folder: Path, leave_out: Sequence[str] = ()) -> dict[str, str]:
    """sha256 of every file below the folder, by path; what lies in the folders named `leave_out` is not looked at."""
    found = {}
    for file in sorted(folder.rglob("*")):
        path = file.relative_to(folder)
        if file.is_file() and path.parts[0] not in leave_out:
            with file.open("rb") as opened:
                found[path.as_posix()] = hashlib.file_digest(opened, "sha256").hexdigest()
    return found


def size_of(folder: Path) -> int:
    """Bytes of all files below the folder."""
    return sum(os.path.getsize(os.path.join(place, name)) for place, _, names in os.walk(folder) for name in names)
