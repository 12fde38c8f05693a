"""Options that several algorithms share. Free of torch, because the command line reads them without importing it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import tyro


@dataclass(frozen=True)
class AuxiliaryOptions:
    """Losses that any algorithm with a net of text and image can add; 0.1 each is what was published."""

    itc_loss_ratio: float = 0.0
    """Share of image-text contrast in the loss: text and image of a post are closer than those of two posts; 0: off."""
    itc_mask_duplicates: bool = True
    """Image-text contrast: the same post, a near-duplicate or the same text elsewhere in the batch is no negative."""
    itm_loss_ratio: float = 0.0
    """Share of image-text matching in the loss: tell the post's own text from another's; 0: off."""
    itm_hard_negatives: bool = False
    """Image-text matching: prefer other texts that are like the image (needs --itc_loss_ratio)."""
    class_negative_loss_ratio: float = 0.0
    """Share in the loss of: an image is close to its text and far from texts of other classes; 0: off, but 0.1 where
    --fusion common_space asks for it."""
    class_negative_form: Literal["logistic", "hinge"] = "logistic"
    """Form of that loss."""

    def __post_init__(self) -> None:
        for name in ("itc_loss_ratio", "itm_loss_ratio", "class_negative_loss_ratio"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"--{name} {getattr(self, name)} must be from 0 up, and below 1")
        if self.itm_hard_negatives and not (self.itc_loss_ratio and self.itm_loss_ratio):
            raise ValueError(
                "--itm_hard_negatives chooses texts for image-text matching by image-text contrast: it needs "
                "--itm_loss_ratio and --itc_loss_ratio"
            )


@dataclass(frozen=True)
class AlgorithmOptions(AuxiliaryOptions):
    """Options of every algorithm: auxiliary losses, and what to do where some classes have far fewer labelled posts
    than others."""

    class_balance: float = 0.0
    """Class-balanced loss: a class with n labelled posts weighs as (1 - b) / (1 - b^n) for this b; 0: all classes weigh
    the same; 0.999 is usual; 1: as 1 / n, so that a post weighs 1 on average (scikit-learn's "balanced")."""
    logit_adjustment: float = 0.0
    """Logits of labelled posts are raised by this times the logarithm of the share of labelled posts of each class, so
    that rare classes need a margin; 0: not; 1 is usual."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_share("class_balance")
        self.check_from_zero("logit_adjustment")

    def check_from_zero(self, *names: str) -> None:
        """Raise ValueError for the options called `names` that are below 0, or no number."""
        for name in names:
            if not 0 <= getattr(self, name) < float("inf"):
                raise ValueError(f"--{name} {getattr(self, name)} must be a number from 0 up")

    def check_share(self, *names: str) -> None:
        """Raise ValueError for the options called `names` that are not from 0 to 1."""
        for name in names:
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"--{name} {getattr(self, name)} is a share, so it must be from 0 to 1")

    def check_above_zero(self, *names: str) -> None:
        """Raise ValueError for the options called `names` that are 0 or less, or no number."""
        for name in names:
            if not 0 < getattr(self, name) < float("inf"):
                raise ValueError(f"--{name} {getattr(self, name)} must be a number above 0")


@dataclass(frozen=True)
class UnlabelledOptions(AlgorithmOptions):
    """Options of every algorithm that learns from unlabelled posts."""

    ulb_loss_ratio: float = 1.0
    """Weight of the loss on unlabelled posts."""
    align: Literal["none", "uniform", "labelled"] = "none"
    """Distribution alignment: rescale what unlabelled posts are taken for, so that over time the classes are equally
    frequent, or as frequent as among the labelled posts."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_from_zero("ulb_loss_ratio")


@dataclass(frozen=True)
class WarmUpOptions(UnlabelledOptions):
    """Options of every algorithm whose unlabelled posts count little at first."""

    unsup_warm_up: float = 0.4
    """Share of the run over which the weight of the loss on unlabelled posts rises from 0 to its value; 0: it has its
    value at once."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.unsup_warm_up <= 1:
            raise ValueError(f"--unsup_warm_up {self.unsup_warm_up} is a share of the run, so it must be from 0 to 1")


@dataclass(frozen=True)
class SharpeningOptions(UnlabelledOptions):
    """Options of every algorithm that sharpens what unlabelled posts are taken for."""

    temperature: float = 0.5
    """What unlabelled posts are taken for is sharpened with this temperature; 1: left as it is, near 0: one class."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_above_zero("temperature")


@dataclass(frozen=True)
class MixingOptions(WarmUpOptions, SharpeningOptions):
    """Options of every algorithm that mixes posts, with the published values of MixMatch and ReMixMatch."""

    unsup_warm_up: float = 1 / 64
    """Share of the run over which the weight of the loss on unlabelled posts rises from 0 to its value; 0: it has its
    value at once."""
    mixup_alpha: float = 0.75
    """Two posts are mixed by shares drawn from Beta(a, a) for this a; small: hardly, 1: by any share alike."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_above_zero("mixup_alpha")


@dataclass(frozen=True)
class PseudoLabelOptions(UnlabelledOptions):
    """Options of every algorithm that learns from confident pseudo-labels."""

    threshold: Annotated[float, tyro.conf.arg(aliases=["--p_cutoff"])] = 0.95
    """Confidence from which a pseudo-label is learned from; above 1: none ever is."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_from_zero("threshold")


@dataclass(frozen=True)
class EmbeddingOptions(PseudoLabelOptions):
    """Options of every algorithm that also compares posts by embeddings, made by a projection head of its own."""

    embedding_dim: int = 64
    """Width of an embedding."""
    embedding_temperature: float = 0.2
    """Temperature of the similarity between embeddings; low: only the nearest posts count."""
    smoothing_ratio: float = 0.1
    """Share of a pseudo-label that is what similar posts are taken for; the rest is the post's own prediction."""
    contrast_loss_ratio: float = 1.0
    """Weight of the loss on embeddings."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_above_zero("embedding_dim", "embedding_temperature")
        self.check_share("smoothing_ratio")
        self.check_from_zero("contrast_loss_ratio")
