"""A problem that unlabelled posts solve: three clusters that two labels a class cannot tell from noise."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch import Tensor

from algorithms.base import Step
from datasets.batch import Batch
from tests.algorithms.clusters import CLASSES, WIDTH, feature_net, make

STEPS, LABELLED, UNLABELLED_POSTS, TEST = 250, 6, 1200, 900
WIDE, NARROW = 1.0, 0.3
"""Standard deviations of the dimensions that say nothing, and of a cluster (centres are 1 from the origin)."""


def draw_posts(count: int, draw: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Labels, and text and image features: in each a corner of the class in the first dimensions, noise in the rest."""
    label = torch.arange(count) % CLASSES
    corner = torch.nn.functional.one_hot(label, CLASSES).float()
    features = []
    for _ in range(2):
        noise = WIDE * torch.randn(count, WIDTH - CLASSES, generator=draw)
        features.append(torch.cat([corner + NARROW * torch.randn(count, CLASSES, generator=draw), noise], dim=1))
    return label, features[0], features[1]


def view(label: Tensor, text: Tensor, image: Tensor, noise: float, draw: torch.Generator) -> Batch:
    """A batch whose uninformative dimensions are disturbed by `noise`, the informative ones a little."""
    scale = torch.tensor([0.1] * CLASSES + [1.0] * (WIDTH - CLASSES))
    here = torch.ones(len(label), dtype=torch.bool)
    moved = [value + noise * scale * torch.randn(value.shape, generator=draw) for value in (image, text)]
    return Batch(torch.arange(len(label)), label, here, here, *moved)


def accuracy(name: str, seed: int) -> float:
    """Test accuracy of the averaged net after training with `name`."""
    draw = torch.Generator().manual_seed(seed)
    known, unknown, test = (draw_posts(count, draw) for count in (LABELLED, UNLABELLED_POSTS, TEST))
    net = feature_net("scrd" if name == "scrd" else "concat", seed=seed, feature_dim=32)
    teacher = deepcopy(net).eval().requires_grad_(False)
    options = {} if name == "supervised" else {"threshold": 0.8}
    algorithm = make(name, net, teacher, **options)
    optimiser = torch.optim.AdamW(net.parameters(), lr=3e-3)
    for number in range(STEPS):
        rows = torch.randint(0, UNLABELLED_POSTS, (48,), generator=draw)
        some = tuple(value[rows] for value in unknown)
        labelled = {"weak": view(*known, 0.1, draw)}
        unlabelled = {"weak": view(*some, 0.1, draw), "strong": view(*some, 2.0, draw)}
        optimiser.zero_grad()
        algorithm(labelled, unlabelled, Step(number, 0, STEPS)).total.backward()
        optimiser.step()
        with torch.no_grad():
            for average, value in zip(teacher.parameters(), net.parameters(), strict=True):
                average.lerp_(value, max(1 / (number + 1), 0.05))
    with torch.no_grad():
        found = teacher(view(*test, 0.0, draw)).logits.argmax(1)
    return (found == test[0]).float().mean().item()


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Tensors this small only wait for each other on several threads: minutes instead of seconds on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def baseline(one_thread):
    return accuracy("supervised", 0)


@pytest.mark.parametrize("name", ["fixmatch", "scrd"])
def test_unlabelled_posts_help_clearly(name, baseline):
    found = accuracy(name, 0)
    assert found > baseline + 0.2, f"{name} {found:.3f}, supervised {baseline:.3f}"
