"""Image-text matching (ITM): does this text belong to this image?"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from algorithms.losses.decoupling import masked_mean
from algorithms.losses.pairs import Pairs
from nets.post_net import PostNet

SWAPPED = 0.5
"""Probability that a post is shown with another's text, as published."""


class ImageTextMatching(nn.Module):
    """L = CE(W h(text_{j(i)}, image_i), 1[j(i) = i]), mean over the posts with both modalities.

    Sanchez Villegas et al. (Findings of EACL 2024): with probability ½ text j is that of another post of the batch,
    drawn evenly, or as it is like the image (`choose_texts`). h is what the net's last layer reads: after the ReLU, as
    published. Before it h may be something of the text plus something of the image, by which no linear layer can tell
    whether the two belong together. The encoders' features are swapped, not the texts, so that the fusion alone runs
    twice. A post for which the batch has no other text keeps its own.

    Args:
        dim: width D of h.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.matches = nn.Linear(dim, 2)

    def forward(self, net: PostNet, pairs: Pairs, likeness: Tensor | None = None) -> Tensor:
        """The loss; draws from the global generator. `likeness`: see `choose_texts`."""
        possible = pairs.can_swap
        swapped = (torch.rand(len(possible), device=possible.device) < SWAPPED) & possible.any(dim=1)
        own = torch.arange(len(possible), device=possible.device)
        chosen = torch.where(swapped, choose_texts(possible, likeness), own)
        features = {"text": pairs.features["text"][chosen], "image": pairs.features["image"]}
        fused = net.fuse(features, pairs.present).features
        assert fused is not None
        with torch.autocast(fused.device.type, enabled=False):
            losses = cross_entropy(self.matches(fused.float()), (~swapped).long(), reduction="none")
        return masked_mean(losses, pairs.both)


@torch.no_grad()
def choose_texts(possible: Tensor, likeness: Tensor | None = None) -> Tensor:
    """(B,) int64: for each post i one k of those that are `possible` (B, B), drawn evenly, or with probabilities
    softmax_k of (B, B) `likeness` of text k and image i (hard negatives: ALBEF, Li et al., NeurIPS 2021, section 3.2).
    """
    noise = -torch.empty_like(possible, dtype=torch.float32).exponential_().log()  # Gumbel: its largest is a draw
    score = noise if likeness is None else noise + likeness.float()
    return score.masked_fill(~possible, -torch.inf).argmax(dim=1)
