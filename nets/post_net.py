"""What all nets of a post share: the encoders, and what becomes of a modality that a post lacks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from transformers import PretrainedConfig

from datasets.batch import Batch
from nets.dropout import Dropout
from nets.encoders import ImageEncoder, TextEncoder, image_encoder, small_text_config
from nets.layout import Grid, Layout
from nets.options import FASTTEXT, NetOptions
from nets.prediction import Prediction

MODALITIES = ("text", "image")
FROZEN_DROPOUT = 0.5
"""Dropout of the features of a frozen encoder, of which a thousand and a few hundred labels are soon learned by heart.
With 0.8 heads do not learn enough in a few hundred steps: on the synthetic world macro-F1 falls by two points, and by
four with SCRD, while on MVSA-Single it makes no difference (docs/benchmarks.md)."""


class Encoders(nn.Module):
    """The encoders of a post. A frozen one can be left out of training: then batches bring its features.

    `widths` are those of the features by modality, `layouts` say what lies where in them.

    Args:
        text, image: the encoders; None for a net that does not read this modality.
        dropout: of the features, by modality (none: 0).
    """

    def __init__(
        self,
        text: nn.Module | None,
        image: nn.Module | None,
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
        """Remove an encoder, without gradient and in evaluation mode."""
        encoder = self.live.pop(name)
        return encoder.requires_grad_(False).eval()

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """(B, width) features by modality, zeros for the posts that lack it."""
        features: dict[str, Tensor] = {}
        if "text" in self.widths:
            assert batch.text is not None, "a net that reads texts was given a batch without"
            frozen = batch.text_mask is None
            read = batch.text if frozen else self.live["text"](batch.text, batch.text_mask)
            features["text"] = self._masked("text", read, batch.has_text, frozen)
        if "image" in self.widths:
            assert batch.image is not None, "a net that reads images was given a batch without"
            frozen = batch.image.dim() == 2
            read = batch.image if frozen else self.live["image"](batch.image)
            features["image"] = self._masked("image", read, batch.has_image, frozen)
        return features

    def _masked(self, name: str, read: Tensor, present: Tensor, frozen: bool) -> Tensor:
        """(B, width) features after dropout, zeros where the modality is not there. Those of a frozen encoder are
        finite: times the mask is several times quicker than filling. What a live one makes of nothing may be anything.
        """
        dropped = self._dropped(name, read)
        return dropped * present.unsqueeze(1) if frozen else dropped.masked_fill(~present.unsqueeze(1), 0.0)

    def _dropped(self, name: str, features: Tensor) -> Tensor:
        return self.layouts[name].map(features, self.dropout[name]) if name in self.dropout else features


class PostNet(nn.Module, ABC):
    """A net that answers for a post's image, text, or both.

    Subclasses set `name` (the flags `--net` and `--fusion`) and `reads`, and write `fuse`. A net that is `constrained`
    is one whose parts for text and image share a space: algorithms then add the loss that makes it one. The modalities
    that it `attends` to come with their tokens (see `Encoders.layouts`).

    What sets it apart from nets of two encoders: `pretrained_text` is the text net that it has by default, on the
    synthetic world `small_text`; `freezable` are the encoders that may be frozen; with `image_from_text` the encoder of
    images comes out of what the text net's weights hold; with `regions` its images are regions that a detector has
    found; with `cuts_texts` a text has no more tokens than its transformer has places; `has_features` says whether its
    predictions have features beside the logits; `own` are options of the net that it reads and most nets do not,
    `ignores` those that it does not read and most nets do.

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
    pretrained_text: ClassVar[str] = "bert"
    small_text: ClassVar[str] = FASTTEXT
    freezable: ClassVar[tuple[str, ...]] = MODALITIES
    image_from_text: ClassVar[bool] = False
    regions: ClassVar[bool] = False
    cuts_texts: ClassVar[bool] = False
    has_features: ClassVar[bool] = True
    own: ClassVar[tuple[str, ...]] = ()
    ignores: ClassVar[tuple[str, ...]] = ()

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
    def small_config(cls, vocabulary: int, length: int) -> PretrainedConfig:
        """Of a text net from scratch, for texts of `length` tokens at most."""
        return small_text_config(vocabulary, length)

    @classmethod
    def text_encoder(cls, source: str | PretrainedConfig, pooling: str, num_classes: int, tokens: int = 0) -> Any:
        """What it reads texts with; a subclass may have an encoder of its own, for which the classes count."""
        return TextEncoder(source, pooling, tokens)

    @classmethod
    def image_parts(cls, options: NetOptions) -> Grid:
        """Rows and columns of the parts of an image that it attends to; (0, 0): to none."""
        return (options.image_grid, options.image_grid) if "image" in cls.attends else (0, 0)

    @classmethod
    def image_encoder(cls, options: NetOptions, size: int, plan: Mapping[str, Any] | None, text: Any) -> Any:
        """What it reads images of `size` pixels with (0: what the weights were trained with); from the encoder's own
        `plan`, without its weights, where that is given. `text` is the encoder of texts where `image_from_text`."""
        if plan is not None:
            return image_encoder(plan, cls.image_parts(options))
        frozen = options.batch_norm == "frozen" or (options.batch_norm == "auto" and options.image_weights != "none")
        grid = cls.image_parts(options)
        return ImageEncoder(options.image_net, options.image_weights, size, frozen, grid=grid)

    def __init__(self, encoders: Encoders, num_classes: int, dim: int, dropout: float) -> None:
        super().__init__()
        self.encoders = encoders
        self.num_classes = num_classes
        self.dim = dim
        self.dropout = dropout

    @property
    def longest_text(self) -> int | None:
        """Tokens of a text that it can read at most, where it has a limit that texts must be cut to."""
        return self.encoders.layouts["text"].count if self.cuts_texts else None

    def begin_with(self, first: int, last: int) -> None:
        """Told once, of a new net: the ids of the tokens that every text begins and ends with."""

    def loaded(self) -> dict[str, nn.Module]:
        """The parts that pretrained weights are for, all but frozen encoders, by the flag that loads them: image, text.
        They learn at the rate of encoders."""
        return dict(self.encoders.live.items())

    def contrasted(self, answer: Prediction) -> dict[str, Tensor]:
        """(B, W) by modality: what image-text contrast compares, by default what the encoders gave. Where none of them
        learns, what the net makes of it: else nothing of the net would learn from the contrast."""
        if not self.encoders.live:
            return {name: answer.shared(name) for name in MODALITIES}
        assert answer.encoded is not None, "the answer does not say what the encoders gave"
        return {name: self.encoders.layouts[name].pooled(answer.encoded[name]) for name in MODALITIES}

    @property
    def contrast_widths(self) -> dict[str, int] | None:
        """Widths W of what image-text contrast compares, where it must first be mapped to a common space."""
        live, layouts = self.encoders.live, self.encoders.layouts
        return {name: layouts[name].width if live else self.dim for name in MODALITIES}

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
