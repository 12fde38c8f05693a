"""The offset at which positive begins: by hand, and of what it is found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from datasets.batch import Batch
from datasets.store import PostStore, StoreWriter
from evaluation.offset import Offset, fit_offset, validation_offset
from nets.prediction import Prediction


def with_scores(scores: list[float]) -> np.ndarray:
    """(N, 3) probabilities of which neutral has 0.2 and log p(positive) - log p(negative) is as given."""
    positive = 0.8 / (1 + np.exp(-np.array(scores)))
    return np.stack([0.8 - positive, np.full(len(scores), 0.2), positive], axis=1)


def test_the_offset_by_hand() -> None:
    is_positive = np.array([False, False, False, True, True])
    found = fit_offset(with_scores([-2, 0.5, 1.0, 2.0, 3.0]), is_positive)
    assert found == Offset(pytest.approx(1.5), 5, 1.0, pytest.approx((1 + 1 / 3) / 2))
    # one mistake is left: all three negatives below 1.5 and one of two positives above
    found = fit_offset(with_scores([-2, 0.5, 1.0, -1.0, 3.0]), is_positive)
    assert found == Offset(pytest.approx(2.0), 5, 0.75, pytest.approx((1 / 3 + 1 / 2) / 2))


def test_of_equal_ones_it_is_the_nearest_to_nothing() -> None:
    is_positive = np.array([False, True])
    found = fit_offset(with_scores([-1.0, 5.0]), is_positive)
    assert found is not None and found.offset == 0.0 and found.balanced_accuracy == found.at_zero == 1.0
    # at -2.5 and at 3.5 the same share is right
    found = fit_offset(with_scores([-3, -2, 3, 4, 1, 1]), np.array([False, True, False, True, True, False]))
    assert found is not None and abs(found.offset) == pytest.approx(2.5)


def test_classes_count_the_same_and_zeros_are_no_trouble() -> None:
    scores = [1.0] * 98 + [2.0, 3.0]
    found = fit_offset(with_scores(scores), np.arange(100) >= 98)
    assert found is not None and found.offset == pytest.approx(1.5) and found.balanced_accuracy == 1.0
    sure = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    found = fit_offset(sure, np.array([False, True]))
    assert found is not None and found.offset == 0.0
    assert fit_offset(sure, np.array([True, True])) is None


READS = ("image", "text")


class Brightness(nn.Module):
    """Answers by the brightness of the image; where it sees the text, it is sure of the opposite."""

    def forward(self, batch: Batch) -> Prediction:
        assert batch.image is not None
        level = batch.image.mean((1, 2, 3)) - 9 * batch.has_text
        return Prediction(torch.stack([torch.zeros_like(level), torch.full_like(level, 9.0), level], dim=1))


@pytest.fixture
def store(tmp_path: Path) -> PostStore:
    """Post i has the level i; those up to 3 are negative, 4 to 6 positive, then neutral, none, without an image."""
    labels = ["negative"] * 4 + ["positive"] * 3 + ["neutral", None, "negative"]
    with StoreWriter(tmp_path / "s", ("negative", "neutral", "positive")) as writer:
        for number, label in enumerate(labels):
            writer.add(str(number), text="text", image=None if number == 9 else b"jpeg", label=label)
    return PostStore(tmp_path / "s")


def batches_of(rows: np.ndarray) -> list[Batch]:
    count = len(rows)
    image = torch.from_numpy(rows).float().view(-1, 1, 1, 1).expand(-1, 3, 2, 2)
    return [
        Batch(
            index=torch.from_numpy(rows), label=torch.full((count,), -1), image=image,
            has_image=torch.ones(count, dtype=torch.bool), has_text=torch.ones(count, dtype=torch.bool),
        )
    ]  # fmt: skip


def test_it_is_found_on_images_alone_of_posts_that_are_negative_or_positive(store: PostStore) -> None:
    net = Brightness()
    found = validation_offset(net, READS, batches_of, np.arange(10), store)
    assert found == Offset(pytest.approx(3.5), 7, 1.0, pytest.approx((1 + 1 / 4) / 2))
    assert validation_offset(net, READS, batches_of, np.arange(4, 10), store) is None
    assert validation_offset(net, READS, batches_of, np.array([7, 8]), store) is None
    assert validation_offset(net, ("text",), batches_of, np.arange(10), store) is None


def test_other_classes_have_no_offset(tmp_path: Path) -> None:
    with StoreWriter(tmp_path / "s") as writer:
        for number, label in enumerate(("joy", "awe")):
            writer.add(str(number), image=b"jpeg", label=label)
    net = Brightness()
    assert validation_offset(net, READS, batches_of, np.arange(2), PostStore(tmp_path / "s")) is None
