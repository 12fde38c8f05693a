"""Mixing by hand: shares, and posts that lack a modality."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from algorithms.mixing import Encoded, answer, encode, mix, mixup
from tests.algorithms.clusters import feature_net, posts

HERE = torch.tensor([True])
GONE = torch.tensor([False])


def post(value: float, present: torch.Tensor) -> Encoded:
    """A post whose text is one number, beside an image that is there."""
    features = {"text": torch.tensor([[value]]) * present, "image": torch.tensor([[10 * value]])}
    return Encoded(features, {"text": present, "image": HERE})


@pytest.mark.parametrize(("own", "other", "text"), [
    (HERE, HERE, 0.75 * 2 + 0.25 * 6), (HERE, GONE, 2.0), (GONE, HERE, 6.0), (GONE, GONE, 0.0),
])  # fmt: skip
def test_a_modality_that_one_of_two_posts_lacks_is_the_others(own, other, text):
    mixed = mix(post(2.0, own), post(6.0, other), torch.tensor([0.75]))
    assert mixed.features["text"].item() == pytest.approx(text)
    assert mixed.features["image"].item() == pytest.approx(0.75 * 20 + 0.25 * 60)
    assert mixed.present["text"].item() == (own | other).item() and mixed.present["image"].item()


@pytest.mark.parametrize("alpha", [0.2, 0.75, 1.0])
def test_posts_and_labels_are_mixed_alike_and_by_the_shares_of_the_paper(alpha):
    torch.manual_seed(0)
    posts_seen = Encoded({"text": torch.eye(2000)}, {"text": torch.ones(2000, dtype=torch.bool)})
    mixed, label = mixup(posts_seen, 3 * torch.eye(2000), alpha)
    torch.testing.assert_close(3 * mixed.features["text"], label)
    torch.testing.assert_close(label.sum(dim=1), torch.full((2000,), 3.0))
    kept = mixed.features["text"].diagonal()
    drawn = np.random.default_rng(0).beta(alpha, alpha, 100_000)
    assert kept.min() >= 0.5
    assert kept.mean().item() == pytest.approx(np.maximum(drawn, 1 - drawn).mean(), abs=0.015)


def test_encoding_and_answering_in_two_steps_is_the_net():
    net, first, second = feature_net("concat"), posts(3), posts(5, 1)
    together = encode(net, [first, second])
    assert len(together) == 8
    torch.testing.assert_close(answer(net, together[3:]).logits, net(second).logits)
    order = torch.tensor([2, 0])
    torch.testing.assert_close(answer(net, together[order]).logits, net(first).logits[order])
