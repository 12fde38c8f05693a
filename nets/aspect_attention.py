"""Attention over the two modalities of a post: the "aspect-att" of Sanchez Villegas et al. (EACL Findings 2024)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from nets.fusion import FusionNet
from nets.post_net import MODALITIES, Encoders


class AspectAttentionNet(FusionNet):
    """e_m = tanh(wᵀ x_m), α = softmax of e over the modalities that the post has, x = Σ_m α_m x_m.

    The released code stacks the two modalities along the wrong dimension and so mixes posts of a batch; here α is over
    the two modalities of one post.
    """

    name = "aspect_attention"

    def __init__(self, encoders: Encoders, num_classes: int, dim: int, dropout: float) -> None:
        super().__init__(encoders, num_classes, dim, dropout)
        self.score = nn.Linear(dim, 1)

    def mix(self, mapped: dict[str, Tensor], present: dict[str, Tensor]) -> Tensor:
        """See FusionNet."""
        both = torch.stack([mapped[name] for name in MODALITIES], dim=1)  # B×2×D
        here = torch.stack([present[name] for name in MODALITIES], dim=1)  # B×2
        score = self.score(both).squeeze(-1).tanh()
        nobody = ~here.any(dim=1, keepdim=True)
        weight = score.masked_fill(~here & ~nobody, -math.inf).softmax(dim=1) * here
        return (weight.unsqueeze(-1) * both).sum(dim=1)
