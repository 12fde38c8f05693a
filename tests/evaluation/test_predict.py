"""Predictions depend on nothing but the posts, and an evaluation without a modality really lacks it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from datasets.batch import Batch
from evaluation.predict import evaluate, limit, predict, rows_with
from tests.evaluation.standins import SmallNet, SmallStore, batches


@pytest.mark.parametrize("size", [1, 7, 60])
def test_neither_order_nor_batch_size_matters(size: int) -> None:
    store, net = SmallStore(), SmallNet()
    rows = np.arange(60)
    expected = predict(net, batches(store, rows, 60))
    found = predict(net, batches(store, np.random.default_rng(size).permutation(rows), size))
    assert found.rows.tolist() == rows.tolist()
    for name in ("probabilities", "image_probabilities", "text_probabilities", "selection"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), atol=1e-6)


def test_columns_and_what_is_missing() -> None:
    store, net = SmallStore(), SmallNet()
    rows = np.arange(5, 45)
    found = predict(net, batches(store, rows, 8))
    assert len(found) == 40 and found.probabilities.dtype == np.float32
    np.testing.assert_allclose(found.probabilities.sum(1), 1, atol=1e-6)
    assert found.image_probabilities is not None and found.text_probabilities is not None
    assert (np.isnan(found.image_probabilities).all(1) == ~store.has_image[rows]).all()
    assert (np.isnan(found.text_probabilities).all(1) == ~store.has_text[rows]).all()
    assert (found.prediction == found.probabilities.argmax(1)).all()
    assert (found.confidence == found.probabilities.max(1)).all()
    part = found.take(np.array([3, 1]))
    assert part.rows.tolist() == [8, 6] and part.selection is not None and part.selection.shape == (2, 3)


def test_modules_are_left_in_the_mode_they_were_in() -> None:
    store, net = SmallStore(), SmallNet()
    net.train()
    net.image.eval()  # a frozen part
    first = predict(net, batches(store, np.arange(9), 9))
    again = predict(net, batches(store, np.arange(9), 9))
    assert (first.probabilities == again.probabilities).all()  # no dropout
    assert net.training and net.dropout.training and not net.image.training


def test_autocast_is_close_and_its_softmax_is_float32() -> None:
    store, net = SmallStore(), SmallNet()
    plain = predict(net, batches(store, np.arange(60), 16))
    half = predict(net, batches(store, np.arange(60), 16), amp=torch.bfloat16)
    assert half.probabilities.dtype == np.float32
    assert not np.array_equal(plain.probabilities, half.probabilities)
    np.testing.assert_allclose(plain.probabilities, half.probabilities, atol=0.05)


def test_no_posts_and_a_post_twice() -> None:
    store, net = SmallStore(), SmallNet()
    with pytest.raises(ValueError, match="no posts"):
        predict(net, [])
    with pytest.raises(AssertionError, match="twice"):
        predict(net, batches(store, np.array([1, 2, 1]), 2))


def test_limit_takes_the_modality_away_altogether() -> None:
    batch = Batch(
        index=torch.arange(2),
        label=torch.zeros(2, dtype=torch.int64),
        has_image=torch.ones(2, dtype=torch.bool),
        has_text=torch.ones(2, dtype=torch.bool),
        image=torch.full((2, 3, 4, 4), 7.0),
        text=torch.full((2, 5), 9),
        text_mask=torch.ones(2, 5, dtype=torch.bool),
    )
    image_only, text_only = limit(batch, "image_only"), limit(batch, "text_only")
    assert image_only.text is not None and image_only.text_mask is not None and text_only.image is not None
    assert not image_only.has_text.any() and not image_only.text.any() and not image_only.text_mask.any()
    assert image_only.has_image.all() and image_only.image is batch.image
    assert not text_only.has_image.any() and not text_only.image.any()
    assert text_only.text is batch.text and text_only.text_mask is batch.text_mask
    assert limit(batch, "full") is batch


def test_evaluate_scores_each_availability_with_the_truth_of_the_store() -> None:
    store, net = SmallStore(), SmallNet()
    rows = np.arange(10, 60)
    scores, predictions = evaluate(net, lambda chosen: batches(store, chosen, 16), rows, store)
    assert list(scores) == ["full", "image_only", "text_only"]
    assert predictions.rows.tolist() == rows.tolist()
    assert predictions.label.tolist() == store.label[rows].tolist()
    assert scores["full"]["n"] == 50
    assert scores["full"]["accuracy"] == pytest.approx((predictions.prediction == store.label[rows]).mean())
    for name, mask, answers in (
        ("image_only", store.has_image, predictions.image_probabilities),
        ("text_only", store.has_text, predictions.text_probabilities),
    ):
        kept = rows_with(store, rows, name)
        assert kept.tolist() == rows[mask[rows]].tolist()
        assert answers is not None
        # this net's answer from one modality is its answer to a post that has no other
        expected = (answers[mask[rows]].argmax(1) == store.label[kept]).mean()
        assert scores[name]["n"] == len(kept)
        assert scores[name]["accuracy"] == pytest.approx(expected)


def test_evaluate_leaves_out_what_no_post_has() -> None:
    store, net = SmallStore(), SmallNet()
    store.has_image[:] = False
    store.has_text[:] = True
    scores, _ = evaluate(net, lambda chosen: batches(store, chosen, 16), np.arange(20), store)
    assert list(scores) == ["full", "text_only"]
