"""The plan of a sweep: which runs, their names, and what is left of each to do."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest
import yaml

from training.command_line import parse, save_options
from training.defaults import resolve
from training.forks import Ended, run_forked, use_gpu
from training.signals import StopSignal
from training.sweep import Job, grid_of, last_words, plan, state, values


def test_lists_of_values() -> None:
    assert values("51, 201,600") == ["51", "201", "600"]
    assert values('none,"image,text"') == ["none", "image,text"]
    assert grid_of(["net=image,text", "--lr=1e-4"]) == {"net": ["image", "text"], "lr": ["1e-4"]}
    with pytest.raises(ValueError, match="must be values with commas between them"):
        values("1,,2")
    with pytest.raises(ValueError, match="--grid net: give a flag and its values"):
        grid_of(["net"])


def test_a_round_of_all_methods_before_the_next_seed(tmp_path: Path) -> None:
    jobs = plan(
        ["supervised", "fixmatch --threshold 0.7"], ["51"], ["1", "2"], {"freeze": ["", "image,text"]}, str(tmp_path),
        ["--epoch", "3"],
    )  # fmt: skip
    assert [job.name for job in jobs] == [
        "supervised-freeze-n51-seed1",
        "supervised-freeze_image_text-n51-seed1",
        "fixmatch-threshold_0.7-freeze-n51-seed1",
        "fixmatch-threshold_0.7-freeze_image_text-n51-seed1",
        "supervised-freeze-n51-seed2",
        "supervised-freeze_image_text-n51-seed2",
        "fixmatch-threshold_0.7-freeze-n51-seed2",
        "fixmatch-threshold_0.7-freeze_image_text-n51-seed2",
    ]
    options = jobs[3].options
    assert (options.run.algorithm, options.algorithm.threshold, options.net.freeze) == ("fixmatch", 0.7, "image,text")
    assert (options.data.num_labels, options.run.seed, options.training.epoch) == (51, 1, 3)
    assert jobs[3].folder.path == tmp_path / jobs[3].name


def test_one_name_for_two_runs_is_refused_and_a_wrong_flag_ends_the_sweep(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    with pytest.raises(ValueError, match="two runs would be called supervised-n51-seed1"):
        plan(["supervised", "supervised"], ["51"], ["1"], {}, str(tmp_path))
    for word, own in (("--num_labels", "--num_labels"), ("--seed=5", "--seeds"), ("-sn", "--save_dir")):
        with pytest.raises(ValueError, match=f"behind -- would be lost, .* its own {own}"):
            plan(["supervised"], ["51"], ["1"], {}, str(tmp_path), ["--epoch", "1", word, "7"])
    with pytest.raises(SystemExit) as caught:
        plan(["supervised"], ["51"], ["1"], {"threshold": ["0.9"]}, str(tmp_path))
    assert caught.value.code == 2
    assert "--threshold is an option of --algorithm" in capsys.readouterr().err


def one_job(folder: Path, *shared: str) -> Job:
    return plan(["fixmatch"], ["60"], ["1"], {}, str(folder), shared)[0]


def keep(job: Job, finished: bool) -> None:
    """What a run of main.py leaves, as far as a sweep looks at it."""
    job.folder.path.mkdir(exist_ok=True)
    save_options(resolve(job.options), job.folder.options)
    if finished:
        job.folder.results.write_text("{}")
        job.folder.report.write_text("")


def test_what_is_left_to_do(tmp_path: Path) -> None:
    job = one_job(tmp_path)
    assert state(job) == "new"
    keep(job, finished=False)
    assert state(job) == "begun"
    keep(job, finished=True)
    assert state(job) == "done"
    assert state(one_job(tmp_path, "--num_workers", "3", "--cache_dir", "elsewhere")) == "done"
    with pytest.raises(ValueError, match=r"holds a run with other options \(lr: 0.0005, now 0.01\)"):
        state(one_job(tmp_path, "--lr", "0.01"))


def test_a_flag_that_is_newer_than_a_run_had_its_default(tmp_path: Path) -> None:
    job = one_job(tmp_path)
    keep(job, finished=True)
    lines = job.folder.options.read_text().splitlines(keepends=True)
    job.folder.options.write_text("".join(line for line in lines if not line.startswith("warmup")))
    assert state(job) == "done"
    with pytest.raises(ValueError, match=r"\(warmup: 0.05, now 0.1\)"):
        state(one_job(tmp_path, "--warmup", "0.1"))


@pytest.mark.parametrize(("flags", "cut"), [("--fusion vilt", 40), ("--fusion mmbt", 128), ("--net concat", 128)])
def test_a_text_is_as_long_as_the_net_can_read(tmp_path: Path, flags: str, cut: int) -> None:
    """A run saves the length that its net read; a length of its own is another run's still."""
    job = one_job(tmp_path, *flags.split())
    keep(job, finished=True)
    saved = yaml.safe_load(job.folder.options.read_text())
    for length in (cut, 20):
        job.folder.options.write_text(yaml.safe_dump({**saved, "text_length": length}))
        if length == cut:
            assert state(job) == "done"
        else:
            with pytest.raises(ValueError, match=rf"\(text_length: 20, now {cut}\)"):
                state(job)


def test_last_words(tmp_path: Path) -> None:
    job = one_job(tmp_path)
    assert last_words(job) == "it left no log"
    job.folder.path.mkdir()
    job.log.write_text("step 1\nmain.py: --lr is too high\n\n")
    assert last_words(job) == "--lr is too high"


def test_an_options_file_says_the_same_as_the_options(tmp_path: Path) -> None:
    save_options(options := resolve(parse(["--lr", "1e-5", "--net", "scrd"])), tmp_path / "options.yaml")
    again = parse([], under=tmp_path / "options.yaml")
    assert again == options


def test_every_task_has_a_process_and_a_slot(tmp_path: Path) -> None:
    def work(task: int, slot: int) -> int:
        (tmp_path / str(task)).write_text(f"{slot} {os.getpid()}")
        if task == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return task

    ended: list[Ended[int]] = list(run_forked(range(5), work, 2, StopSignal()))
    assert sorted((one.task, one.code) for one in ended) == [(0, 0), (1, 1), (2, 2), (3, -9), (4, 4)]
    slots, processes = zip(*((tmp_path / str(task)).read_text().split() for task in range(5)), strict=True)
    assert set(slots) == {"0", "1"}
    assert len({*processes, str(os.getpid())}) == 6


def test_a_signal_starts_no_other_task_and_ends_those_that_run() -> None:
    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGTERM)).start()
    with StopSignal() as stop:
        ended = list(run_forked(range(6), lambda task, slot: time.sleep(60) or 0, 2, stop))
    assert sorted((one.task, one.code) for one in ended) == [(0, -15), (1, -15)]
    assert stop.exit_code == 143


@pytest.mark.parametrize(("shown", "expected"), [("", ["0", "1", "0"]), ("5,7", ["5", "7", "5"])])
def test_each_slot_sees_one_gpu(monkeypatch: pytest.MonkeyPatch, shown: str, expected: list[str]) -> None:
    found = []
    for slot in range(3):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", shown)
        use_gpu(slot, gpus=2)
        found.append(os.environ["CUDA_VISIBLE_DEVICES"])
    assert found == expected
