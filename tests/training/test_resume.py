"""A run that was killed, at whatever moment and however often, ends bit for bit where the unbroken one ends."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import numpy as np
import pytest

from tests.training.toy import META, ToyLoader, build, exit_code, fingerprint, processes_of, run
from training.checkpoint import CheckpointError, checkpoints, load_checkpoint


@pytest.mark.parametrize("optim", ["AdamW", "SGD"])
def test_three_kills_do_not_change_a_bit(tmp_path: Path, optim: str) -> None:
    unbroken = build(tmp_path / "unbroken", optim=optim)
    unbroken.train()
    path = tmp_path / "broken"
    for kill_step in (12, 17, 26):  # between the checkpoints of the epochs' ends, 10 and 20
        assert exit_code(run, path, optim, 5.0, kill_step, signal.SIGKILL) == -signal.SIGKILL
    assert exit_code(run, path, optim) == 0
    assert path.with_suffix(".done").read_text() == fingerprint(unbroken)


def test_kills_at_any_moment_while_every_step_is_saved(tmp_path: Path) -> None:
    unbroken = build(tmp_path / "unbroken")
    unbroken.train()
    path, draws = tmp_path / "broken", np.random.default_rng(7)
    for _ in range(3):
        before = _newest(path)
        process = processes_of(run, [(path, "AdamW", 0.0)])[0]
        while _newest(path) < min(28, before + 4) and process.is_alive():
            time.sleep(0.002)
        time.sleep(draws.uniform(0, 0.03))
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL
    assert exit_code(run, path, "AdamW", 0.0) == 0
    assert path.with_suffix(".done").read_text() == fingerprint(unbroken)
    assert len(checkpoints(path / "checkpoints")) == 2
    assert not list((path / "checkpoints").glob(".tmp-*"))


def _newest(path: Path) -> int:
    found = checkpoints(path / "checkpoints")
    return int(found[-1].name[5:]) if found else 0


def test_sigterm_saves_at_that_very_step_and_exits_143(tmp_path: Path) -> None:
    unbroken = build(tmp_path / "unbroken")
    unbroken.train()
    path = tmp_path / "stopped"
    assert exit_code(run, path, "AdamW", 5.0, 12, signal.SIGTERM) == 143
    assert _newest(path) == 13
    assert exit_code(run, path, "AdamW", 5.0, 20, signal.SIGINT) == 130
    assert _newest(path) == 21
    # a step after which an evaluation is due: the resumed run makes it
    assert exit_code(run, path, "AdamW", 5.0, 29, signal.SIGTERM) == 143
    assert not any('"step": 30, "eval' in line for line in (path / "metrics.jsonl").read_text().splitlines())
    assert exit_code(run, path) == 0
    assert path.with_suffix(".done").read_text() == fingerprint(unbroken)


def test_a_resumed_run_reads_the_posts_that_come_next(tmp_path: Path) -> None:
    build(tmp_path, epoch=1).train()
    loader = ToyLoader()
    trainer = build(tmp_path, loader, epoch=2)
    checkpoint = load_checkpoint(tmp_path, META)
    assert checkpoint is not None
    trainer.resume(checkpoint)
    trainer.train()
    assert loader.steps == list(range(10, 20))


def test_best_figure_and_patience_survive(tmp_path: Path) -> None:
    trainer = build(tmp_path, epoch=1, patience=2)
    trainer.train()
    best, step = trainer.progress.best, trainer.progress.best_step
    again = build(tmp_path, epoch=9, patience=2)
    checkpoint = load_checkpoint(tmp_path, META)
    assert checkpoint is not None
    again.resume(checkpoint)
    assert (again.progress.best, again.progress.best_step) == (best, step)
    again.evaluate = lambda net, step: {"eval/F1": best}  # never better: equal is not
    summary = again.train()
    assert summary.stopped_early
    assert summary.steps == 30  # evaluations after 20 and 30 steps
    assert summary.best_step == step
    stopped = build(tmp_path, loader := ToyLoader(), epoch=9, patience=2)
    checkpoint = load_checkpoint(tmp_path, META)
    assert checkpoint is not None
    stopped.resume(checkpoint)
    assert stopped.train().steps == 30
    assert loader.steps == []  # nothing goes on where patience was over


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"net": "other"}, "net was toy, now it is other"),
        ({"split": "xyz"}, "split was abc, now it is xyz"),
        ({"classes": ["a", "b", "c"]}, "classes was ['negative', 'neutral', 'positive'], now it is ['a', 'b', 'c']"),
        ({"num_labels": 300}, "num_labels was 600, now it is 300"),
    ],
)
def test_another_run_is_refused_by_name(tmp_path: Path, change: dict[str, object], named: str) -> None:
    build(tmp_path, epoch=1, num_train_iter=1).train()
    with pytest.raises(CheckpointError, match="cannot go on from") as caught:
        load_checkpoint(tmp_path, {**META, **change})
    assert named in str(caught.value)
    assert str(caught.value).count(", now it is") == 1


def test_another_optimiser_is_refused(tmp_path: Path) -> None:
    build(tmp_path, epoch=1, num_train_iter=1).train()
    checkpoint = load_checkpoint(tmp_path, META)
    assert checkpoint is not None
    with pytest.raises(CheckpointError, match="--optim was AdamW, now it is SGD"):
        build(tmp_path, epoch=1, optim="SGD").resume(checkpoint)
