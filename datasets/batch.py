"""The batch: the one word that all rooms share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

UNLABELLED = -1


@dataclass(frozen=True)
class Batch:
    """B posts, or one view of them, as a net reads them.

    `image` is uint8 as it comes from the loader, float and normalised once augmented, or (B, D) float features where
    the image encoder is frozen, or a detector of regions that ran before. `text` is token ids, or (B, D) float features
    where the text encoder is frozen. What a post lacks is zeros with `has_image` or `has_text` false; nets must look at
    those masks and never at the zeros.
    """

    index: Tensor  # (B,) int64: row in the post store
    label: Tensor  # (B,) int64: class id, UNLABELLED where there is none
    has_image: Tensor  # (B,) bool
    has_text: Tensor  # (B,) bool
    image: Tensor | None = None  # (B, 3, H, W) uint8 or float, or (B, D) float features
    text: Tensor | None = None  # (B, L) int64 token ids, or (B, D) float features
    text_mask: Tensor | None = None  # (B, L) bool: true where a token is; None with features
    paraphrase: Tensor | None = None  # (B, L) int64: the text said otherwise, all padding where there is none
    paraphrase_mask: Tensor | None = None  # (B, L) bool
    teacher: Tensor | None = None  # (B, C) float: a text teacher's probabilities, zeros where there are none
    group: Tensor | None = None  # (B,) int64: the same for near-duplicates and posts that belong together (the store's)

    def __len__(self) -> int:
        return len(self.index)

    def map(self, function: Callable[[Tensor], Tensor]) -> Batch:
        """Apply `function` to every tensor of the batch."""
        named = ((field.name, getattr(self, field.name)) for field in fields(self))
        return replace(self, **{name: function(value) for name, value in named if value is not None})

    def to(self, device: torch.device | str, non_blocking: bool = True) -> Batch:
        """Copy to `device`; asynchronous where the memory is pinned."""
        return self.map(lambda value: value.to(device, non_blocking=non_blocking))

    def rows(self, start: int, stop: int) -> Batch:
        """The posts from `start` up to `stop`, sharing memory."""
        return self.map(lambda value: value[start:stop])


Views = Mapping[str, Batch]
"""The views of the same posts by name: "weak", "strong", "strong_1"; index, label, teacher and group are the same in
each."""


def _pad_tokens(batches: Sequence[Batch], name: str) -> list[Tensor]:
    """The (B, L) tensors called `name`, padded with zeros on the right to the longest of them."""
    values = [getattr(batch, name) for batch in batches]
    width = max(value.shape[1] for value in values)
    return [torch.nn.functional.pad(value, (0, width - value.shape[1])) for value in values]


def concatenate(batches: Sequence[Batch]) -> Batch:
    """One batch of all posts in order; token rows are padded (masked out) to the longest."""
    if len(batches) == 1:
        return batches[0]
    joined: dict[str, Tensor | None] = {}
    for field in fields(Batch):
        values = [getattr(batch, field.name) for batch in batches]
        if any(value is None for value in values):
            joined[field.name] = None
        elif field.name in ("text", "text_mask", "paraphrase", "paraphrase_mask"):
            joined[field.name] = torch.cat(_pad_tokens(batches, field.name))
        else:
            joined[field.name] = torch.cat(values)
    return Batch(**joined)  # type: ignore[arg-type]
