"""A toy net, algorithm and loader for the trainer's tests, and runs of it in processes that can be killed."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Mapping
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from algorithms.base import Algorithm, Losses, Step, Task
from algorithms.options import AlgorithmOptions
from datasets.batch import Batch, Views
from datasets.seeds import generator
from nets.prediction import Prediction
from training.checkpoint import load_checkpoint
from training.distributed import ALONE, Processes
from training.ema import Ema
from training.monitor import Monitor
from training.optimisers import build_optimiser, optimiser_state
from training.options import TrainingOptions
from training.run_folder import RunFolder
from training.trainer import Loader, Trainer

WIDTH, CLASSES, POSTS = 6, 3, 96
META = {"net": "toy", "classes": ["negative", "neutral", "positive"], "split": "abc", "num_labels": 600}

TASK = Task(CLASSES, POSTS, POSTS, torch.arange(POSTS), torch.arange(POSTS) % CLASSES)

MakeLoader = Callable[[int, int], Loader]


class ToyNet(nn.Module):
    """Two layers with BatchNorm (a buffer in the net) and dropout (a draw in every step)."""

    def __init__(self, dropout: float = 0.2, batch_norm: bool = True) -> None:
        super().__init__()
        self.encoder = nn.Linear(WIDTH, 8)
        self.norm = nn.BatchNorm1d(8) if batch_norm else nn.LayerNorm(8)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(8, CLASSES)
        self.unused = nn.Linear(2, 2)  # as a head that a step does not use

    def forward(self, batch: Batch) -> Prediction:
        assert batch.image is not None
        return Prediction(self.head(self.dropout(functional.relu(self.norm(self.encoder(batch.image))))))


class ToyAlgorithm(Algorithm):
    """Cross-entropy, pseudo-labels of the teacher, and a running statistic."""

    name = "toy"
    infinite_steps: tuple[int, ...] = ()  # steps whose loss is infinite although its gradient is not
    mean_confidence: Tensor
    steps_seen: Tensor

    def __init__(self, net: nn.Module, teacher: nn.Module) -> None:
        super().__init__(AlgorithmOptions(), net, teacher, TASK)
        self.register_buffer("mean_confidence", torch.full((), 0.3))
        self.register_buffer("steps_seen", torch.zeros((), dtype=torch.int64))

    def step(self, labelled: Views, unlabelled: Views, step: Step) -> Losses:
        confidence, pseudo_label = self.teach(unlabelled["weak"]).logits.softmax(1).max(1)
        self.mean_confidence.lerp_(confidence.mean(), 0.1)
        self.steps_seen.add_(1)
        mask = (confidence >= 0.34).float()
        known, strong = self.predict(labelled["weak"], unlabelled["strong"])
        sup_loss = functional.cross_entropy(known.logits, labelled["weak"].label)
        each = functional.cross_entropy(strong.logits, pseudo_label, reduction="none")
        unsup_loss = (each * mask).mean()
        total = sup_loss + unsup_loss
        return Losses(
            total + float("inf") if step.number in self.infinite_steps else total,
            {"sup_loss": sup_loss.detach(), "unsup_loss": unsup_loss.detach()},
            {"util_ratio": mask.mean()},
            {"pseudo_label": pseudo_label, "mask": mask, "confidence": confidence},
        )


def posts(rows: Any, bad: bool = False) -> Batch:
    """The toy posts of `rows`: the class is where the largest of the first three features is."""
    features = torch.from_numpy(generator(0, "toy posts").standard_normal((POSTS, WIDTH))).float()
    index = torch.as_tensor(rows)
    image = features[index]
    if bad:
        image[0, 0] = float("nan")
    seen = torch.ones(len(index), dtype=torch.bool)
    return Batch(index, features[index, :CLASSES].argmax(1), seen, ~seen, image=image)


class ToyLoader:
    """`make_loader` of the toy posts; in the steps of `bad_steps` one labelled post holds a NaN."""

    def __init__(self, bad_steps: tuple[int, ...] = (), processes: Processes = ALONE, pause: float = 0.0) -> None:
        self.bad_steps, self.processes, self.pause = bad_steps, processes, pause
        self.steps: list[int] = []

    def __call__(self, start: int, stop: int) -> Iterator[tuple[int, Mapping[str, Batch], Mapping[str, Batch]]]:
        for step in range(start, stop):
            self.steps.append(step)
            if self.pause:
                time.sleep(self.pause)
            labelled = self._share(generator(1, "labelled", step).permutation(POSTS)[:4])
            unlabelled = self._share(generator(1, "unlabelled", step).permutation(POSTS)[:8])
            weak = posts(unlabelled)
            assert weak.image is not None
            noise = torch.from_numpy(generator(1, "noise", step).standard_normal((8, WIDTH))).float()
            strong = weak.map(lambda value: value)
            object.__setattr__(strong, "image", weak.image + 0.1 * self._share(noise))
            yield step, {"weak": posts(labelled, step in self.bad_steps)}, {"weak": weak, "strong": strong}

    def _share(self, rows: Any) -> Any:
        size = len(rows) // self.processes.world
        return rows[self.processes.rank * size : (self.processes.rank + 1) * size]


def evaluate(net: nn.Module, step: int) -> dict[str, float]:
    """Accuracy on all toy posts; draws a random number, which must not disturb the training."""
    everything = posts(range(POSTS))
    torch.rand(step)
    with torch.no_grad():
        right = net(everything).logits.argmax(1) == everything.label
    return {"eval/F1": right.float().mean().item(), "eval/top-1-acc": right.float().mean().item()}


def build(
    path: Path,
    loader: MakeLoader | None = None,
    processes: Processes = ALONE,
    net: ToyNet | None = None,
    device: str = "cpu",
    infinite_steps: tuple[int, ...] = (),
    **changes: Any,
) -> Trainer:
    """A trainer of the toy run in `path`; `changes` are changes to its options."""
    settings: dict[str, Any] = {"epoch": 3, "num_train_iter": 10, "lr": 0.01, "num_log_iter": 4, "ema_m": 0.9}
    options = TrainingOptions(**{**settings, **changes})
    torch.manual_seed(0)
    net = (net or ToyNet()).to(device)
    ema = Ema(net, options.ema_m)
    algorithm = ToyAlgorithm(net, ema.net).to(device)
    algorithm.infinite_steps = infinite_steps
    total = options.epoch * options.num_train_iter
    optimiser, schedule = build_optimiser(algorithm, options, total)
    folder = RunFolder(path)
    truth = posts(range(POSTS)).label.to(device)
    return Trainer(
        algorithm,
        ema,
        optimiser,
        schedule,
        loader or ToyLoader(processes=processes),
        evaluate,
        Monitor(folder, total, options.num_train_iter, enabled=processes.first),
        folder,
        options,
        seed=1,
        device=torch.device(device),
        meta=META,
        truth=truth,
        processes=processes,
    )


def fingerprint(trainer: Trainer) -> str:
    """Hash of all that a run is: weights, buffers, average, moments, counters."""
    digest = hashlib.sha256()
    moments = optimiser_state(trainer.optimiser, trainer.algorithm)
    tensors = {
        **{f"algorithm.{name}": value for name, value in trainer.algorithm.state_dict().items()},
        **{f"ema.{name}": value for name, value in trainer.ema.net.state_dict().items()},
        **{f"{name}.{key}": value for name, state in moments.items() for key, value in state.items()},
        "skips": trainer.skips.values,
    }
    for name in sorted(tensors):
        digest.update(name.encode() + tensors[name].contiguous().numpy().tobytes())
    progress = trainer.progress
    digest.update(repr((progress.step, progress.best, progress.best_step, progress.worse)).encode())
    return digest.hexdigest()


def resumed(path: Path, loader: MakeLoader | None = None, **changes: Any) -> Trainer:
    """A trainer that goes on where the run in `path` stopped, or begins."""
    trainer = build(path, loader, **changes)
    checkpoint = load_checkpoint(path, META)
    if checkpoint is not None:
        trainer.resume(checkpoint)
    return trainer


def signal_at(trainer: Trainer, kill_step: int, number: int) -> None:
    """Let signal `number` come to this process at the end of step `kill_step`."""
    inner = trainer.step

    def step(at: int, labelled: Views, unlabelled: Views) -> None:
        inner(at, labelled, unlabelled)
        if at == kill_step:
            os.kill(os.getpid(), number)

    trainer.step = step  # type: ignore[method-assign, assignment]


def run(path: Path, optim: str = "AdamW", save_minutes: float = 5.0, kill_step: int = -1, number: int = 0) -> None:
    """A process of its own: go on in `path` to the end, or until signal `number` comes at the end of `kill_step`."""
    torch.set_num_threads(1)
    trainer = resumed(path, ToyLoader(pause=0.005), optim=optim, save_minutes=save_minutes)
    signal_at(trainer, kill_step, number)
    with trainer.folder.lock():
        trainer.train()


def processes_of(target: Any, arguments: list[tuple[Any, ...]]) -> list[BaseProcess]:
    """Start `target` in one fresh process for each of `arguments`; torch is imported once for all of them."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.training.toy", "torch.utils.tensorboard", "tqdm"])
    found: list[BaseProcess] = [context.Process(target=target, args=some) for some in arguments]
    for process in found:
        process.start()
    return found


def exit_code(target: Any, *arguments: Any) -> int:
    """Run `target` in a fresh process and wait for it; minus the signal's number where one killed it."""
    process = processes_of(target, [arguments])[0]
    process.join(60)
    assert process.exitcode is not None, "the process hangs"
    return process.exitcode
