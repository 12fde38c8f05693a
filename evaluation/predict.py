"""A net's answers for many posts, and how good they are with both modalities and with one of them taken away."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from datasets.batch import Batch
from evaluation.metrics import score
from nets.prediction import Prediction

if TYPE_CHECKING:
    from datasets.store import PostStore

AVAILABILITY = ("full", "image_only", "text_only")
"""What a net may see of a post in an evaluation."""


@dataclass(frozen=True)
class Predictions:
    """Answers for N posts in the order of their rows, on the host.

    `selection` and the answers from one modality are None where the net has no such output, and NaN for a post that
    lacks the modality.
    """

    rows: np.ndarray  # (N,) int64: rows of the post store, ascending
    probabilities: np.ndarray  # (N, C) float32
    label: np.ndarray  # (N,) int64: class id, -1 where there is none
    image_probabilities: np.ndarray | None = None  # (N, C) float32: from the image alone
    text_probabilities: np.ndarray | None = None  # (N, C) float32: from the text alone
    selection: np.ndarray | None = None  # (N, 3) float32: text, image, common

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def prediction(self) -> np.ndarray:
        """(N,) int64: the class with the highest probability."""
        return self.probabilities.argmax(axis=1)

    @property
    def confidence(self) -> np.ndarray:
        """(N,) float32: the highest probability."""
        return self.probabilities.max(axis=1)

    def take(self, which: np.ndarray | slice) -> Predictions:
        """The posts that `which` (a mask, positions or a slice) picks."""
        values: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}
        return replace(self, **{name: value[which] for name, value in values.items() if value is not None})


@contextmanager
def evaluation_mode(net: nn.Module) -> Iterator[None]:
    """`net` in evaluation mode, then each of its modules as it was (frozen ones are never in training mode)."""
    training = [module for module in net.modules() if module.training]
    net.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True


def _answers(batch: Batch, prediction: Prediction) -> dict[str, Tensor]:
    """The columns of `Predictions` for one batch, on its device."""
    columns = {"rows": batch.index, "label": batch.label, "probabilities": prediction.logits.softmax(dim=1)}
    if prediction.image_logits is not None:
        missing = ~batch.has_image[:, None]
        columns["image_probabilities"] = prediction.image_logits.softmax(dim=1).masked_fill(missing, torch.nan)
    if prediction.text_logits is not None:
        missing = ~batch.has_text[:, None]
        columns["text_probabilities"] = prediction.text_logits.softmax(dim=1).masked_fill(missing, torch.nan)
    if prediction.selection is not None:
        columns["selection"] = prediction.selection
    return columns


@torch.inference_mode()
def predict(net: nn.Module, batches: Iterable[Batch], amp: torch.dtype | None = None) -> Predictions:
    """`net`'s answers for every post of `batches`, each post once, sorted by row.

    So neither the order nor the size of the batches shows in the result. `amp` is the type to autocast to (bf16),
    None for float32; softmax is always in float32. Nothing is read back to the host before the last batch is under way.
    """
    parts: dict[str, list[Tensor]] = {}
    with evaluation_mode(net):
        for batch in batches:
            with torch.autocast(batch.index.device.type, dtype=amp, enabled=amp is not None):
                prediction = net(batch)
            for name, value in _answers(batch, prediction.float()).items():
                parts.setdefault(name, []).append(value)
    if not parts:
        raise ValueError("there are no posts to predict")
    columns = {name: torch.cat(values).cpu().numpy() for name, values in parts.items()}
    order = np.argsort(columns["rows"], kind="stable")
    columns = {name: value[order] for name, value in columns.items()}
    assert (np.diff(columns["rows"]) > 0).all(), "a post came twice"
    return Predictions(**columns)


def rows_with(store: PostStore, rows: np.ndarray, availability: str) -> np.ndarray:
    """Those of `rows` that have what `availability` lets a net see."""
    assert availability in AVAILABILITY
    if availability == "full":
        return rows
    return rows[(store.has_image if availability == "image_only" else store.has_text)[rows]]


def limit(batch: Batch, availability: str) -> Batch:
    """`batch` as if its posts had only what `availability` lets a net see: the rest is zeros, and masked as missing."""
    assert availability in AVAILABILITY
    if availability == "full":
        return batch
    hidden = ("text", "text_mask", "paraphrase", "paraphrase_mask") if availability == "image_only" else ("image",)
    mask = "has_text" if availability == "image_only" else "has_image"
    values = {name: getattr(batch, name) for name in (mask, *hidden)}
    return replace(batch, **{name: torch.zeros_like(value) for name, value in values.items() if value is not None})


def evaluate(
    net: nn.Module,
    batches_of: Callable[[np.ndarray], Iterable[Batch]],
    rows: np.ndarray,
    store: PostStore,
    amp: torch.dtype | None = None,
    availabilities: Iterable[str] = AVAILABILITY,
) -> tuple[dict[str, dict[str, Any]], Predictions]:
    """Scores of `net` on the labelled posts among `rows` by availability, and its full answers for all of `rows`.

    `batches_of(rows)` gives the clean view of these rows. The truth is the store's, not the batches' label, which a
    split may hide. An availability that none of the labelled posts has is left out. The first of `availabilities` must
    be "full".
    """
    names = tuple(availabilities)
    assert names[0] == "full"
    scores: dict[str, dict[str, Any]] = {}
    answers: dict[str, Predictions] = {}
    for name in names:
        kept = rows_with(store, rows, name)
        if name != "full" and not (store.label[kept] >= 0).any():
            continue
        predictions = predict(net, (limit(batch, name) for batch in batches_of(kept)), amp)
        answers[name] = replace(predictions, label=store.label[predictions.rows].astype(np.int64))
        scores[name] = score(answers[name].probabilities, answers[name].label, store.classes)
    return scores, answers["full"]
