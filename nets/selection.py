"""SCRD's modal-selection attention: which of text, image and common part decides, and what it takes from the others."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import gumbel_softmax, one_hot


class ModalSelection(nn.Module):
    """The deciding part asks the other two (figure of Xia et al., CVPR 2025), with a selection that is trained.

    g = MLP([text; image; common]), π = softmax(g) over what is present. For each candidate k:
    o_k = X_k + softmax(W_q X_k · (W_k X_j)ᵀ / √D) W_v X_j over the other two parts j that are present.
    The output is Σ_k w_k o_k. "soft": w is the mean of π and equal weights, so that the deciding part counts most and
    no part is ever cut off from learning. "gumbel": w is a straight-through Gumbel draw from π in training, and the
    largest alone in evaluation. "none": w is the same for all present (an ablation).

    Args:
        dim: width D of the parts.
        how: "soft", "gumbel" or "none".
    """

    def __init__(self, dim: int, how: str) -> None:
        super().__init__()
        self.how = how
        if how != "none":
            self.choose = nn.Sequential(nn.Linear(3 * dim, dim), nn.ReLU(), nn.Linear(dim, 3))
        self.query, self.key, self.value = nn.Linear(dim, dim), nn.Linear(dim, dim), nn.Linear(dim, dim)

    def forward(self, parts: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, D) parts (text, image, common) and (B, 3) bool presence to the (B, D) fused part and (B, 3) logits g,
        -inf where a part is missing."""
        parts = parts * present.unsqueeze(-1)
        logits = self.choose(parts.flatten(1)) if self.how != "none" else parts.new_zeros(len(parts), 3)
        logits = logits.float().masked_fill(~present, -math.inf)
        asked = present.unsqueeze(1) & ~torch.eye(3, dtype=torch.bool, device=parts.device)  # B×3×3: who asks whom
        score = self.query(parts) @ self.key(parts).transpose(1, 2) / math.sqrt(parts.shape[-1])
        nobody = ~asked.any(dim=-1, keepdim=True)
        score = score.masked_fill(~asked & ~nobody, -math.inf)
        answers = (score.softmax(dim=-1) * ~nobody) @ self.value(parts)
        weight = self._weight(logits).to(parts.dtype)
        return ((parts + answers) * weight.unsqueeze(-1)).sum(dim=1), logits

    def _weight(self, logits: Tensor) -> Tensor:
        if self.how == "gumbel" and self.training:
            return gumbel_softmax(logits, hard=True)
        if self.how == "gumbel":
            return one_hot(logits.argmax(dim=1), 3)
        present = ~logits.isneginf()
        return (logits.softmax(dim=1) + present / present.sum(dim=1, keepdim=True)) / 2
