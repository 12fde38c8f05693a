"""Posts that are two small feature vectors, nets that read them, and steps by hand."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import fields, replace
from typing import Any

import torch
from torch import Tensor, nn

import algorithms
from algorithms.base import Algorithm, Step, Task
from datasets.batch import UNLABELLED, Batch
from nets.build import find, nets
from nets.options import NetOptions
from nets.post_net import MODALITIES, Encoders, PostNet

CLASSES, WIDTH, DIM = 3, 8, 16
FIRST, HALF_WAY = Step(0, 0, 100), Step(50, 0, 100)
WARMING = Step(20, 0, 100)
"""A step half-way through a warm-up over the first 40 % of the run."""
POSTS = 2048
"""Rows of the store that the posts of these tests may come from; the first 64 are labelled."""
TASK = Task(CLASSES, POSTS, POSTS, torch.arange(64), torch.arange(64) % CLASSES)


class Given(nn.Module):
    """Stands for the encoder whose features the batches bring."""

    width = WIDTH


def feature_net(name: str, seed: int = 0, **changes: Any) -> PostNet:
    """A net without encoders: batches bring (B, WIDTH) features."""
    torch.manual_seed(seed)
    options = NetOptions(net=name, **{"feature_dim": DIM, "dropout": 0.0} | changes)
    kind = find(name)
    encoders = Encoders(*(Given() if modality in kind.reads else None for modality in MODALITIES))  # type: ignore[arg-type]
    net = kind.from_options(options, encoders, CLASSES)
    for modality in kind.reads:
        net.encoders.take_out(modality)
    return net


def own_net(name: str) -> str:
    """The net that an algorithm is made for: that of its own name, else the plain one of both modalities."""
    return name if name in nets() else "concat"


def make(
    name: str, net: PostNet | None = None, teacher: nn.Module | None = None, task: Task = TASK, **options: Any
) -> Algorithm:
    """An algorithm over `net`, by default the one made for it, and a copy of it as teacher."""
    kind = algorithms.find(name)
    net = net or feature_net(own_net(name))
    return kind(kind.Options(**options), net, teacher or deepcopy(net).eval().requires_grad_(False), task)


def known_options(name: str, **options: Any) -> dict[str, Any]:
    """Those of `options` that the algorithm has."""
    own = {field.name for field in fields(algorithms.find(name).Options)}
    return {key: value for key, value in options.items() if key in own}


def with_batch_norm(training: bool, name: str = "concat") -> PostNet:
    """A plain net whose maps take BatchNorm for LayerNorm."""
    net = feature_net(name)
    for modality in net.reads:
        net.map[modality][0] = nn.BatchNorm1d(net.map[modality][0].normalized_shape[0])  # type: ignore[index]
    return net.train(training)


def posts(count: int, seed: int = 0, labelled: bool = True, lacking: bool = True, start: int = 0) -> Batch:
    """`count` posts of noise from row `start` on; every third lacks its text and the next its image, if `lacking`."""
    draw = torch.Generator().manual_seed(seed)
    row = torch.arange(start, start + count)
    has_text, has_image = (row % 3 != 1) | (not lacking), (row % 3 != 2) | (not lacking)
    text, image = torch.randn(2, count, WIDTH, generator=draw)
    label = row % CLASSES if labelled else torch.full((count,), UNLABELLED)
    return Batch(row, label, has_image, has_text, image * has_image.unsqueeze(1), text * has_text.unsqueeze(1))


def views(
    batch: Batch, seed: int = 1, noise: float = 0.3, names: Sequence[str] = ("weak", "strong")
) -> dict[str, Batch]:
    """The views of a batch: the first weak one is the batch itself, the others are noisy copies."""
    draw = torch.Generator().manual_seed(seed)

    def disturbed(value: Tensor) -> Tensor:
        return value + noise * torch.randn(value.shape, generator=draw) if value.is_floating_point() else value

    return {name: batch if name == "weak" else batch.map(disturbed) for name in names}


def views_for(name: str, labelled: Batch, unlabelled: Batch) -> tuple[dict[str, Batch], dict[str, Batch]]:
    """The views of both that the algorithm declares."""
    kind = algorithms.find(name)
    if kind.asks_teacher(kind.Options()):
        labelled, unlabelled = taught(labelled), taught(unlabelled)
    return views(labelled, 1, names=kind.labelled_views), views(unlabelled, 2, names=kind.unlabelled_views)


def taught(batch: Batch) -> Batch:
    """The batch with a text teacher's answers, which are those of its own row for each post."""
    draws = torch.stack([torch.arange(CLASSES) * (1 + row % 7) % 5 for row in batch.index.tolist()])
    return replace(batch, teacher=draws.float().softmax(dim=1))


def probabilities(net: nn.Module, batch: Batch) -> list[list[float]]:
    """What the net says of each post, as plain numbers."""
    with torch.no_grad():
        rows = net(batch).logits.double().exp().tolist()
    return [[value / sum(row) for value in row] for row in rows]


def gradients(algorithm: Algorithm, *arguments: Any) -> dict[str, Tensor]:
    """The net's gradients of one step's total loss."""
    algorithm.zero_grad()
    algorithm.step(*arguments, FIRST).total.backward()
    return {key: value.grad.clone() for key, value in algorithm.net.named_parameters() if value.grad is not None}


def surer(algorithm: Algorithm, factor: float = 12.0) -> Algorithm:
    """The algorithm with its plain net and teacher as sure as trained ones: of some posts very, of some not."""
    for net in (algorithm.net, algorithm.teacher):
        with torch.no_grad():
            net.classify[-1].weight.mul_(factor)  # type: ignore[index, union-attr]
    return algorithm
