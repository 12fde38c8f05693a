"""What all nets of a post share: the encoders, and what becomes of a modality that a post lacks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn
from transformers import PretrainedConfig

from datasets.batch import Batch
from nets.encoders import ImageEncoder, TextEncoder
from nets.options import NetOptions
from nets.prediction import Prediction

MODALITIES = ("text", "image")


class Encoders(nn.Module):
    """The encoders of a post. A frozen one can be left out of training: then batches bring its features.

    Args:
        text, image: the encoders; None for a net that does not read this modality.
    """

    def __init__(self, text: TextEncoder | None, image: ImageEncoder | None) -> None:
        super().__init__()
        self.live = nn.ModuleDict({name: net for name, net in (("text", text), ("image", image)) if net is not None})
        self.widths = {name: int(net.width) for name, net in self.live.items()}  # type: ignore[arg-type]

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
        if "text" in self.widths:
            assert batch.text is not None, "a net that reads texts was given a batch without"
            read = batch.text if batch.text_mask is None else self.live["text"](batch.text, batch.text_mask)
            features["text"] = read.masked_fill(~batch.has_text.unsqueeze(1), 0.0)
        if "image" in self.widths:
            assert batch.image is not None, "a net that reads images was given a batch without"
            read = batch.image if batch.image.dim() == 2 else self.live["image"](batch.image)
            features["image"] = read.masked_fill(~batch.has_image.unsqueeze(1), 0.0)
        return features


class PostNet(nn.Module, ABC):
    """A net that answers for a post's image, text, or both.

    Subclasses set `name` (the flag `--net`) and `reads`, and write `fuse`.

    Args:
        encoders: what it reads posts with.
        num_classes: C.
        dim: width D of its representation.
        dropout: before its classifiers.
    """

    name: ClassVar[str] = ""
    reads: ClassVar[tuple[str, ...]] = MODALITIES

    @classmethod
    def from_options(cls, options: NetOptions, encoders: Encoders, num_classes: int) -> PostNet:
        """The net that resolved options ask for; a subclass with options of its own passes them on."""
        return cls(encoders, num_classes, options.feature_dim, options.dropout)

    @classmethod
    def text_encoder(cls, source: str | PretrainedConfig, pooling: str, num_classes: int) -> TextEncoder:
        """What it reads texts with; a subclass may have an encoder of its own, for which the classes count."""
        return TextEncoder(source, pooling)

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
        return self.fuse(self.encoders(batch), {"text": batch.has_text, "image": batch.has_image})


def classifier(width: int, hidden: int, num_classes: int, dropout: float) -> nn.Sequential:
    """Two layers with ReLU and dropout between, as all heads of SCRD."""
    return nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, num_classes))


def mean_of_present(values: list[Tensor], present: list[Tensor]) -> Tensor:
    """Mean of (B, D) `values` over those that are `present` ((B,) bool each); zeros where none is."""
    weight = torch.stack(present, dim=1).to(values[0].dtype)  # B×M
    total = (torch.stack(values, dim=1) * weight.unsqueeze(-1)).sum(dim=1)
    return total / weight.sum(dim=1, keepdim=True).clamp(min=1)
