"""A run that began with another run's weights, or goes on from its checkpoint, is its own from then on."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.runs import TINY, Done, Forker
from tests.test_main import bits, lines
from training.checkpoint import load_checkpoint, load_weights, save_checkpoint, save_weights

Run = Callable[..., Done]


@pytest.fixture
def run(cache: Path, forker: Forker, tmp_path: Path) -> Run:
    """One run in a process of its own: name and flags; `--resume` alone is given nothing more."""

    def run(name: str, *words: object, kill: tuple[int, signal.Signals] | None = None) -> Done:
        more = [] if words == ("--resume",) else [*TINY, "--cache_dir", cache]
        return forker.run(*more, "--save_dir", tmp_path, "--save_name", name, *words, signal_at=kill)

    return run


def know_best(path: Path, best: float, step: int) -> None:
    """Let the checkpoint at `path` be of a run whose best model was that of `step`."""
    found = load_checkpoint(path)
    assert found is not None
    state = {**found.state, "progress": {**found.state["progress"], "best": best, "best_step": step, "worse": 2}}
    shutil.rmtree(path)
    save_checkpoint(path.parent, found.step, found.net, found.ema, state, found.meta, found.note)


def steps(folder: Path) -> int:
    return json.loads((folder / "results.json").read_text())["steps"]


def test_a_run_begun_with_the_weights_of_another_is_resumed_as_itself(run: Run, finished: Path, tmp_path: Path) -> None:
    begin = ("--load_path", finished)
    assert run("unbroken", *begin).code == 0
    assert bits(tmp_path / "unbroken") != bits(finished)
    # before its first checkpoint there is nothing but the other run's that could be gone on from
    assert run("broken", *begin, kill=(1, signal.SIGKILL)).code == -signal.SIGKILL
    stopped = run("broken", *begin, "--resume", kill=(4, signal.SIGTERM))
    assert "nothing is saved" in stopped.out
    assert stopped.code == 143, stopped.err
    done = run("broken", "--resume")
    assert f"going on after step 5 ({tmp_path / 'broken'}" in done.out
    assert steps(tmp_path / "broken") == 12
    assert bits(tmp_path / "broken") == bits(tmp_path / "unbroken")


def test_a_run_begun_with_a_file_of_weights_is_resumed(run: Run, finished: Path, tmp_path: Path) -> None:
    begin = ("--load_path", finished / "best" / "model.safetensors")
    assert run("run", *begin, kill=(4, signal.SIGTERM)).code == 143
    done = run("run", *begin, "--resume")
    assert done.code == 0, done.err
    assert f"going on after step 5 ({tmp_path / 'run'}" in done.out
    assert steps(tmp_path / "run") == 12


def test_a_run_that_goes_on_from_another_goes_on_from_itself_when_it_was_killed(
    run: Run, finished: Path, tmp_path: Path
) -> None:
    middle = finished / "checkpoints" / "step-00000009"
    assert run("on", "--resume", "--load_path", middle, kill=(9, signal.SIGKILL)).code == -signal.SIGKILL
    (tmp_path / "on" / "options.yaml").rename(tmp_path / "options.yaml")
    again = run("on", "--resume", "--load_path", middle, kill=(10, signal.SIGTERM))  # killed before they were written
    assert f"going on after step 9 ({tmp_path / 'on'}" in again.out
    last = run("on", "--resume")
    assert "going on after step 11" in last.out
    assert bits(tmp_path / "on") == bits(finished)


def test_a_run_with_checkpoints_does_not_go_on_from_others(run: Run, finished: Path, tmp_path: Path) -> None:
    assert run("run", kill=(4, signal.SIGTERM)).code == 143
    before = bits(tmp_path / "run")
    for other in (finished, tmp_path / "run" / "checkpoints" / "step-00000003"):
        said = run("run", "--resume", "--load_path", other).sentence
        assert f"--load_path {other}: --resume goes on from the checkpoints that {tmp_path / 'run'} has" in said
    assert bits(tmp_path / "run") == before


def test_the_best_model_so_far_comes_along(run: Run, finished: Path, tmp_path: Path) -> None:
    first = tmp_path / "first"
    shutil.copytree(finished, first)
    know_best(first / "checkpoints" / "step-00000012", 0.99, 5)
    best = first / "best" / "model.safetensors"
    save_weights(best, load_weights(best), {"step": "5"})
    assert run("on", "--resume", "--load_path", first).code == 0
    results = json.loads((tmp_path / "on" / "results.json").read_text())
    assert (results["best_step"], results["steps"]) == (5, 12)
    assert results["test"] == json.loads((finished / "results.json").read_text())["test"]
    assert [line["step"] for line in lines(tmp_path / "on") if "eval/F1" in line] == [3, 6, 9, 12]


def test_the_options_of_the_run_that_is_gone_on_from_count(
    cache: Path, forker: Forker, finished: Path, tmp_path: Path
) -> None:
    home = ("--save_dir", tmp_path, "--resume", "--save_name")
    for name, path in (("run", finished), ("checkpoint", finished / "checkpoints" / "step-00000009")):
        done = forker.run(*home, name, "--load_path", path)
        assert done.code == 0, done.err
        assert "going on after step" in done.out
        assert bits(tmp_path / name) == bits(finished)
    refused = forker.run(*home, "other", "--load_path", finished, "--selection", "gumbel")
    assert "net: options: selection was soft, now it is gumbel. Give the run" in refused.sentence


@pytest.mark.parametrize("step", [9, 12])
def test_a_best_model_that_is_not_to_be_had_does_not_count(step: int, run: Run, finished: Path, tmp_path: Path) -> None:
    """A later one took its place, or the checkpoint lies by itself."""
    first = tmp_path / "first"
    shutil.copytree(finished, first)
    know_best(first / "checkpoints" / f"step-{step:08d}", 0.99, 5)
    if step == 9:
        shutil.rmtree(first / "best")
    done = run("on", "--resume", "--load_path", first, "--patience", 2)
    assert done.code == 0, done.err
    results = json.loads((tmp_path / "on" / "results.json").read_text())
    assert results["steps"] == 12
    assert results["best_step"] in range(step, 13)
