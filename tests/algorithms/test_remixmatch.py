"""ReMixMatch by hand, with a mix that is known, and its rotations."""

from __future__ import annotations

from dataclasses import replace
from math import log

import pytest
import torch
from torch import nn

from algorithms import remixmatch
from algorithms.remixmatch import turned
from tests.algorithms.clusters import HALF_WAY, feature_net, make, posts, probabilities, views
from tests.nets.tiny import tiny_net, tiny_posts

NAMES = ("weak", "strong", "strong_1")


def test_align_anchor_and_mix(monkeypatch):
    monkeypatch.setattr(remixmatch, "mixup", lambda posts, label, alpha: (posts, label))  # each with itself
    algorithm = make("remixmatch", ulb_loss_ratio=1.5, strong_loss_ratio=0.4)
    algorithm.alignment.mean_prediction.copy_(torch.tensor([0.5, 0.3, 0.2]))
    known, unknown = posts(4), views(posts(6, 5, labelled=False), names=NAMES)
    losses = algorithm({"strong": known}, unknown, HALF_WAY)
    weak, strong, other = (probabilities(algorithm.net, unknown[name]) for name in NAMES)

    average = [0.99 * old + 0.01 * sum(row[c] for row in weak) / 6 for c, old in enumerate([0.5, 0.3, 0.2])]
    shares = [22 / 64, 21 / 64, 21 / 64]  # of the 64 labelled posts
    targets = []
    for row in weak:
        squares = [(p * share / mean) ** 2 for p, share, mean in zip(row, shares, average, strict=True)]
        targets.append([square / sum(squares) for square in squares])

    def entropy(rows, wanted):
        each = [
            -sum(t * log(p) for t, p in zip(want, row, strict=True)) for row, want in zip(rows, wanted, strict=True)
        ]
        return sum(each) / len(each)

    sup = sum(-log(row[y]) for row, y in zip(probabilities(algorithm.net, known), known.label, strict=True)) / 4
    unsup, alone = entropy(strong + other + weak, targets * 3), entropy(strong, targets)
    assert losses.parts["sup_loss"].item() == pytest.approx(sup, rel=1e-4)
    assert losses.parts["unsup_loss"].item() == pytest.approx(unsup, rel=1e-4)
    assert losses.parts["strong_loss"].item() == pytest.approx(alone, rel=1e-4)
    assert losses.total.item() == pytest.approx(sup + 1.5 * unsup + 0.4 * alone, rel=1e-4)


def test_images_are_turned_by_quarters():
    image = torch.randn(8, 3, 5, 5)
    turns = torch.tensor([0, 1, 2, 3, 3, 2, 1, 0])
    expected = torch.stack([torch.rot90(one, int(turn), (1, 2)) for one, turn in zip(image, turns, strict=True)])
    assert torch.equal(turned(image, turns), expected)


def live(name: str = "concat", **options):
    return make("remixmatch", tiny_net(name)[0].train(), **options)


def tiny_views(count: int, seed: int):
    return {name: tiny_posts(seed + place, count) for place, name in enumerate(NAMES)}


def test_the_turn_of_an_image_is_told_from_its_features():
    algorithm, batch = live(), tiny_posts(3)
    torch.manual_seed(4)
    loss = algorithm.rotation_loss(algorithm.turn, batch)
    torch.manual_seed(4)
    turns = torch.randint(4, (6,)).tolist()
    each = []
    for post, turn in enumerate(turns):
        if batch.has_image[post]:
            image = torch.rot90(batch.image[post], turn, (1, 2)).unsqueeze(0)
            each.append(-algorithm.turn(algorithm.net.encoders.live["image"](image)).log_softmax(1)[0, turn].item())
    assert len(each) == 4 and len(set(turns)) > 1
    assert loss.item() == pytest.approx(sum(each) / 4, rel=1e-4)


@pytest.mark.parametrize("name", ["concat", "image"])
def test_rotations_train_the_image_encoder_and_count_by_their_weight(name):
    totals = []
    for ratio in (0.5, 1.0):
        algorithm = live(name, rotation_loss_ratio=ratio)
        algorithm.turn.load_state_dict({"weight": torch.ones(4, algorithm.turn.in_features), "bias": torch.arange(4.0)})
        torch.manual_seed(0)
        losses = algorithm({"strong": tiny_posts(9)}, tiny_views(6, 1), HALF_WAY)
        losses.total.backward()
        totals.append(losses.total.item() - ratio * losses.parts["rotation_loss"].item())
        assert algorithm.turn.weight.grad.abs().max() > 0
    assert totals[0] == pytest.approx(totals[1], rel=1e-4)
    algorithm = live(name)
    algorithm.rotation_loss(algorithm.turn, tiny_posts(6, 1)).backward()
    encoder = algorithm.net.encoders.live["image"]
    assert max(weight.grad.abs().max() for weight in encoder.parameters() if weight.grad is not None) > 0


def test_turned_images_leave_the_running_statistics_untouched():
    algorithm = make("remixmatch", tiny_net("image", "resnet10t", batch_norm="batch")[0].train())
    norm = next(module for module in algorithm.net.modules() if isinstance(module, nn.BatchNorm2d))
    before = norm.running_mean.clone()
    algorithm.rotation_loss(algorithm.turn, tiny_posts(3))
    assert norm.training and torch.equal(norm.running_mean, before)


def test_without_an_encoder_of_pixels_there_are_no_rotations():
    frozen = make("remixmatch", feature_net("concat"))
    for algorithm in (live("text"), live(rotation_loss_ratio=0.0), live("vilt"), frozen):
        assert algorithm.turn is None
    losses = live("text")({"strong": tiny_posts(9)}, tiny_views(6, 1), HALF_WAY)
    assert "rotation_loss" not in losses.parts
    algorithm, batch = live(), tiny_posts(3)
    no_image = replace(batch, has_image=torch.zeros(6, dtype=torch.bool))
    assert algorithm.rotation_loss(algorithm.turn, no_image).item() == 0
