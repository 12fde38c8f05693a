"""The folder of a run: what lies where, and that only one process at a time writes in it."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class RunFolder:
    """Names of a run's files. Making one touches nothing on the disk."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.options = self.path / "options.yaml"
        self.command = self.path / "command.txt"
        self.split = self.path / "split.json"
        self.metrics = self.path / "metrics.jsonl"
        self.checkpoints = self.path / "checkpoints"
        self.best = self.path / "best" / "model.safetensors"
        self.teacher = self.path / "teacher"
        self.predictions = self.path / "predictions.csv"
        self.results = self.path / "results.json"
        self.report = self.path / "report.html"
        self.lock_file = self.path / ".lock"

    @property
    def started(self) -> bool:
        """Whether a run has written here."""
        return self.metrics.exists() or self.checkpoints.exists() or self.best.exists()

    def clear(self) -> None:
        """Remove what a run writes, and nothing else that may lie here."""
        for path in (self.checkpoints, self.best.parent, self.teacher):
            if path.exists():
                shutil.rmtree(path)
        files = [self.options, self.command, self.split, self.metrics, self.predictions, self.results, self.report]
        for path in [*files, *self.path.glob("events.out.tfevents.*"), *self.path.glob("missing_rate.*")]:
            path.unlink(missing_ok=True)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Make the folder and keep other processes from training in it.

        The system's own lock on `.lock`, which names process and machine: it ends with the process, however that ends,
        so no stale one is left behind. Data loader workers do not inherit it. Raises ValueError where another process
        has it, or where the folder cannot be made or locked.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ValueError(f"cannot make the run's folder {self.path}: {error.strerror}; see --save_dir") from error
        with open(self.lock_file, "a+", encoding="utf-8") as file:
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno not in (errno.EACCES, errno.EAGAIN):
                    raise ValueError(
                        f"cannot lock {self.lock_file}: {error.strerror}; choose a --save_dir on another file system"
                    ) from error
                file.seek(0)
                holder = file.read().strip() or "another process"
                raise ValueError(
                    f"{self.path} is in use by {holder}: wait for it, stop it, or choose another --save_name"
                ) from error
            file.truncate(0)
            file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
            file.flush()
            try:
                yield
            finally:
                file.truncate(0)
