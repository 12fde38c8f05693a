"""Which modality decides a post, and what is made of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from evaluation.deciders import deciders, score_by_decider, selection_found
from evaluation.predict import Predictions
from tests.evaluation.standins import SmallStore

ROWS = np.arange(60)


def answers(store: SmallStore, selection: np.ndarray | None = None) -> Predictions:
    """Always what the text says."""
    probabilities = np.eye(3, dtype=np.float32)[store.text_label]
    return Predictions(ROWS, probabilities, store.label, selection=selection)


def test_deciders_by_hand() -> None:
    store = SmallStore(7)
    store.has_text, store.has_image = np.ones(7, bool), np.array([1, 1, 1, 1, 0, 1, 1], bool)
    store.label = np.array([0, 2, 1, 0, 0, -1, 2])
    store.text_label = np.array([0, 2, 0, 1, 0, -1, 2])
    store.image_label = np.array([0, 1, 1, 2, -1, -1, -1])
    assert deciders(store, np.arange(7)).tolist() == ["both", "text", "image", "", "", "", ""]
    assert deciders(store, np.array([2, 0])).tolist() == ["image", "both"]


def test_who_always_follows_the_text_is_right_where_it_decides_and_wrong_where_the_image_does() -> None:
    store = SmallStore()
    found = score_by_decider(store, answers(store))
    assert {name: scores["accuracy"] for name, scores in found.items()} == {
        "both_agree": 1.0, "text_decides": 1.0, "image_decides": 0.0,
    }  # fmt: skip
    both = store.has_text & store.has_image
    assert found["text_decides"]["n"] == (both & (store.decides == "text")).sum() > 0


def test_a_kind_without_a_post_has_no_figure() -> None:
    store = SmallStore()
    store.image_label = np.full(60, -1)
    assert score_by_decider(store, answers(store)) == {}
    assert selection_found(store, answers(store, np.full((60, 3), 1 / 3))) == {}


def test_a_selection_that_knows_is_always_right() -> None:
    store = SmallStore()
    knowing = np.where((store.decides == "text")[:, None], [0.8, 0.1, 0.1], [0.1, 0.8, 0.1])
    found = selection_found(store, answers(store, knowing))
    assert found["agreement"] == found["auc"] == 1.0
    assert selection_found(store, replace(answers(store), selection=knowing[:, [1, 0, 2]]))["auc"] == 0.0
    assert selection_found(store, answers(store)) == {}
