"""Image-text contrast (ITC): the image and the text of a post are closer than those of two posts."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from algorithms.losses.decoupling import masked_mean

DIM = 512
"""Width of the space that both are projected to, as published."""
LOG_SCALE = 2.6592
"""Start of the logarithm of the scale, as published: the scale starts at 14.3."""
LARGEST_SCALE = 100.0
"""Limit of the scale, as in CLIP (Radford et al., ICML 2021, section 2.5)."""


class ImageTextContrast(nn.Module):
    """L = ½ [CE(S, 1..B) + CE(Sᵀ, 1..B)], S_ij = exp(s) · t_iᵀ v_j, t = norm(W_t h_t), v = norm(W_v h_v).

    Sanchez Villegas et al. (Findings of EACL 2024), after CLIP. Mean over the posts that have both modalities, whose
    negatives are each other; a step without such a post has the loss 0. h is what `PostNet.contrasted` says: as
    published the encoders' features, before any fusion. Where the net itself makes text and image comparable there is
    no W_t and no W_v.

    Args:
        widths: of what is compared, by modality; None: it is compared as it is.
    """

    def __init__(self, widths: dict[str, int] | None) -> None:
        super().__init__()
        self.project = nn.ModuleDict(
            {name: nn.Linear(width, DIM, bias=False) for name, width in (widths or {}).items()}
        )
        self.log_scale = nn.Parameter(torch.tensor(LOG_SCALE))

    def similarity(self, compared: dict[str, Tensor]) -> Tensor:
        """(B, W) features by modality to S, (B, B): of text i and image j."""
        mapped = {name: self.project[name](compared[name]) for name in self.project} or compared
        text, image = (normalize(mapped[name], dim=1) for name in ("text", "image"))
        with torch.no_grad():  # the parameter itself, so that a gradient can bring it back
            self.log_scale.clamp_(max=math.log(LARGEST_SCALE))
        return self.log_scale.exp() * text @ image.T


def contrastive_loss(similarity: Tensor, both: Tensor, negative: Tensor) -> Tensor:
    """L from S (B, B), (B,) bool posts that count, and (B, B) bool pairs (i, j) that are wrong ones."""
    itself = torch.arange(len(similarity), device=similarity.device)
    allowed = negative | torch.eye(len(similarity), dtype=torch.bool, device=similarity.device)
    logits = similarity.masked_fill(~allowed, -torch.inf)
    each = cross_entropy(logits, itself, reduction="none") + cross_entropy(logits.T, itself, reduction="none")
    return masked_mean(each / 2, both)
