"""A sweep as its user sees it: runs as main.py makes them, failures told, what was interrupted gone on with."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import main as house
from scripts import sweep as module
from scripts.sweep import Means, main
from tests.runs import ROOT, TINY, Forker
from training.sweep import plan

ALONE = [word for word in TINY if word not in ("--num_labels", "60", "--threshold", "0.4")]


def words_of(folder: Path, cache: Path, algorithms: str = "supervised,fixmatch --threshold 0.4") -> list[str]:
    swept = f"--num_labels 60 --seeds 1 --workers 2 --save_dir {folder}".split()
    return ["--algorithms", algorithms, *swept, "--", *ALONE, "--cache_dir", str(cache)]


def test_a_sweep(tmp_path: Path, cache: Path, forker: Forker) -> None:
    """One run fails at once. The other gets a signal, and so ends as when the machine stops; the same sweep once more
    goes on with it, to the very bits of a run of main.py that nothing stopped."""
    words = words_of(tmp_path, cache, "fixmatch --threshold 0.4,scrd --net concat")
    broken = forker.run(*words, module="scripts.sweep", signal_at=(7, signal.SIGTERM))
    assert broken.code == 1
    assert "2 runs: 0 done before, 0 to go on with, 2 to start; 2 at a time" in broken.out
    assert re.search(r"\[2/2\] .*; 0:00:00 left\n0 of 2 runs are done, 2 failed\n", broken.out)
    assert "FAILED scrd-net_concat-n60-seed1: --algorithm scrd learns with --net scrd" in broken.err
    assert "stopped by a signal after step 8, saved: go on with --resume (exit code 143" in broken.err

    again = forker.run(*words, module="scripts.sweep")
    assert again.code == 1
    assert "0 done before, 1 to go on with, 1 to start" in again.out
    swept, alone = tmp_path / "fixmatch-threshold_0.4-n60-seed1", tmp_path / "alone" / "main"
    assert "validation after 12 steps" in (swept / "log.txt").read_text()
    assert forker.run(*TINY, "--algorithm", "fixmatch", "--cache_dir", cache, "--save_dir", alone.parent).code == 0
    assert (swept / "predictions.csv").read_bytes() == (alone / "predictions.csv").read_bytes()
    ours, theirs = (load_file(path / "best" / "model.safetensors") for path in (swept, alone))
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)
    results = [json.loads((path / "results.json").read_text()) for path in (swept, alone)]
    assert 0.9 < results[0]["peak_memory_gib"] / results[1]["peak_memory_gib"] < 1.1
    assert 0 < results[0]["teaching"]["accepted"] <= 1
    assert results[0]["teaching"] == results[1]["teaching"]

    before = (swept / "results.json").stat().st_mtime_ns
    last = forker.run(*words_of(tmp_path, cache, "fixmatch --threshold 0.4"), module="scripts.sweep")
    assert last.code == 0
    assert "1 runs: 1 done before, 0 to go on with, 0 to start" in last.out
    assert (swept / "results.json").stat().st_mtime_ns == before


def test_mistakes_are_told_before_anything_runs(tmp_path: Path, cache: Path, forker: Forker) -> None:
    done = forker.run(*words_of(tmp_path / "runs", cache, "supervised,fixmach"), module="scripts.sweep")
    assert done.code == 2
    assert "--algorithm fixmach: there is none of that name" in done.err
    assert not (tmp_path / "runs").exists()


def test_dry_run(tmp_path: Path, cache: Path, forker: Forker) -> None:
    words = words_of(tmp_path, cache)
    done = forker.run("--dry_run", *words, module="scripts.sweep")
    assert done.code == 0
    assert done.out == "new   supervised-n60-seed1\nnew   fixmatch-threshold_0.4-n60-seed1\n"


def test_dry_run_goes_on_after_a_run_with_other_options(
    tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / "supervised-n60-seed1").mkdir()
    (tmp_path / "supervised-n60-seed1" / "options.yaml").write_text("lr: 0.5\n")
    assert main(["--dry_run", *words_of(tmp_path, cache)]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("wrong supervised-n60-seed1: ") and "with other options (" in first and "lr: 0.5" in first
    assert second == "new   fixmatch-threshold_0.4-n60-seed1"


def test_fewer_workers_than_none_are_one_sentence(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["--algorithms", "supervised", "--workers", "-1"])
    assert "--workers -1 must be 0 or more" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("script", "given", "baseline"),
    [
        ("sweep_mvsa.sh", ["posts", "image.safetensors", "text"], "supervised frozen"),
        ("sweep_unfrozen.sh", ["posts", "", ""], "supervised"),
        ("sweep_world.sh", [], "supervised"),
    ],
)
def test_scripts_ask_for_what_there_is(
    tmp_path: Path, capsys: pytest.CaptureFixture, script: str, given: list[str], baseline: str
) -> None:
    """With a `python` that only writes down what it is asked for."""
    python = tmp_path / "python"
    python.write_text(f"#!/bin/bash\nprintf '%s\\n' \"$@\" > {tmp_path}/$(basename $1)\n")
    python.chmod(0o755)
    runs = tmp_path / "runs"
    path = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    subprocess.run([str(ROOT / "scripts" / script), *given, str(runs)], env=os.environ | path, check=True)
    sweep = (tmp_path / "sweep.py").read_text().splitlines()[1:]
    sweep[sweep.index("--seeds") + 1] = "1"
    assert main(["--dry_run", *sweep]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 9  # three methods, three numbers of labels
    assert (tmp_path / "compare.py").read_text().splitlines()[1:] == [
        str(runs), "--baseline", baseline, "--output", f"{runs}/comparison",
    ]  # fmt: skip


def test_the_options_of_a_new_run_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    [job] = plan(["supervised"], ["60"], ["1"], {}, str(tmp_path), ["--epoch", "2"])
    called: list[object] = []
    monkeypatch.setattr(module, "speak_into", lambda path: None)
    monkeypatch.setattr(house, "attempt", lambda options, argv: called.append((options, argv)) or 0)
    monkeypatch.setattr(house, "main", lambda argv: called.append(argv) or 0)
    for resumed in (False, True):
        assert module.execute(job, resumed, 0, Means(1, 0, torch.get_num_threads())) == 0
    assert called == [(job.options, list(job.argv)), [*job.argv, "--resume"]]
