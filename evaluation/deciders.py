"""Which modality decides: where text and image of a post say different things, which of them says what the post says.

Known where people labelled text and image each by itself (MVSA), and in the synthetic world.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from evaluation.metrics import score, selection_agreement
from evaluation.predict import Predictions

if TYPE_CHECKING:
    from datasets.store import PostStore

KINDS = {"both_agree": "both", "text_decides": "text", "image_decides": "image"}
"""Kinds of post, by the names of their figures in results.json, and what `deciders` says of them."""


def deciders(store: PostStore, rows: np.ndarray) -> np.ndarray:
    """(N,) "both" where text and image say what the post says, "text" or "image" where that one alone does, "" where
    neither does, one is missing, or nobody said."""
    text, image, label = store.text_label[rows], store.image_label[rows], store.label[rows]
    known = (text >= 0) & (image >= 0) & store.has_text[rows] & store.has_image[rows]
    text, image = known & (text == label), known & (image == label)
    return np.select([text & image, text, image], ["both", "text", "image"], default="")


def score_by_decider(store: PostStore, predictions: Predictions) -> dict[str, dict[str, Any]]:
    """`metrics.score` of the labelled posts of each of KINDS that there are."""
    decides = deciders(store, predictions.rows)
    found = {}
    for kind, decider in KINDS.items():
        posts = predictions.take(decides == decider)
        if len(posts):
            found[kind] = score(posts.probabilities, posts.label, store.classes)
    return found


def selection_found(store: PostStore, predictions: Predictions) -> dict[str, float | int]:
    """`metrics.selection_agreement` of the net's selection, {} where the net has none or the truth is not known."""
    decides = deciders(store, predictions.rows)
    if predictions.selection is None or not {"text", "image"} <= set(decides):
        return {}
    return selection_agreement(predictions.selection, decides)
