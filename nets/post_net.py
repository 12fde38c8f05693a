"""What all nets of a post share: the encoders, and what becomes of a modality that a post lacks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor, nn
from transformers import PretrainedConfig

from datasets.batch import Batch
from nets.dropout import Dropout
from nets.encoders import ImageEncoder, TextEncoder
from nets.fasttext import FastTextEncoder
from nets.layout import Layout
from nets.options import NetOptions
from nets.prediction import Prediction

MODALITIES = ("text", "image")
FROZEN_DROPOUT = 0.8
"""Dropout of the features of a frozen encoder. A thousand features and a few hundred labels are soon learned by heart:
on MVSA-Single, 600 labels, supervised training gains by it, on one test split little, on another four points of
macro-F1 (docs/benchmarks.md)."""


class Encoders(nn.Module):
    """The encoders of a post. A frozen one can be left out of training: then batches bring its features.

    `widths` are those of the features by modality, `layouts` say what lies where in them.

    Args:
        text, image: the encoders; None for a net that does not read this modality.
        dropout: of the features, by modality (none: 0).
    """

    def __init__(
        self,
        text: TextEncoder | FastTextEncoder | None,
        image: ImageEncoder | None,
        dropout: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__()
        self.dropout = nn.ModuleDict({name: Dropout(share) for name, share in (dropout or {}).items()})
        self.live = nn.ModuleDict({name: net for name, net in (("text", text), ("image", image)) if net is not None})
        self.widths = {name: int(net.width) for name, net in self.live.items()}  # type: ignore[arg-type]
        # An encoder without a layout gives its pooled features alone.
        self.layouts: dict[str, Layout] = {
            name: getattr(net, "layout", Layout(self.widths[name])) for name, net in self.live.items()
        }

    def take_out(self, name: str) -> nn.Module:
        """Remove an encoder, without gradient and in evaluation mode; `put_back` undoes it."""
        encoder = self.live.pop(name)
        return encoder.requires_grad_(False).eval()

    def put_back(self, name: str, encoder: nn.Module) -> None:
        """Return an encoder that was taken out."""
        self.live[name] = encoder

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """(B, width) features by modality, zeros for the posts that lack it."""
        features: dict[str, Tensor] = {}
        # Features of a frozen encoder are finite: times the mask is several times quicker than filling. What a live
        # one makes of nothing may be anything.
        if "text" in self.widths:
            assert batch.text is not None, "a net that reads texts was given a batch without"
            if batch.text_mask is None:
                features["text"] = self._dropped("text", batch.text) * batch.has_text.unsqueeze(1)
            else:
                read = self.live["text"](batch.text, batch.text_mask)
                features["text"] = self._dropped("text", read).masked_fill(~batch.has_text.unsqueeze(1), 0.0)
        if "image" in self.widths:
            assert batch.image is not None, "a net that reads images was given a batch without"
            if batch.image.dim() == 2:
                features["image"] = self._dropped("image", batch.image) * batch.has_image.unsqueeze(1)
            else:
                read = self.live["image"](batch.image)
                features["image"] = self._dropped("image", read).masked_fill(~batch.has_image.unsqueeze(1), 0.0)
        return features

    def _dropped(self, name: str, features: Tensor) -> Tensor:
        return self.layouts[name].map(features, self.dropout[name]) if name in self.dropout else features


class PostNet(nn.Module, ABC):
    """A net that answers for a post's image, text, or both.

    Subclasses set `name` (the flags `--net` and `--fusion`) and `reads`, and write `fuse`. A net that is `constrained`
    is one whose parts for text and image share a space: algorithms then add the loss that makes it one. The modalities
    that it `attends` to come with their tokens (see `Encoders.layouts`).

    Args:
        encoders: what it reads posts with.
        num_classes: C.
        dim: width D of its representation.
        dropout: before its classifiers.
    """

    name: ClassVar[str] = ""
    reads: ClassVar[tuple[str, ...]] = MODALITIES
    attends: ClassVar[tuple[str, ...]] = ()
    constrained: ClassVar[bool] = False

    @classmethod
    def from_options(cls, options: NetOptions, encoders: Encoders, num_classes: int) -> PostNet:
        """The net that resolved options ask for; a subclass with options of its own passes them on."""
        return cls(encoders, num_classes, options.feature_dim, options.dropout)

    @classmethod
    def feature_dropout(cls, options: NetOptions) -> dict[str, float]:
        """Dropout of the encoders' features that resolved options ask for, by modality."""
        usual = {name: FROZEN_DROPOUT if name in options.frozen else 0.0 for name in cls.reads}
        return usual if options.feature_dropout < 0 else dict.fromkeys(cls.reads, options.feature_dropout)

    @classmethod
    def text_encoder(
        cls, source: str | PretrainedConfig, pooling: str, num_classes: int, tokens: int = 0
    ) -> TextEncoder:
        """What it reads texts with; a subclass may have an encoder of its own, for which the classes count."""
        return TextEncoder(source, pooling, tokens)

    def __init__(self, encoders: Encoders, num_classes: int, dim: int, dropout: float) -> None:
        super().__init__()
        self.encoders = encoders
        self.num_classes = num_classes
        self.dim = dim
        self.dropout = dropout

    @abstractmethod
    def fuse(self, features: dict[str, Tensor], present: dict[str, Tensor]) -> Prediction:
        """The answer from (B, width) features by modality and (B,) bool presence by modality."""

    def forward(self, batch: Batch) -> Prediction:
        """Answer for B posts."""
        features = self.encoders(batch)
        answer = self.fuse(features, {"text": batch.has_text, "image": batch.has_image})
        return replace(answer, encoded=features)


def classifier(width: int, hidden: int, num_classes: int, dropout: float) -> nn.Sequential:
    """Two layers with ReLU and dropout between, as all heads of SCRD."""
    return nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), Dropout(dropout), nn.Linear(hidden, num_classes))


def mean_of_present(values: list[Tensor], present: list[Tensor]) -> Tensor:
    """Mean of (B, D) `values` over those that are `present` ((B,) bool each); zeros where none is."""
    weight = torch.stack(present, dim=1).to(values[0].dtype)  # B×M
    total = (torch.stack(values, dim=1) * weight.unsqueeze(-1)).sum(dim=1)
    return total / weight.sum(dim=1, keepdim=True).clamp(min=1)
