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
    """Image-text contrast: the same post or the same text elsewhere in the batch is no negative."""
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
    """Class-balanced loss: a class with n labelled posts weighs as (1 - b) / (1 - b^n) for this b, below 1; 0: all
    classes weigh the same; 0.999 is usual."""
    logit_adjustment: float = 0.0
    """Logits of labelled posts are raised by this times the logarithm of the share of labelled posts of each class, so
    that rare classes need a margin; 0: not; 1 is usual."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.class_balance < 1:
            raise ValueError(f"--class_balance {self.class_balance} must be from 0 up, and below 1")
        if not 0 <= self.logit_adjustment < float("inf"):
            raise ValueError(f"--logit_adjustment {self.logit_adjustment} must be a number from 0 up")


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
        if not 0 <= self.ulb_loss_ratio < float("inf"):
            raise ValueError(f"--ulb_loss_ratio {self.ulb_loss_ratio} must be a number from 0 up")


@dataclass(frozen=True)
class PseudoLabelOptions(UnlabelledOptions):
    """Options of every algorithm that learns from confident pseudo-labels."""

    threshold: Annotated[float, tyro.conf.arg(aliases=["--p_cutoff"])] = 0.95
    """Confidence from which a pseudo-label is learned from; above 1: none ever is."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.threshold < float("inf"):
            raise ValueError(f"--threshold {self.threshold} must be a number from 0 up")
