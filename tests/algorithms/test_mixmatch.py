"""MixMatch by hand, with a mix that is known."""

from __future__ import annotations

from math import log

import pytest
import torch

from algorithms import mixmatch
from algorithms.mixing import Encoded
from tests.algorithms.clusters import HALF_WAY, make, posts, probabilities, views

OWN = 0.75


def mixed_with_the_last_first(posts: Encoded, label, alpha):
    """Three quarters of each post and a quarter of the one as far from the other end."""
    features = {name: OWN * value + (1 - OWN) * value.flip(0) for name, value in posts.features.items()}
    return Encoded(features, posts.present), OWN * label + (1 - OWN) * label.flip(0)


def test_guess_sharpen_mix(monkeypatch):
    monkeypatch.setattr(mixmatch, "mixup", mixed_with_the_last_first)
    algorithm = make("mixmatch", temperature=0.5, ulb_loss_ratio=7.0)
    known = posts(2, lacking=False)
    unknown = views(posts(3, 5, labelled=False, lacking=False), names=("weak", "weak_1"))
    losses = algorithm({"weak": known}, unknown, HALF_WAY)

    targets = [[float(c == y) for c in range(3)] for y in known.label]
    first, second = (probabilities(algorithm.net, unknown[name]) for name in ("weak", "weak_1"))
    guesses = []
    for one, two in zip(first, second, strict=True):
        squares = [((p + q) / 2) ** 2 for p, q in zip(one, two, strict=True)]
        guesses.append([square / sum(squares) for square in squares])
    targets += guesses + guesses
    assert losses.histograms["pseudo_label"].tolist() == [row.index(max(row)) for row in guesses]

    mixed = {}
    for name in ("text", "image"):
        every = torch.cat([getattr(batch, name) for batch in (known, unknown["weak"], unknown["weak_1"])])
        mixed[name] = torch.stack([0.75 * every[i] + 0.25 * every[7 - i] for i in range(8)])
    here = torch.ones(8, dtype=torch.bool)
    answers = algorithm.net.fuse(mixed, {"text": here, "image": here}).logits.softmax(1).tolist()
    wanted = [[0.75 * a + 0.25 * b for a, b in zip(targets[i], targets[7 - i], strict=True)] for i in range(8)]
    sup = sum(-sum(t * log(p) for t, p in zip(wanted[i], answers[i], strict=True)) for i in range(2)) / 2
    squares = [(p - t) ** 2 for i in range(2, 8) for p, t in zip(answers[i], wanted[i], strict=True)]
    assert losses.parts["sup_loss"].item() == pytest.approx(sup, rel=1e-4)
    assert losses.parts["unsup_loss"].item() == pytest.approx(sum(squares) / 18, rel=1e-4)
    assert losses.total.item() == pytest.approx(sup + 7.0 * sum(squares) / 18, rel=1e-4)


def test_encoders_run_once_with_a_gradient_and_once_at_rest_for_each_guess():
    algorithm = make("mixmatch")
    passes = []
    algorithm.net.encoders.register_forward_pre_hook(lambda module, arguments: passes.append(len(arguments[0])))
    algorithm({"weak": posts(4)}, views(posts(12, labelled=False), names=("weak", "weak_1")), HALF_WAY)
    assert passes == [28, 12, 12]
