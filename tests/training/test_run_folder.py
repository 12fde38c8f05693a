"""One process in one run folder."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from tests.training.toy import exit_code, processes_of
from training.run_folder import RunFolder


def hold(path: Path) -> None:
    with RunFolder(path).lock():
        (path / "held").touch()
        time.sleep(60)


def try_to_lock(path: Path) -> None:
    """Exit 0 where the folder is free, 3 where it is refused."""
    try:
        with RunFolder(path).lock():
            pass
    except ValueError as error:
        (path / "said").write_text(str(error))
        raise SystemExit(3) from error


def test_a_second_process_is_refused_until_the_first_is_gone(tmp_path: Path) -> None:
    first = processes_of(hold, [(tmp_path,)])[0]
    while not (tmp_path / "held").exists():
        time.sleep(0.01)
    assert exit_code(try_to_lock, tmp_path) == 3
    assert f"in use by process {first.pid} on " in (tmp_path / "said").read_text()
    first.kill()
    first.join()
    assert first.exitcode == -signal.SIGKILL
    with RunFolder(tmp_path).lock():  # the lock of a dead process holds nobody up
        assert (tmp_path / ".lock").read_text().startswith("process ")


def test_clear_removes_what_a_run_writes_and_nothing_else(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    assert not folder.started
    (folder.checkpoints / "step-00000001").mkdir(parents=True)
    folder.best.parent.mkdir()
    for path in (
        folder.metrics,
        folder.best,
        folder.options,
        folder.path / "events.out.tfevents.1.a",
        folder.report,
        folder.path / "missing_rate.csv",
    ):
        path.touch()
    (folder.path / "notes.txt").touch()
    assert folder.started
    folder.clear()
    assert not folder.started
    assert [path.name for path in folder.path.iterdir()] == ["notes.txt"]


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="cannot make"), RunFolder(tmp_path / "file" / "run").lock():
        pass
