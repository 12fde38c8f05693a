"""The strip of pictures that TensorBoard shows."""

from __future__ import annotations

import numpy as np

from evaluation.gallery import BAR, RIGHT, TILE, WRONG, picture_strip
from evaluation.predict import Predictions
from tests.evaluation.standins import SmallStore


def predictions(store: SmallStore, rows: list[int], confidence: float) -> Predictions:
    """Class 0 for every post, as sure as `confidence`; the first is right, the others are wrong."""
    probabilities = np.tile(np.array([confidence, 1 - confidence, 0.0], dtype=np.float32), (len(rows), 1))
    label = np.array([0] + [2] * (len(rows) - 1))
    return Predictions(np.array(rows), probabilities, label)


def test_a_bar_says_how_sure_and_whether_right():
    store = SmallStore()
    rows = np.flatnonzero(store.has_image)[:2].tolist()
    strip = picture_strip(store, predictions(store, rows, 0.75))
    assert strip is not None and strip.shape == (TILE, 2 * TILE, 3) and strip.dtype == np.uint8
    wide = round(0.75 * TILE)
    assert (strip[:BAR, :wide] == RIGHT).all() and (strip[:BAR, TILE : TILE + wide] == WRONG).all()
    assert (strip[:BAR, wide:TILE] != RIGHT).any()


def test_posts_without_image_are_left_out():
    store = SmallStore()
    missing = np.flatnonzero(~store.has_image)[:1].tolist()
    there = np.flatnonzero(store.has_image)[:1].tolist()
    assert picture_strip(store, predictions(store, missing, 0.9)) is None
    strip = picture_strip(store, predictions(store, missing + there, 0.9))
    assert strip is not None and strip.shape == (TILE, TILE, 3)
