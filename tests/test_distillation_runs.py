"""Runs of main.py in which an image student learns from a text teacher, and what a run refuses."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest

from datasets.store import PostStore, set_columns
from tests.runs import TINY, Forker, run_main
from tests.test_main import bits
from training.command_line import load_options, parse
from training.defaults import resolve

CONFIGS = Path(__file__).parent.parent / "configs"
SMALL = ("--image_net", "small", "--image_weights", "none", "--batch_size", 8)


def tiny(config: str) -> list[object]:
    """The tiny world under a configuration, which its flags would win over."""
    words = dict(zip(TINY[::2], TINY[1::2], strict=True))
    kept = ("--world_posts", "--world_size", "--epoch", "--num_train_iter", "--text_length", "--num_workers")
    return [word for name in kept for word in (name, words[name])] + ["--config", CONFIGS / config, *SMALL]


@pytest.mark.parametrize("config", ["t4sa.yaml", "student.yaml"])
def test_a_student_learns_without_any_label_of_people(config: str, cache: Path, tmp_path: Path) -> None:
    words = ("--cache_dir", cache, "--save_dir", tmp_path, "--save_name", "student")
    done = run_main(*tiny(config), *words)
    assert done.code == 0, done.out + done.err
    results = json.loads((tmp_path / "student" / "results.json").read_text())
    options = load_options(tmp_path / "student" / "options.yaml")
    assert (options.data.labels_from, options.algorithm.labelled_weight) == ("teacher", 0)
    assert list(results["test"]) == ["full", "both_agree", "text_decides", "image_decides"] and results["skipped"] == 0
    figures = [json.loads(line) for line in (tmp_path / "student" / "metrics.jsonl").read_text().splitlines()]
    shown = {name for line in figures for name in line}
    assert "train/unsup_loss" in shown and "train/sup_loss" not in shown


def test_the_published_recipe_is_what_was_published() -> None:
    options = resolve(parse(["--config", str(CONFIGS / "t4sa.yaml"), "--train_data_dir", "store"]))
    algorithm, training = options.algorithm, options.training
    assert (algorithm.distillation_target, algorithm.teacher_thresholds) == ("hard", "0.7,0.9,0.9")
    assert (algorithm.label_smoothing, algorithm.teacher_balance, algorithm.student_view) == (0.2, True, "clean")
    assert (training.optim, training.lr, training.encoder_lr, training.schedule) == ("RAdam", 1e-4, 1e-4, "constant")
    assert (training.batch_size, training.uratio) == (32, 1)
    assert training.ema_m == training.weight_decay == training.clip == training.warmup == 0
    assert round(training.head_first * training.epoch, 3) == 1.0
    assert (options.net.net, options.net.image_net) == ("t4sa", "vit_b32")


def test_killed_and_resumed_with_radam_it_ends_with_the_same_bits(forker: Forker, cache: Path, tmp_path: Path) -> None:
    words = [*tiny("t4sa.yaml"), "--cache_dir", cache, "--save_dir", tmp_path, "--save_minutes", 0]
    assert forker.run(*words, "--save_name", "whole").code == 0
    killed = forker.run(*words, "--save_name", "killed", signal_at=(7, signal.SIGKILL))
    assert killed.code == -signal.SIGKILL
    again = forker.run("--resume", "--save_dir", tmp_path, "--save_name", "killed")
    assert again.code == 0, again.err
    assert "going on after step" in again.out
    assert bits(tmp_path / "killed") == bits(tmp_path / "whole")


def test_answers_written_anew_are_another_lesson(cache: Path, tmp_path: Path) -> None:
    worlds = [path.parent for path in (cache / "stores").glob("*/store.json") if len(PostStore(path.parent)) == 300]
    store = tmp_path / "store"
    shutil.copytree(worlds[0], store)
    own = ("--algorithm", "distillation", "--train_data_dir", store, "--net", "image", *SMALL, "--image_size", 32)
    short = ("--num_labels", 60, "--num_train_iter", 1, "--epoch", 1, "--num_workers", 0)
    words = (*own, *short, "--cache_dir", cache, "--save_dir", tmp_path, "--save_name", "run")
    assert run_main(*words).code == 0
    answers = np.array(PostStore(store).teacher)
    set_columns(store, teacher=answers[:, ::-1].copy())
    assert "teacher was" in run_main(*words, "--resume").sentence
    answers[:, 1] = np.minimum(answers[:, 1], 0.25)
    set_columns(store, teacher=answers)
    said = run_main(*words, "--save_name", "hard", "--distillation_target", "hard").out
    assert "no unlabelled post has from the teacher the class neutral (which it gives 0.250 at most" in said


def test_posts_without_a_teacher_are_refused(tmp_path: Path) -> None:
    table = tmp_path / "posts.csv"
    rows = [f"{number},text {number},{('negative', 'positive')[number % 2]}" for number in range(40)]
    table.write_text("\n".join(["id,text,label", *rows]))
    words = ("--train_data_dir", table, "--cache_dir", tmp_path / "cache", "--save_dir", tmp_path, "--num_labels", 4)
    said = run_main(*words, "--algorithm", "distillation", "--net", "text").sentence
    assert "learns from a text teacher's answers" in said and "scripts/label_tweets.py" in said
    assert "--teacher_weight learns from" in run_main(*words, "--teacher_weight", 1).sentence
    assert "has no teacher's answers" in run_main(*words, "--labels_from", "teacher").sentence
