"""Options that several algorithms share. Free of torch, because the command line reads them without importing it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import tyro


@dataclass(frozen=True)
class PseudoLabelOptions:
    """Options of every algorithm that learns from pseudo-labels."""

    threshold: Annotated[float, tyro.conf.arg(aliases=["--p_cutoff"])] = 0.95
    """Confidence from which a pseudo-label is learned from; above 1: none ever is."""
    ulb_loss_ratio: float = 1.0
    """Weight of the loss on unlabelled posts."""

    def __post_init__(self) -> None:
        for name in ("threshold", "ulb_loss_ratio"):
            value = getattr(self, name)
            if not 0 <= value < float("inf"):
                raise ValueError(f"--{name} {value} must be a number from 0 up")
