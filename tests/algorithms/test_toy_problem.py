"""A problem that unlabelled posts solve: three clusters that two labels a class cannot tell from noise."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor

import algorithms
from algorithms.base import Step, Task
from datasets.augment import kind_of
from datasets.batch import UNLABELLED, Batch
from tests.algorithms.clusters import CLASSES, WIDTH, feature_net, known_options, make, own_net
from training.ema import Ema

STEPS, LABELLED, UNLABELLED_POSTS, TEST = 250, 6, 1200, 900
WIDE, NARROW = 1.0, 0.3
"""Standard deviations of the dimensions that say nothing, and of a cluster (centres are 1 from the origin)."""
NOISE = {"clean": 0.0, "weak": 0.1, "strong": 2.0}
"""How much each kind of view disturbs a post."""
MIDDLE = 1.0
"""How much the weak unlabelled views of a method do that has no strong ones: what it says of a post under every such
change is all that it has to learn from."""
TEACHER_ERRORS = 3
"""Of ten posts, those about which the text teacher is wrong; only methods that read one are told."""
GAIN = 0.2
"""What a method must be better by than the labelled posts alone, where `EXPECTED` does not say otherwise."""
EXPECTED = {"pseudo_label": 0.0, "vat": 0.01}
"""What methods gain at least that see one view of a post: it does not tell them what about a post says nothing. So the
labelled views have to, which disturb as much here, for the method and for what it is compared with."""
OPTIONS: dict[str, dict[str, Any]] = {
    "mixmatch": {"ulb_loss_ratio": 3.0, "align": "labelled"},
    "pseudo_label": {"threshold": 0.95},
}
"""Options that suit a method on this problem, besides a threshold of 0.8 for those that have one."""

Posts = tuple[Tensor, Tensor, Tensor, Tensor]
"""Row, label, text features and image features."""


def draw_posts(first: int, count: int, draw: torch.Generator) -> Posts:
    """Posts: in either modality a corner of the class in the first dimensions, noise in the rest."""
    label = torch.arange(count) % CLASSES
    corner = torch.nn.functional.one_hot(label, CLASSES).float()
    features = []
    for _ in range(2):
        noise = WIDE * torch.randn(count, WIDTH - CLASSES, generator=draw)
        features.append(torch.cat([corner + NARROW * torch.randn(count, CLASSES, generator=draw), noise], dim=1))
    return torch.arange(first, first + count), label, features[0], features[1]


def view(noise: float, posts: Posts, draw: torch.Generator, labelled: bool = True) -> Batch:
    """A batch whose uninformative dimensions are disturbed by `noise`, the informative ones by a tenth of it."""
    row, label, text, image = posts
    scale = noise * torch.tensor([0.1] * CLASSES + [1.0] * (WIDTH - CLASSES))
    here = torch.ones(len(label), dtype=torch.bool)
    moved = [value + scale * torch.randn(value.shape, generator=draw) for value in (image, text)]
    wrong = (row % 10 < TEACHER_ERRORS).long()  # a teacher that is not quite sure, and wrong about these
    teacher = (2 * torch.nn.functional.one_hot((label + wrong) % CLASSES, CLASSES).float()).softmax(dim=1)
    return Batch(row, label if labelled else torch.full_like(label, UNLABELLED), here, here, *moved, teacher=teacher)


def accuracy(name: str, seed: int, labelled_noise: float = NOISE["weak"]) -> float:
    """Test accuracy of the averaged net after training with `name`, whose weak labelled views disturb so much."""
    draw = torch.Generator().manual_seed(seed)
    known = draw_posts(0, LABELLED, draw)
    unknown = draw_posts(LABELLED, UNLABELLED_POSTS, draw)
    test = draw_posts(LABELLED + UNLABELLED_POSTS, TEST, draw)
    task = Task(CLASSES, LABELLED + UNLABELLED_POSTS, UNLABELLED_POSTS, known[0], known[1])
    net = feature_net(own_net(name), seed=seed, feature_dim=32)
    ema = Ema(net, 0.95)
    kind = algorithms.find(name)
    noise = NOISE if "strong" in kind.unlabelled_views else NOISE | {"weak": MIDDLE}
    known_noise = NOISE | {"weak": labelled_noise}
    options = known_options(name, threshold=0.8) | OPTIONS.get(name, {})
    algorithm = make(name, net, ema.net, task, **options)
    optimiser = torch.optim.AdamW(algorithm.parameters(), lr=3e-3)
    for number in range(STEPS):
        rows = torch.randint(0, UNLABELLED_POSTS, (48,), generator=draw)
        some = tuple(value[rows] for value in unknown)
        labelled = {each: view(known_noise[kind_of(each)], known, draw) for each in algorithm.labelled_views}
        unlabelled = {each: view(noise[kind_of(each)], some, draw, labelled=False) for each in kind.unlabelled_views}
        optimiser.zero_grad()
        algorithm(labelled, unlabelled, Step(number, 0, STEPS)).total.backward()
        optimiser.step()
        ema.update(net, number)
    with torch.no_grad():
        found = ema.net(view(NOISE["clean"], test, draw)).logits.argmax(1)
    return (found == test[1]).float().mean().item()


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Tensors this small only wait for each other on several threads: minutes instead of seconds on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@cache
def baseline(labelled_noise: float) -> float:
    """What the labelled posts alone give."""
    return accuracy("supervised", 0, labelled_noise)


@pytest.mark.parametrize("name", [name for name in algorithms.names() if algorithms.find(name).unlabelled_views])
def test_unlabelled_posts_help_clearly(name):
    noise = MIDDLE if name in EXPECTED else NOISE["weak"]
    found, alone = accuracy(name, 0, noise), baseline(noise)
    assert found > alone + EXPECTED.get(name, GAIN), f"{name} {found:.3f}, supervised {alone:.3f}"
