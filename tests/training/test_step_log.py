"""The step log: what an entry holds, and what does not count in it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from training import step_log
from training.distributed import ALONE
from training.scalars import SkipCounter
from training.step_log import Diverged, StepLog, timed

CPU = torch.device("cpu")


class Shown:
    """A monitor that keeps what it is told."""

    def __init__(self) -> None:
        self.figures: list[tuple[int, dict[str, float]]] = []
        self.arrays: list[dict[str, np.ndarray]] = []

    def log(self, step: int, figures: dict[str, float]) -> None:
        self.figures.append((step, figures))

    def histograms(self, step: int, arrays: dict[str, np.ndarray]) -> None:
        self.arrays.append(arrays)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A clock that stands still until a test sets it."""
    time = SimpleNamespace(now=100.0)
    monkeypatch.setattr(step_log, "time", SimpleNamespace(perf_counter=lambda: time.now))
    return time


def entry_log(max_skipped: int = 3) -> tuple[Any, Shown]:
    shown = Shown()
    return StepLog(shown, SkipCounter(max_skipped, CPU), CPU, ALONE), shown  # type: ignore[arg-type]


def add(log: StepLog, step: int, loss: float, skipped: float = 0.0) -> None:
    kept = {"confidence": torch.tensor([0.1, float(step)]), "mask": torch.ones(2)}
    log.add({"train/total_loss": torch.tensor(loss)}, kept, torch.tensor(skipped), step, 10)


def test_an_entry_by_hand(clock: SimpleNamespace) -> None:
    log, shown = entry_log()
    log.start()

    def slow(loss: float) -> float:
        clock.now += 0.25  # the loader's
        return loss

    for step, loss in enumerate(log.timed(slow(loss) for loss in (1.0, 2.0, 6.0))):
        add(log, step, loss)
        clock.now += 0.75  # the step's
    with log.paused():
        clock.now += 1000
    log.send(3, 0.5)
    add(log, 3, 9.0)
    clock.now += 2
    log.send(4, 0.25)
    (first, figures), (second, later) = shown.figures
    assert (first, second) == (3, 4)
    assert figures == {
        "train/total_loss": 3.0,
        "train/posts_per_second": 10.0,
        "train/data_wait": 0.25,
        "lr": 0.5,
        "train/skipped": 0,
    }
    assert (later["train/total_loss"], later["train/posts_per_second"], later["train/data_wait"]) == (9.0, 5.0, 0.0)
    assert list(shown.arrays[0]) == ["train/confidence"], "how many were accepted is a scalar already"
    np.testing.assert_allclose(shown.arrays[0]["train/confidence"], [0.1, 2.0], rtol=1e-6)


def test_a_skipped_step_does_not_count_and_too_many_are_told() -> None:
    log, shown = entry_log(max_skipped=2)
    add(log, 0, 1.0)
    add(log, 1, float("nan"), skipped=1.0)
    log.send(2, 0.1)
    assert shown.figures[0][1]["train/total_loss"] == 1.0
    assert shown.figures[0][1]["train/skipped"] == 1
    add(log, 2, float("nan"), skipped=1.0)
    with pytest.raises(Diverged, match="stopped at step 2: 2 steps in a row"):
        log.send(3, 0.1)
    assert shown.figures[1][1]["train/skipped"] == 2, "the entry itself is shown before"


def test_the_batches_pass_unchanged() -> None:
    waits: list[float] = []
    assert list(timed([1, 2, 3], waits.append)) == [1, 2, 3]
    assert len(waits) == 4 and min(waits) >= 0, "the end is waited for as well"
