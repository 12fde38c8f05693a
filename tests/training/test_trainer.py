"""What a step does, what it leaves alone, and what must not change its bits."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from statistics import median
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.training.toy import POSTS, ToyLoader, ToyNet, build, fingerprint, posts, resumed
from training.step_log import Diverged


def test_it_learns(tmp_path: Path) -> None:
    trainer = build(tmp_path, epoch=20, ema_m=0.99, num_log_iter=50)
    summary = trainer.train()
    assert summary.steps == 200 and summary.skipped == 0 and not summary.stopped_early
    assert summary.best > 0.8
    assert (tmp_path / "best" / "model.safetensors").exists()


def test_same_seed_same_bits_and_another_seed_others(tmp_path: Path) -> None:
    found = []
    for place, seed in enumerate((1, 1, 2)):
        trainer = build(tmp_path / str(place), epoch=1)
        trainer.seed = seed
        trainer.train()
        found.append(fingerprint(trainer))
    assert found[0] == found[1] != found[2]


@pytest.mark.parametrize(
    "changes", [{"num_log_iter": 1}, {"num_log_iter": 7}, {"num_eval_iter": 3}, {"save_minutes": 0.0}]
)
def test_logging_evaluating_and_saving_do_not_change_a_bit(tmp_path: Path, changes: dict[str, Any]) -> None:
    reference, other = build(tmp_path / "a"), build(tmp_path / "b", **changes)
    reference.train()
    other.train()
    for trainer in (reference, other):  # how often it was evaluated decides which of them was best
        trainer.progress.best = trainer.progress.best_step = trainer.progress.worse = 0
    assert fingerprint(reference) == fingerprint(other)


def gradient(path: Path, parts: int) -> list[torch.Tensor]:
    """The gradient of one step without dropout and BatchNorm, cut in `parts`."""
    torch.manual_seed(0)
    trainer = build(path, net=ToyNet(dropout=0.0, batch_norm=False), accumulate=parts, clip=0.0)
    _, labelled, unlabelled = next(iter(ToyLoader()(0, 1)))
    trainer._gradients(0, labelled, unlabelled)
    return [parameter.grad for parameter in trainer.parameters if parameter.grad is not None]


@pytest.mark.parametrize("parts", [2, 4])
def test_accumulated_gradient_is_that_of_the_whole(tmp_path: Path, parts: int) -> None:
    whole, cut = gradient(tmp_path / "a", 1), gradient(tmp_path / "b", parts)
    assert len(whole) == len(cut) > 0
    for one, other in zip(whole, cut, strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-6)


def test_parts_must_be_equal(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="--accumulate 3"):
        build(tmp_path, accumulate=3).train()


@pytest.mark.parametrize("optim", ["AdamW", "SGD"])
@pytest.mark.parametrize("bad", [0, 5])  # in the first step the optimiser has no moments yet
def test_a_nan_in_one_post_skips_the_step_and_nothing_else(tmp_path: Path, optim: str, bad: int) -> None:
    loader = ToyLoader(bad_steps=(bad,))
    trainer = build(tmp_path, loader, optim=optim, epoch=1)
    seen: dict[int, str] = {}
    inner = trainer.step

    def step(number: int, labelled: Any, unlabelled: Any) -> None:
        before = _state(trainer)
        inner(number, labelled, unlabelled)
        after = _state(trainer)
        changed = [name for name in before if not torch.equal(before[name], after[name])]
        assert bool(changed) == (number != bad), changed
        seen[number] = fingerprint(trainer)

    trainer.step = step  # type: ignore[method-assign]
    assert trainer.train().skipped == 1
    assert len(set(seen.values())) == 10
    assert all(torch.isfinite(value).all() for value in _state(trainer).values())
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["train/skipped"] for line in lines if "train/skipped" in line][-1] == 1
    assert all(math.isfinite(line["train/total_loss"]) for line in lines if "train/total_loss" in line)


def _state(trainer: Any) -> dict[str, torch.Tensor]:
    """Weights, buffers, average and moments, copied."""
    tensors = {**trainer.algorithm.state_dict(), **{f"ema.{k}": v for k, v in trainer.ema.net.state_dict().items()}}
    for name, parameter in trainer.algorithm.named_parameters():
        for key, value in trainer.optimiser.state.get(parameter, {}).items():
            tensors[f"{name}.{key}"] = value
    return {name: value.clone() for name, value in tensors.items()}


def test_too_many_bad_steps_stop_the_run_and_name_the_step(tmp_path: Path) -> None:
    trainer = build(tmp_path, ToyLoader(bad_steps=(2, 3, 6, 7, 8, 9)), max_skipped=3, num_log_iter=5)
    with pytest.raises(Diverged, match="stopped at step 8: 3 steps in a row"):
        trainer.train()
    patient = build(tmp_path, ToyLoader(bad_steps=(2, 3, 6, 7)), max_skipped=3)
    assert patient.train().skipped == 4


def test_what_has_diverged_is_not_saved_before_the_log_says_so(tmp_path: Path) -> None:
    """A checkpoint of it would end every run that goes on from it."""
    trainer = build(tmp_path, ToyLoader(bad_steps=(17, 18, 19)), max_skipped=3, num_log_iter=100)
    with pytest.raises(Diverged, match="stopped at step 19"):
        trainer.train()
    assert [path.name for path in trainer.folder.checkpoints.iterdir()] == ["step-00000010"]
    sound = resumed(tmp_path, max_skipped=3)
    assert sound.train().steps == 30


@pytest.mark.parametrize("ema_m", [0.0, 0.9])
def test_without_average_the_weights_themselves_are_evaluated(tmp_path: Path, ema_m: float) -> None:
    trainer = build(tmp_path, ema_m=ema_m, num_eval_iter=4)
    trainer.train()
    pairs = zip(trainer.algorithm.net.parameters(), trainer.ema.net.parameters(), strict=True)
    same = [torch.equal(one, other) for one, other in pairs if one.grad_fn is None]
    assert all(torch.isfinite(parameter).all() for parameter in trainer.algorithm.net.parameters())
    assert all(same) if ema_m == 0 else not all(same)
    assert trainer.algorithm.net.training and not trainer.ema.net.training


def test_pseudo_label_accuracy_is_that_of_the_accepted_posts_with_known_truth(tmp_path: Path) -> None:
    trainer = build(tmp_path, epoch=1, num_train_iter=1, num_log_iter=1)
    truth = posts(range(POSTS)).label
    truth[::2] = -1
    trainer.truth = truth
    _, _, unlabelled = next(iter(ToyLoader()(0, 1)))
    index = unlabelled["weak"].index
    answer = trainer.algorithm.teacher(unlabelled["weak"]).logits.softmax(1)
    confidence, label = answer.max(1)
    known = (confidence >= 0.34) & (truth[index] >= 0)
    expected = (label == truth[index])[known].float().mean().item()
    trainer.train()
    line = json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[0])
    assert known.any()
    assert line["train/pseudo_acc"] == pytest.approx(expected)
    shares = [line[f"train/pseudo_label/{place}"] for place in range(3)]
    assert sum(shares) == pytest.approx(line["train/util_ratio"])


def test_waiting_for_data_is_shown_of_every_interval(tmp_path: Path) -> None:
    def slow(start: int, stop: int) -> Any:
        for batch in ToyLoader()(start, stop):
            time.sleep(0.15)
            yield batch

    build(tmp_path, slow, epoch=1, num_log_iter=2).train()
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    shares = [line["train/data_wait"] for line in lines if "train/data_wait" in line]
    assert all(0 < share <= 1 for share in shares) and median(shares) > 0.3


def test_the_learning_rate_of_a_step_is_the_schedules(tmp_path: Path) -> None:
    trainer = build(tmp_path, epoch=1, num_log_iter=1, warmup=0.2)
    trainer.train()
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    rates = [line["lr"] for line in lines if "lr" in line]
    assert rates[:3] == pytest.approx([0.01 / 3, 0.02 / 3, 0.01])
    assert rates[6] == pytest.approx(0.01 * 0.5 * (1 + math.cos(math.pi * 4 / 8)))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_on_cuda_neither_a_step_nor_logging_waits_for_the_device(tmp_path: Path) -> None:
    def move(value: Tensor) -> Tensor:
        return value.cuda()

    batches = [
        (step, {name: batch.map(move) for name, batch in some.items()}, {name: b.map(move) for name, b in more.items()})
        for step, some, more in ToyLoader()(0, 60)
    ]
    trainer = build(tmp_path, lambda start, stop: batches[start:stop], device="cuda", epoch=1, num_train_iter=60)
    trainer.evaluate = lambda net, step: {"eval/F1": 0.5}
    step, send = trainer.step, trainer.log.send

    def strict(action: Any, *arguments: Any) -> None:
        torch.cuda.set_sync_debug_mode("error" if trainer.progress.step >= 10 else "default")
        try:
            action(*arguments)
        finally:
            torch.cuda.set_sync_debug_mode("default")

    trainer.step = lambda *arguments: strict(step, *arguments)  # type: ignore[method-assign]
    trainer.log.send = lambda *arguments: strict(send, *arguments)  # type: ignore[method-assign]
    assert trainer.train().steps == 60
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert sum("train/total_loss" in line for line in lines) == 15  # each interval is shown, the last ones at the end
