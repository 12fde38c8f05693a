"""Joint fusion and common-space fusion (Duong et al., Multimodal Classification for Analysing Social Media, 2017)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from nets.fusion import FusionNet
from nets.options import NetOptions
from nets.post_net import MODALITIES, Encoders, mean_of_present


class JointNet(FusionNet):
    """x = pool(γ(image), ψ(text)), element by element over the modalities that the post has (arXiv 1708.02099).

    γ and ψ are the linear maps to width D; the paper maps the image alone, to the width of its own text vectors. With
    one modality missing x is the other's vector, whatever the pooling.

    Args:
        pooling: "max", "mean", "sum" or "product".
    """

    name = "joint"
    own = ("joint_pooling",)

    @classmethod
    def from_options(cls, options: NetOptions, encoders: Encoders, num_classes: int) -> JointNet:
        """See PostNet."""
        return cls(encoders, num_classes, options.feature_dim, options.dropout, options.joint_pooling)

    def __init__(self, encoders: Encoders, num_classes: int, dim: int, dropout: float, pooling: str) -> None:
        super().__init__(encoders, num_classes, dim, dropout)
        self.pooling = pooling

    def mix(self, mapped: dict[str, Tensor], present: dict[str, Tensor]) -> Tensor:
        """See FusionNet."""
        vectors, here = [mapped[name] for name in MODALITIES], [present[name] for name in MODALITIES]
        if self.pooling == "mean":
            return mean_of_present(vectors, here)
        both, there = torch.stack(vectors, dim=1), torch.stack(here, dim=1).unsqueeze(-1)  # B×2×D, B×2×1
        anything = there.any(dim=1)
        if self.pooling == "max":
            return torch.where(anything, both.masked_fill(~there & anything.unsqueeze(1), -math.inf).amax(dim=1), 0.0)
        if self.pooling == "product":
            text, image = both.masked_fill(~there, 1.0).unbind(dim=1)
            return torch.where(anything, text * image, 0.0)
        return both.masked_fill(~there, 0.0).sum(dim=1)


class CommonSpaceNet(JointNet):
    """Joint fusion whose γ and ψ are trained to lie close within a post, far from those of posts of other classes.

    The constraint is algorithms/losses/class_negatives.py, which every algorithm adds for this net.
    """

    name = "common_space"
    constrained = True
