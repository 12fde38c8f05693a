"""Runs of main.py on a tiny synthetic world: here, or in processes of their own that may be killed."""

from __future__ import annotations

import contextlib
import io
import json
import os
import resource
import subprocess
import sys
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent

TINY = (
    "--world_posts 300 --world_size 32 --num_labels 60 --epoch 4 --num_train_iter 3 --batch_size 4 --uratio 2 "
    "--text_length 32 --num_workers 0 --num_log_iter 1 --threshold 0.4"
).split()
"""A world and a course of training that take a second or two."""


@dataclass(frozen=True)
class Done:
    """What a run said and how it ended."""

    code: int
    out: str
    err: str

    @property
    def sentence(self) -> str:
        """The one sentence on stderr; fails where there is more, or less, or no exit code for a mistake."""
        assert self.code == 2, f"exit code {self.code}: {self.out}{self.err}"
        assert "Traceback" not in self.out + self.err
        said = [line for line in self.err.splitlines() if not line.startswith("note: ")]
        box = said[0].strip(" ╭─╮") == "Value error"
        assert box or len(said) == 1, self.err
        assert box or said[0].startswith("main.py: "), self.err
        return " ".join(" ".join(said).replace("│", " ").split())


def run_main(*words: object) -> Done:
    """main.py in this process."""
    from main import main

    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), warnings.catch_warnings():
        try:
            code = main([str(word) for word in words])
        except SystemExit as stop:
            code = int(stop.code or 0)
    return Done(code, out.getvalue(), err.getvalue())


class Forker:
    """A process that has imported everything, and forks one that is `python main.py` for each job.

    So a run can be killed, its disk be full, or several be joined as torchrun joins them, and none waits for imports.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._jobs = 0
        command = [sys.executable, "-c", "from tests.runs import serve; serve()"]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            command, cwd=ROOT, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def close(self) -> None:
        """End it."""
        self._process.communicate()

    def run(
        self,
        *words: object,
        signal_at: tuple[int, int] | None = None,
        limit: int | None = None,
        module: str = "main",
    ) -> Done:
        """One run. `signal_at`: after which step which signal comes; `limit`: bytes that a file may grow to;
        `module`: whose `main` it is."""
        return self.together([{"words": words, "signal_at": signal_at, "limit": limit, "module": module}])[0]

    def together(self, jobs: list[dict[str, Any]]) -> list[Done]:
        """Runs at the same time; a job has `words` and may have `environment`, `signal_at`, `limit` and `module`."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        said = []
        for job in jobs:
            self._jobs += 1
            said.append(self.folder / f"said-{self._jobs}")
            job |= {"words": [str(word) for word in job["words"]], "said": str(said[-1])}
        self._process.stdin.write(json.dumps(jobs) + "\n")
        self._process.stdin.flush()
        codes = json.loads(self._process.stdout.readline())
        texts = [[Path(f"{path}.{stream}").read_text() for stream in ("out", "err")] for path in said]
        return [Done(code, *text) for code, text in zip(codes, texts, strict=True)]


def serve() -> None:
    """What the forker's process does: a line of jobs in, a line of their exit codes out, until there are no more."""
    import main  # noqa: F401
    from training.forks import warm

    warm()
    for line in sys.stdin:
        children = [_fork(job) for job in json.loads(line)]
        codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
        print(json.dumps(codes), flush=True)


def _fork(job: Mapping[str, Any]) -> int:
    child = os.fork()
    if child:
        return child
    for number, stream in enumerate(("out", "err"), start=1):
        file = os.open(f"{job['said']}.{stream}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, number)
    os.environ |= job.get("environment") or {}
    if job.get("signal_at"):
        _signal_at(*job["signal_at"])
    if job.get("limit"):
        resource.setrlimit(resource.RLIMIT_FSIZE, (job["limit"], job["limit"]))
    raise SystemExit(import_module(job.get("module", "main")).main(job["words"]))


def _signal_at(step: int, number: int) -> None:
    """Let signal `number` come to this process at the end of step `step`."""
    from training.trainer import Trainer

    inner = Trainer.step

    def and_signal(self: Trainer, at: int, labelled: Any, unlabelled: Any) -> None:
        inner(self, at, labelled, unlabelled)
        if at == step:
            os.kill(os.getpid(), number)

    Trainer.step = and_signal  # type: ignore[method-assign]
