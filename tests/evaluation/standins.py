"""A small store and a small net to evaluate, both made of a few numbers."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from datasets.batch import Batch
from datasets.store import PostStore, StoreWriter
from nets.prediction import Prediction


class SmallStore(PostStore):
    """N invented posts with the methods of a post store that evaluation reads."""

    def __init__(self, posts: int = 60, seed: int = 0, texts: list[str] | None = None) -> None:
        draw = np.random.default_rng(seed)
        self.classes: tuple[str, ...] = ("negative", "neutral", "positive")
        self.fingerprint = "f" * 64
        self.label = draw.integers(0, 3, posts)
        self.has_image = draw.random(posts) > 0.2
        self.has_text = ~self.has_image | (draw.random(posts) > 0.2)
        decides, other = draw.integers(0, 3, posts), (self.label + 1) % 3
        self.text_label = np.where(decides == 1, other, self.label)
        self.image_label = np.where(decides == 0, other, self.label)
        self.decides = np.array(["text", "image", "both"])[decides]
        self.written = texts or [f"post number {row} of many" for row in range(posts)]
        self.columns: tuple[str, ...] = ("id", "text")

    def __len__(self) -> int:
        return len(self.label)

    def ids(self, rows: Sequence[int] | np.ndarray) -> list[str]:
        """Ids that look like numbers, as those of tweets do."""
        return [f"00{row}" for row in rows]

    def texts(self, rows: Sequence[int] | np.ndarray) -> list[str]:
        """Texts of `rows`."""
        return [self.written[row] if self.has_text[row] else "" for row in rows]

    def image(self, row: int) -> bytes | None:
        """A plain JPEG in a colour of its own."""
        if not self.has_image[row]:
            return None
        file = io.BytesIO()
        Image.new("RGB", (96, 64), (row * 4 % 256, 120, 200)).save(file, "JPEG")
        return file.getvalue()


def written(store: SmallStore, folder: Path) -> PostStore:
    """The same posts in a real post store."""
    rows = range(len(store))
    with StoreWriter(folder, store.classes) as writer:
        for row, post_id, text in zip(rows, store.ids(rows), store.texts(rows), strict=True):
            said = {name: store.classes[getattr(store, name)[row]] for name in ("label", "text_label", "image_label")}
            writer.add(post_id, text=text, image=store.image(row), **said)
    return PostStore(folder)


class SmallNet(nn.Module):
    """Adds up what it is shown of image and text features; dropout shows whether it is in evaluation mode."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.image, self.text = nn.Linear(4, 3), nn.Linear(4, 3)
        self.dropout = nn.Dropout(0.5)

    def forward(self, batch: Batch) -> Prediction:
        """A `Prediction` with both modalities' logits and a selection."""
        assert batch.image is not None and batch.text is not None
        seen = torch.stack([batch.has_text, batch.has_image, batch.has_text & batch.has_image], dim=1)
        image = self.image(self.dropout(batch.image)) * batch.has_image[:, None]
        text = self.text(self.dropout(batch.text)) * batch.has_text[:, None]
        selection = torch.where(seen, 0.0, -torch.inf).softmax(dim=1)
        return Prediction(image + text, image_logits=image, text_logits=text, selection=selection)


def features(store: PostStore) -> tuple[Tensor, Tensor]:
    """Image and text features of every post."""
    draw = torch.Generator().manual_seed(1)
    return torch.randn(len(store), 4, generator=draw) * 2, torch.randn(len(store), 4, generator=draw) * 2


def batches(store: PostStore, rows: np.ndarray, size: int) -> Iterator[Batch]:
    """`rows` in the given order, `size` posts at a time, labels hidden as those of a test set are."""
    image, text = features(store)
    for start in range(0, len(rows), size):
        index = torch.from_numpy(rows[start : start + size])
        yield Batch(
            index=index,
            label=torch.full((len(index),), -1),
            has_image=torch.from_numpy(store.has_image)[index],
            has_text=torch.from_numpy(store.has_text)[index],
            image=image[index],
            text=text[index],
        )
