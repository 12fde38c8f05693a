"""What the released SCRD asks of training: an average that begins anew every epoch, its schedule, its flag."""

from __future__ import annotations

import math
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training.toy import build, fingerprint, resumed, signal_at
from training.command_line import load_options, parse, save_options
from training.defaults import resolve
from training.optimisers import Schedule, build_optimiser
from training.options import TrainingOptions
from training.trainer import Trainer


def restarting(trainer: Trainer) -> Trainer:
    """The toy trainer as an algorithm with `restarts_average` has it."""
    trainer.algorithm.restarts_average = True  # type: ignore[misc]
    trainer.ema.rises = False
    return trainer


def test_the_average_begins_anew_with_every_epoch(tmp_path: Path) -> None:
    trainer = restarting(build(tmp_path))
    weight, average = trainer.algorithm.net.head.weight, trainer.ema.net.head.weight  # type: ignore[union-attr]
    inner, expected = trainer.step, torch.zeros(())

    def step(number: int, *views: Any) -> None:
        nonlocal expected
        if number in (0, 10, 20):
            expected = weight.detach().clone()
        inner(number, *views)
        expected = 0.9 * expected + 0.1 * weight.detach()
        torch.testing.assert_close(average, expected)

    trainer.step = step  # type: ignore[method-assign]
    assert trainer.train().steps == 30


@pytest.mark.parametrize("stop", [9, 13])  # at an epoch's end, and within one
def test_a_resumed_run_restarts_the_average_as_the_unbroken_one(tmp_path: Path, stop: int) -> None:
    unbroken = restarting(build(tmp_path / "unbroken"))
    unbroken.train()
    broken = restarting(build(tmp_path / "broken"))
    signal_at(broken, stop, signal.SIGTERM)
    with pytest.raises(SystemExit):
        broken.train()
    again = restarting(resumed(tmp_path / "broken"))
    assert again.progress.step == stop + 1
    again.train()
    assert fingerprint(again) == fingerprint(unbroken)
    usual = build(tmp_path / "usual")
    usual.train()
    assert fingerprint(usual) != fingerprint(unbroken)


def test_released_schedule_by_hand() -> None:
    schedule = Schedule(total=700, warmup=100, course="released")
    assert schedule(0) == 1.0  # no warm-up
    assert schedule(400) == pytest.approx(math.cos(math.pi / 4))
    assert schedule(700) == pytest.approx(0.19509, abs=1e-5)
    assert schedule(700 * 2) == 0.0
    options = TrainingOptions(lr=0.1, optim="SGD", schedule="released")
    assert build_optimiser(torch.nn.Linear(1, 1), options, 700)[1](0) == 1.0
    assert build_optimiser(torch.nn.Linear(1, 1), TrainingOptions(lr=0.1), 700)[1](0) < 0.1


def test_both_ways_to_ask_for_the_released_scrd_are_one(tmp_path: Path) -> None:
    options = parse("--algorithm scrd --scrd_variant released --threshold 0.9".split())
    assert options == parse("--algorithm scrd_released --threshold 0.9".split())
    assert options == parse("--scrd_variant=released --threshold 0.9".split())
    assert options == parse("--scrd-variant released --algorithm scrd_released --threshold 0.9".split())
    assert (options.run.algorithm, options.run.scrd_variant) == ("scrd_released", "released")
    assert resolve(options).net.net == "scrd_released"
    save_options(options, tmp_path / "options.yaml")
    assert load_options(tmp_path / "options.yaml") == options
    assert parse(["--algorithm", "scrd"], under=tmp_path / "options.yaml") == options
    assert parse("--algorithm scrd --scrd_variant reconstructed".split()) == parse([])


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("--algorithm fixmatch --scrd_variant released", ["--scrd_variant released", "here is fixmatch"]),
        ("--algorithm scrd_released --scrd_variant reconstructed", ["give one of the two"]),
        ("--scrd_variant release", ["--scrd_variant", "release", "reconstructed"]),
        ("--algorithm scrd_released --scrd_variant", ["--scrd_variant"]),
        ("--scrd_variant released --plf code", ["--plf is an option of --algorithm scrd", "here is scrd_released"]),
        ("--algorithm", ["--algorithm", "none of that name"]),
    ],
)
def test_contradictions_are_named(capsys: pytest.CaptureFixture[str], line: str, words: list[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        parse(line.split())
    assert stop.value.code == 2
    said = capsys.readouterr().err
    assert all(word in said for word in words), said
