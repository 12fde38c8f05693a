"""A run that was killed, at whatever moment and however often, ends bit for bit where the unbroken one ends."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.training.toy import META, ToyLoader, build, exit_code, fingerprint, processes_of, resumed, run, signal_at
from training.checkpoint import CheckpointError, checkpoints, load_checkpoint


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """As in the processes that are killed (toy.run): on another number of threads sums differ in their last bit."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(("optim", "kill_steps"), [("AdamW", (12, 17, 26)), ("SGD", (14,))])
def test_kills_do_not_change_a_bit(tmp_path: Path, optim: str, kill_steps: tuple[int, ...]) -> None:
    unbroken = build(tmp_path / "unbroken", optim=optim)
    unbroken.train()
    path = tmp_path / "broken"
    for kill_step in kill_steps:  # between the checkpoints of the epochs' ends, 10 and 20
        assert exit_code(run, path, optim, 5.0, kill_step, signal.SIGKILL) == -signal.SIGKILL
    trainer = resumed(path, optim=optim)
    assert trainer.progress.step == kill_steps[-1] // 10 * 10
    trainer.train()
    assert fingerprint(trainer) == fingerprint(unbroken)


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
    trainer = resumed(path, save_minutes=0.0)
    assert 0 < trainer.progress.step < 30
    trainer.train()
    assert fingerprint(trainer) == fingerprint(unbroken)
    assert len(checkpoints(path / "checkpoints")) == 2
    assert not list((path / "checkpoints").glob(".tmp-*"))


def _newest(path: Path) -> int:
    found = checkpoints(path / "checkpoints")
    return int(found[-1].name[5:]) if found else 0


def test_a_signal_saves_at_that_very_step_and_tells_it_by_the_exit_code(tmp_path: Path) -> None:
    unbroken = build(tmp_path / "unbroken")
    unbroken.train()
    path = tmp_path / "stopped"
    assert exit_code(run, path, "AdamW", 5.0, 12, signal.SIGTERM) == 143
    assert _newest(path) == 13
    # the last one is a step after which an evaluation is due: it is left to the resumed run, which makes it
    for step, number in ((20, signal.SIGINT), (29, signal.SIGTERM)):
        trainer = resumed(path)
        signal_at(trainer, step, number)
        handlers = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
        with pytest.raises(SystemExit) as caught:
            trainer.train()
        assert caught.value.code == 128 + number
        assert _newest(path) == step + 1
        assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == handlers
    assert _evaluated(path) == [10, 20]
    trainer = resumed(path)
    trainer.train()
    assert _evaluated(path) == [10, 20, 30]
    assert fingerprint(trainer) == fingerprint(unbroken)


def _evaluated(path: Path) -> list[int]:
    lines = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    return [line["step"] for line in lines if "eval/F1" in line]


def test_a_resumed_run_reads_the_posts_that_come_next(tmp_path: Path) -> None:
    build(tmp_path, epoch=1).train()
    loader = ToyLoader()
    resumed(tmp_path, loader, epoch=2).train()
    assert loader.steps == list(range(10, 20))


def test_a_finished_run_that_is_resumed_is_evaluated_once_more_at_most(tmp_path: Path) -> None:
    """A signal in the last step is obeyed before the evaluation, which the next run makes up for."""
    trainer = build(tmp_path, epoch=1)
    trainer.evaluate = lambda net, step: pytest.fail("the signal comes first")
    step = trainer.step

    def stopped(number: int, *batches: Any) -> None:
        step(number, *batches)
        trainer.stop.number = signal.SIGTERM if number == 9 else None

    trainer.step = stopped  # type: ignore[method-assign]
    with pytest.raises(SystemExit):
        trainer.train()
    for _ in range(3):
        resumed(tmp_path, epoch=1).train()
    assert _evaluated(tmp_path) == [10]


def test_best_figure_and_patience_survive(tmp_path: Path) -> None:
    trainer = build(tmp_path, epoch=1, patience=2)
    trainer.train()
    best, step = trainer.progress.best, trainer.progress.best_step
    again = resumed(tmp_path, epoch=9, patience=2)
    assert (again.progress.best, again.progress.best_step) == (best, step)
    again.evaluate = lambda net, step: {"eval/F1": best}  # never better: equal is not
    summary = again.train()
    assert summary.stopped_early
    assert summary.steps == 30  # evaluations after 20 and 30 steps
    assert summary.best_step == step
    stopped = resumed(tmp_path, loader := ToyLoader(), epoch=9, patience=2)
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
    with pytest.raises(CheckpointError, match="--optim was AdamW, now it is SGD"):
        resumed(tmp_path, optim="SGD")
