"""VAT by hand: the direction against the curvature itself, its length, and what it leaves alone."""

from __future__ import annotations

from math import log

import pytest
import torch

from algorithms.mixing import answer, encode
from algorithms.vat import divergence
from tests.algorithms.clusters import HALF_WAY, WARMING, feature_net, make, posts, probabilities, with_batch_norm


def test_the_direction_is_that_of_the_largest_curvature():
    """Of KL(p(f) ‖ p(f + r)) in r: its Hessian's first eigenvector, found by power iteration."""
    net = feature_net("image")
    algorithm = make("vat", net, vat_iterations=60)
    batch = posts(1, lacking=False)
    found = algorithm.direction(encode(net, [batch]))["image"][0]
    target = net(batch).logits.softmax(1).detach()

    def change(offset):
        moved = batch.image + offset
        return divergence(target, net.fuse({"image": moved}, {"image": batch.has_image}).logits)

    hessian = torch.autograd.functional.hessian(change, torch.zeros_like(batch.image))[0, :, 0, :]
    steepest = torch.linalg.eigh(hessian).eigenvectors[:, -1]
    assert found.norm().item() == pytest.approx(1.0, rel=1e-4)
    assert abs((found @ steepest).item()) > 0.99


@pytest.mark.parametrize("eps", [0.1, 0.5])
def test_the_change_is_a_share_of_each_modalitys_length(eps):
    algorithm = make("vat")
    seen = encode(algorithm.net, [posts(6)])
    moved = algorithm.moved(seen, eps, algorithm.direction(seen))
    for name, value in seen.features.items():
        expected = eps * value.norm(dim=1)
        torch.testing.assert_close((moved.features[name] - value).norm(dim=1), expected)
        assert (moved.features[name][~seen.present[name]] == 0).all() and (~seen.present[name]).any()


def test_it_does_more_than_chance():
    torch.manual_seed(0)
    algorithm = make("vat")
    seen = encode(algorithm.net, [posts(60, lacking=False)])
    target = answer(algorithm.net, seen).logits.softmax(1).detach()
    chance = {name: torch.nn.functional.normalize(torch.randn_like(value)) for name, value in seen.features.items()}
    worst, usual = (
        divergence(target, answer(algorithm.net, algorithm.moved(seen, 0.3, direction)).logits).item()
        for direction in (algorithm.direction(seen), chance)
    )
    assert worst > 3 * usual > 0


def test_the_search_leaves_weights_statistics_and_modes_alone():
    net = with_batch_norm(training=True)
    algorithm = make("vat", net)
    before = {name: value.clone() for name, value in net.named_buffers()}
    seen = encode(net, [posts(6)])
    found = algorithm.direction(seen)
    assert not any(value.requires_grad for value in found.values())
    assert all(parameter.grad is None for parameter in algorithm.parameters())
    assert all(torch.equal(value, before[name]) for name, value in net.named_buffers())
    assert all(module.training for module in net.modules())


@pytest.mark.parametrize(("step", "warm"), [(WARMING, 0.5), (HALF_WAY, 1.0)])
def test_the_losses_are_those_of_the_paper(step, warm, monkeypatch):
    algorithm = make("vat", vat_eps=0.5, ulb_loss_ratio=2.0, entropy_loss_ratio=0.3)
    straight = {"text": torch.eye(8)[[0] * 5], "image": torch.eye(8)[[1] * 5]}
    monkeypatch.setattr(algorithm, "direction", lambda seen: straight)
    known, unknown = posts(4), posts(5, 5, labelled=False)
    losses = algorithm({"weak": known}, {"weak": unknown}, step)

    features = {}
    for name, place in (("text", 0), ("image", 1)):
        features[name] = getattr(unknown, name).clone()
        for row in features[name]:
            row[place] += 0.5 * sum(value**2 for value in row.tolist()) ** 0.5
    moved = algorithm.net.fuse(features, {"text": unknown.has_text, "image": unknown.has_image}).logits.softmax(1)
    guess = probabilities(algorithm.net, unknown)
    changes = [
        sum(p * log(p / q) for p, q in zip(own, other, strict=True))
        for own, other in zip(guess, moved.tolist(), strict=True)
    ]
    unsup = sum(changes) / 5
    entropy = -sum(p * log(p) for own in guess for p in own) / 5
    sup = sum(-log(row[y]) for row, y in zip(probabilities(algorithm.net, known), known.label, strict=True)) / 4
    assert losses.parts["unsup_loss"].item() == pytest.approx(unsup, rel=1e-3) and unsup > 1e-4
    assert losses.parts["entropy_loss"].item() == pytest.approx(entropy, rel=1e-5)
    assert losses.total.item() == pytest.approx(sup + warm * 2.0 * unsup + 0.3 * entropy, rel=1e-4)
