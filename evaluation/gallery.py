"""The posts that a report shows: the surest wrong answers and the surest right ones, with image, text and reasons."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from datasets.images import decode
from evaluation.predict import Predictions

if TYPE_CHECKING:
    from datasets.store import PostStore

THUMBNAIL = 320
"""Pixels of a thumbnail's longer side at most."""
TILE, BAR = 128, 8
"""Pixels of a picture in a strip, and of the bar at its top."""
RIGHT, WRONG = (40, 160, 80), (200, 50, 50)
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


def picture_strip(store: PostStore, predictions: Predictions) -> np.ndarray | None:
    """The images of the posts side by side, (TILE, width, 3) uint8, each under a bar that is as wide as the answer
    is sure, green where it is right, red where it is wrong. None where no post has an image."""
    tiles = []
    for row, label, answer, confidence in zip(
        predictions.rows, predictions.label, predictions.prediction, predictions.confidence, strict=True
    ):
        stored = store.image(int(row))
        if stored is not None:
            tile = decode(stored, TILE, 0.5).copy()
            tile[:BAR, : round(TILE * float(confidence))] = RIGHT if label == answer else WRONG
            tiles.append(tile)
    return np.concatenate(tiles, axis=1) if tiles else None


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
