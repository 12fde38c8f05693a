"""What the bench measures on: a ViT with random pictures, and assembled runs on the synthetic world."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import timm
import torch
from torch import Tensor, nn

from algorithms.base import Algorithm, Step, Task
from datasets.batch import UNLABELLED, Batch, Views
from datasets.ingest import open_posts
from datasets.tokens import train_tokenizer
from nets.prediction import Prediction
from training.assembly import Assembly, assemble, autocast_type
from training.command_line import parse
from training.distributed import ALONE
from training.monitor import Monitor
from training.optimisers import build_optimiser
from training.options import TrainingOptions
from training.run_folder import RunFolder
from training.trainer import Trainer

CLASSES = 3
TASK = Task(CLASSES, 1, 1, torch.arange(CLASSES), torch.arange(CLASSES))
"""One labelled post a class; the algorithms measured here remember nothing of single posts."""
FROZEN = ("--freeze", "image,text", "--image_weights", "none", "--text_weights", "none")
"""Flags of a run on cached features; they may be random, as nothing is measured but time."""
STEPS = 10_000
"""Steps of a run that is never finished: the learning rate's course."""
SMALL_NETS, MEDIUM_NETS, LARGE_NETS = "small nets", "MobileNetV2 and MiniLM", "ViT-B/16 and BERT-base"
MINILM = {"hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12, "intermediate_size": 1536}
"""The size of MiniLM-L6, as BertConfig takes it."""


@dataclass
class Bench:
    """What every section reads: the device, how often to repeat, a folder of its own, and what was assembled so far."""

    device: torch.device
    repeats: int
    folder: Path
    tiny: bool = False
    store_rows: int = 1_000_000
    peak_tflops: float = 989.0
    crawl_posts: int = 50_000
    crawl_kill_posts: int = 0
    text_weights: str = ""
    texts: str = ""
    label_texts: int = 2000
    _assembled: dict[tuple[str, ...], Assembly] = field(default_factory=dict)

    @property
    def cuda(self) -> bool:
        """Whether a CUDA device is measured."""
        return self.device.type == "cuda"

    def sized(self, tiny: int, cpu: int, cuda: int) -> int:
        """The size for this machine."""
        return tiny if self.tiny else cuda if self.cuda else cpu

    @property
    def autocast(self) -> torch.dtype | None:
        """bf16 on CUDA, float32 on the CPU, as in training."""
        return torch.bfloat16 if self.cuda else None

    @property
    def workers(self) -> int:
        """Worker processes of a loader: one on a small machine, else up to eight."""
        return max(1, min(8, (os.cpu_count() or 1) - 2))

    def assembly(self, *flags: str) -> Assembly:
        """A run of main.py with `flags` on the synthetic world, ready to train; the same one for the same flags."""
        if flags not in self._assembled:
            options = parse([
                "--cache_dir", str(self.folder / "cache"), "--num_workers", str(self.workers), "--num_labels", "30",
                "--world_posts", str(self.sized(100, 600, 2000)), "--gpu", "0" if self.cuda else "-1", *flags,
            ])  # fmt: skip
            with contextlib.redirect_stdout(sys.stderr):
                self._assembled[flags] = assemble(options, self.device, ALONE)
        return self._assembled[flags]

    def medium_flags(self) -> tuple[str, ...]:
        """Flags for MobileNetV2 and a BERT of MiniLM's size, as few posts a step as SCRD's authors take."""
        return (*self._nets("mobilenetv2_100", MINILM), "--batch_size", "2", "--uratio", str(self.sized(1, 4, 4)))

    def large_flags(self) -> tuple[str, ...]:
        """Flags for ViT-B/16 and BERT-base."""
        posts = ("--batch_size", str(self.sized(2, 2, 64)), "--uratio", str(self.sized(1, 4, 7)))
        return (*self._nets("vit_b16", {}), *posts)

    def _nets(self, image: str, text: Mapping[str, int]) -> tuple[str, ...]:
        """Flags for an image encoder at 224 pixels and a BERT of config `text`, both of random weights."""
        folder = self.folder / f"bert-{text.get('hidden_size', 'base')}"
        if not folder.is_dir():
            _write_bert(folder, self.assembly(), text)
        size = ("--image_size", str(self.sized(64, 224, 224)), "--world_size", "256")
        return ("--image_net", image, "--image_weights", "none", "--text_weights", str(folder), *size)


def _write_bert(folder: Path, assembly: Assembly, config: Mapping[str, int]) -> None:
    """A BERT of random weights with a tokenizer of the world's texts, as `--text_weights` reads it."""
    from transformers import AutoModel, BertConfig

    store = open_posts(assembly.options.data, assembly.options.world)
    tokenizer = train_tokenizer(store.texts(np.arange(len(store))), folder)
    AutoModel.from_config(BertConfig(vocab_size=len(tokenizer), **config)).save_pretrained(folder)


def make_trainer(assembly: Assembly, folder: Path) -> Trainer:
    """The trainer of an assembled run, silent, with nothing to evaluate."""
    options = assembly.options
    optimiser, schedule = build_optimiser(assembly.algorithm, options.training, STEPS, assembly.net.loaded())
    run = RunFolder(folder)
    assembly.algorithm.train()
    return Trainer(
        assembly.algorithm, assembly.ema, optimiser, schedule, assembly.make_loader, lambda net, step: {},
        Monitor(run, STEPS, options.training.num_train_iter, enabled=False), run, options.training,
        seed=options.run.seed, device=assembly.device, meta=assembly.meta,
        autocast=autocast_type(options, assembly.device),
        truth=torch.from_numpy(assembly.store.label.copy()).to(assembly.device), classes=assembly.store.classes,
    )  # fmt: skip


def training_steps(assembly: Assembly, folder: Path, count: int) -> Callable[[], int]:
    """A function that makes `count` steps of the trainer that main.py uses, over batches that are ready, and says how
    many."""
    trainer = make_trainer(assembly, folder)
    batches = list(assembly.make_loader(0, 2))
    done = 0

    def run() -> int:
        nonlocal done
        for _ in range(count):
            _, labelled, unlabelled = batches[done % len(batches)]
            trainer.step(done, labelled, unlabelled)
            done += 1
        return count

    return run


def posts_per_step(assembly: Assembly) -> int:
    """Labelled and unlabelled posts of one step."""
    return assembly.options.training.batch_size * (1 + assembly.options.training.uratio)


class VitNet(nn.Module):
    """A timm ViT of random weights as a net of posts; no dropout, so that two passes can be compared."""

    def __init__(self, name: str, size: int) -> None:
        super().__init__()
        self.vit = timm.create_model(name, img_size=size, num_classes=CLASSES)

    def forward(self, batch: Batch) -> Prediction:
        """Answer for B posts."""
        return Prediction(self.vit(batch.image))


@dataclass(frozen=True)
class Shape:
    """A ViT and how many pictures of what size it learns from."""

    name: str
    size: int
    batch: int

    def __str__(self) -> str:
        return f"{self.name} at {self.size} px, {self.batch} labelled"

    def net(self, device: torch.device) -> VitNet:
        """The net, the same for every call."""
        torch.manual_seed(0)
        return VitNet(self.name, self.size).to(device).train()


def vit_shape(bench: Bench) -> Shape:
    """The ViT for this machine."""
    if bench.tiny:
        return Shape("test_vit", 32, 2)
    return Shape("vit_base_patch16_224", 224, 64) if bench.cuda else Shape("vit_tiny_patch16_224", 96, 4)


def pictures(shape: Shape, posts: int, names: tuple[str, ...], labelled: bool, device: torch.device) -> Views:
    """Views of `posts` random pictures, normalised; the same for every call."""
    draw = torch.Generator().manual_seed(posts)
    label = torch.randint(CLASSES, (posts,), generator=draw) if labelled else torch.full((posts,), UNLABELLED)
    seen = torch.ones(posts, dtype=torch.bool)
    views = {}
    for name in names:
        image = torch.randn((posts, 3, shape.size, shape.size), generator=draw)
        views[name] = Batch(torch.arange(posts), label, seen, ~seen, image=image).to(device)
    return views


def learner(
    algorithm: Algorithm, labelled: Views, unlabelled: Views, autocast: torch.dtype | None, lr: float = 1e-4
) -> Callable[[], Tensor]:
    """A function that makes one step, optimiser and all, and returns the loss, on the device."""
    optimiser, _ = build_optimiser(algorithm, TrainingOptions(lr=lr), STEPS)
    device = labelled["weak"].label.device.type

    def step() -> Tensor:
        with torch.autocast(device, autocast, enabled=autocast is not None):
            losses = algorithm(labelled, unlabelled, Step(0, 0, STEPS))
        losses.total.backward()
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        return losses.total.detach()

    return step
