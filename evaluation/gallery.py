"""The posts that a report shows: the surest wrong answers and the surest right ones, with image, text and reasons."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from evaluation.predict import Predictions

if TYPE_CHECKING:
    from datasets.store import PostStore

THUMBNAIL = 320
"""Pixels of a thumbnail's longer side at most."""
LONGEST_TEXT = 600
"""Characters of a text at most; the rest is cut with an ellipsis."""


@dataclass(frozen=True)
class Shown:
    """One post as the report shows it."""

    id: str
    text: str
    image: str | None  # data: address of a small JPEG
    truth: str
    answer: str
    right: bool
    probabilities: list[tuple[str, float]]
    selection: list[tuple[str, float]] | None  # None where the post has one modality and so no choice


def most_confident_wrong(predictions: Predictions, count: int) -> np.ndarray:
    """Positions of the wrong answers, the most confident first."""
    wrong = np.flatnonzero((predictions.label >= 0) & (predictions.prediction != predictions.label))
    return wrong[np.argsort(-predictions.confidence[wrong], kind="stable")][:count]


def most_confident_right(predictions: Predictions, count: int) -> np.ndarray:
    """Positions of right answers: the most confident of each class in turn, so that no class fills the gallery."""
    right = np.flatnonzero((predictions.label >= 0) & (predictions.prediction == predictions.label))
    right = right[np.argsort(-predictions.confidence[right], kind="stable")]
    label = predictions.label[right]
    rank = np.zeros(len(right), dtype=np.int64)
    for value in np.unique(label):
        rank[label == value] = np.arange((label == value).sum())
    return right[np.lexsort((label, rank))][:count]


def thumbnail(jpeg: bytes) -> str:
    """A small JPEG of a stored image as a data: address."""
    with Image.open(io.BytesIO(jpeg)) as image:
        image.draft("RGB", (THUMBNAIL, THUMBNAIL))
        small = image.convert("RGB")
    small.thumbnail((THUMBNAIL, THUMBNAIL))
    file = io.BytesIO()
    small.save(file, "JPEG", quality=80, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode("ascii")


def show(store: PostStore, predictions: Predictions, positions: np.ndarray) -> list[Shown]:
    """The posts at `positions` of `predictions`, as a report shows them."""
    chosen = predictions.take(positions)
    posts = []
    texts = zip(store.ids(chosen.rows), store.texts(chosen.rows), strict=True)
    for position, (post_id, text) in enumerate(texts):
        row = int(chosen.rows[position])
        stored = store.image(row)
        selection = None
        if chosen.selection is not None and store.has_image[row] and store.has_text[row]:
            shares = chosen.selection[position].tolist()
            selection = list(zip(("text", "image", "common"), shares, strict=True))
        posts.append(
            Shown(
                id=post_id,
                text=text if len(text) <= LONGEST_TEXT else text[:LONGEST_TEXT] + " …",
                image=None if stored is None else thumbnail(stored),
                truth=store.classes[chosen.label[position]],
                answer=store.classes[chosen.prediction[position]],
                right=bool(chosen.label[position] == chosen.prediction[position]),
                probabilities=list(zip(store.classes, chosen.probabilities[position].tolist(), strict=True)),
                selection=selection,
            )
        )
    return posts
