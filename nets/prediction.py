"""What a net answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from typing import Any, Self

import torch
from torch import Tensor

TEXT, IMAGE, COMMON = 0, 1, 2
"""Columns of `selection`."""


@dataclass(frozen=True)
class Prediction:
    """A net's answer for B posts. Only `logits` is always there; the rest where the net has it.

    Heads of a modality that a post lacks give values that mean nothing: read them through the batch's masks.
    """

    logits: Tensor  # (B, C): the answer
    image_logits: Tensor | None = None  # (B, C): from the image alone
    text_logits: Tensor | None = None  # (B, C): from the text alone
    common_logits: Tensor | None = None  # (B, C): from what both have in common
    selection: Tensor | None = None  # (B, 3): probability that text, image or the common part decides
    selection_logits: Tensor | None = None  # (B, 3): the same before softmax, -inf where the part is missing
    features: Tensor | None = None  # (B, D): what the last layer reads
    parts: dict[str, Tensor] | None = None  # (B, D) each: the parts by name: decoupled, or what is fused
    encoded: dict[str, Tensor] | None = None  # (B, width) by modality: what the encoders gave, where a batch was read

    def shared(self, name: str) -> Tensor:
        """(B, D): what modality `name` has in common with the other, where the net decouples it; else what is fused."""
        assert self.parts is not None, "the net does not say what it fuses"
        return self.parts.get(f"common_{name}", self.parts[name])

    def map(self, function: Callable[[Tensor], Tensor]) -> Self:
        """Apply `function` to every tensor."""
        changed: dict[str, Any] = {}
        for entry in fields(self):
            value = getattr(self, entry.name)
            if isinstance(value, Tensor):
                changed[entry.name] = function(value)
            elif value is not None:
                changed[entry.name] = {name: function(part) for name, part in value.items()}
        return replace(self, **changed)

    def rows(self, start: int, stop: int) -> Self:
        """The answers for the posts from `start` up to `stop`."""
        return self.map(lambda value: value[start:stop])

    def float(self) -> Self:
        """The same in float32: losses are not computed in the low precision of autocast."""
        return self.map(lambda value: value.to(torch.float32))


@dataclass(frozen=True)
class FullPrediction(Prediction):
    """A net's answer with nothing left out, as SCRD's algorithms need it."""

    image_logits: Tensor = field()
    text_logits: Tensor = field()
    common_logits: Tensor = field()
    selection: Tensor = field()
    selection_logits: Tensor = field()
    features: Tensor = field()
    parts: dict[str, Tensor] = field()
