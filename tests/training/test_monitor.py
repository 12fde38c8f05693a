"""The same figures on the terminal, in TensorBoard and in metrics.jsonl."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from training.monitor import Monitor, clock, describe, evaluation_figures
from training.run_folder import RunFolder


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def events(path: Path) -> Any:
    found = EventAccumulator(str(path), size_guidance={"scalars": 0, "images": 0, "histograms": 0})
    found.Reload()
    return found


def test_tensorboard_and_jsonl_have_the_same_keys_and_values(tmp_path: Path) -> None:
    stream = io.StringIO()
    monitor = Monitor(RunFolder(tmp_path), total_steps=20, epoch_steps=10, stream=stream)
    monitor.open(0)
    monitor.log(5, {"train/sup_loss": 0.5, "train/util_ratio": 0.25, "train/posts_per_second": 80.0, "lr": 0.01})
    monitor.log(10, {"train/sup_loss": float("nan"), "lr": 0.02})
    monitor.evaluation(10, {"eval/F1": 0.75, "eval/top-1-acc": 0.8, "eval/recall/neutral": 0.5}, best=True)
    monitor.close()
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [5, 10, 10]
    assert lines[1]["train/sup_loss"] is None
    board = events(tmp_path)
    for tag in ("train/sup_loss", "train/util_ratio", "lr", "eval/F1", "eval/recall/neutral"):
        told = [(line["step"], line[tag]) for line in lines if line.get(tag) is not None]
        shown = [(event.step, event.value) for event in board.Scalars(tag) if np.isfinite(event.value)]
        assert shown == [(step, pytest.approx(value)) for step, value in told]
    printed = stream.getvalue().splitlines()
    assert printed[0].startswith("step 5/20  epoch 1/2  0:00:0")
    assert "sup 0.5  mask 25 %  80 posts/s" in printed[0]
    assert printed[2] == "validation after 10 steps: accuracy 0.8000, macro-F1 0.7500, recall neutral 0.50 (best)"


def test_a_resumed_run_cuts_what_comes_after_its_checkpoint(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    for start in (0, 10):
        monitor = Monitor(folder, 20, 10, stream=io.StringIO())
        monitor.open(start)
        for step in (start + 5, start + 10, start + 15):
            monitor.log(step, {"train/sup_loss": float(start + step)})
        monitor.close()
        if start == 0:
            with open(folder.metrics, "a", encoding="utf-8") as file:
                file.write('{"step": 16, "train/sup')  # killed while it wrote
    lines = [json.loads(line) for line in folder.metrics.read_text().splitlines()]
    assert [(line["step"], line["train/sup_loss"]) for line in lines] == [
        (5, 5),
        (10, 10),
        (15, 25),
        (20, 30),
        (25, 35),
    ]
    shown = [(event.step, event.value) for event in events(tmp_path).Scalars("train/sup_loss")]
    assert shown == [(5, 5.0), (10, 10.0), (15, 25.0), (20, 30.0), (25, 35.0)]


def test_histograms_and_pictures(tmp_path: Path) -> None:
    monitor = Monitor(RunFolder(tmp_path), 10, 10, stream=io.StringIO())
    monitor.open(0)
    selection = np.array([[0.1, 0.2, 0.7], [0.5, 0.25, 0.25]])
    monitor.histograms(3, {"train/selection": selection, "train/confidence": np.array([0.5, np.nan])})
    monitor.histograms(3, {"train/nothing": np.array([np.nan])})
    monitor.add_image("eval/posts", np.zeros((4, 5, 3), dtype=np.uint8), 3)
    monitor.add_confusion(3, [[3, 1], [0, 2]], ["negative", "positive"])
    monitor.close()
    board = events(tmp_path)
    assert sorted(board.Tags()["histograms"]) == ["train/confidence", *(f"train/selection/{k}" for k in range(3))]
    assert board.Histograms("train/confidence")[0].histogram_value.num == 1
    picture = board.Images("eval/posts")[0]
    assert (picture.height, picture.width) == (4, 5)
    assert board.Images("eval/confusion")[0].width > 100


def test_a_bar_on_a_terminal(tmp_path: Path) -> None:
    stream = Terminal()
    monitor = Monitor(RunFolder(tmp_path), 10, 5, stream=stream)
    monitor.open(0)
    for step in range(10):
        monitor.advance()
        if step == 5:
            monitor.log(6, {"train/total_loss": 1.5, "train/data_wait": 0.07})
            monitor.say("a word")
    monitor.close()
    shown = stream.getvalue()
    assert "epoch 2/2" in shown and "10/10" in shown
    assert "total 1.5  data wait 7 %" in shown
    assert "a word\n" in shown


def test_other_processes_are_silent(tmp_path: Path) -> None:
    stream = io.StringIO()
    monitor = Monitor(RunFolder(tmp_path / "run"), 10, 5, enabled=False, stream=stream)
    monitor.open(0)
    monitor.log(5, {"lr": 1.0})
    monitor.evaluation(5, {"eval/F1": 1.0}, best=True)
    monitor.add_confusion(5, [[1]], ["a"])
    monitor.histograms(5, {"a": np.ones(3)})
    monitor.close()
    assert stream.getvalue() == "" and not (tmp_path / "run").exists()


def test_figures_of_a_score() -> None:
    score = {"accuracy": 0.5, "macro_f1": 0.4, "ece": 0.1, "recall": {"neutral": 0.3, "positive": None}, "n": 7}
    assert evaluation_figures(score) == {
        "eval/top-1-acc": 0.5,
        "eval/F1": 0.4,
        "eval/ece": 0.1,
        "eval/recall/neutral": 0.3,
    }
    assert set(evaluation_figures(score, "test")) >= {"test/F1"}


def test_words() -> None:
    assert clock(3725.4) == "1:02:05"
    assert describe({"train/skipped": 0.0, "train/grad_norm": 1.0}) == ""
    assert describe({"train/skipped": 2.0, "train/pseudo_acc": 0.815}) == "pseudo-label acc 82 %  skipped 2"
