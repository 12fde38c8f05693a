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
        asks: whether parts take from each other; if not, o_k = X_k.
    """

    def __init__(self, dim: int, how: str, asks: bool = True) -> None:
        super().__init__()
        self.how, self.asks = how, asks
        if how != "none":
            self.choose = nn.Sequential(nn.Linear(3 * dim, dim), nn.ReLU(), nn.Linear(dim, 3))
        if asks:
            self.query, self.key, self.value = nn.Linear(dim, dim), nn.Linear(dim, dim), nn.Linear(dim, dim)

    def forward(self, parts: Tensor, present: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, 3, D) parts (text, image, common) and (B, 3) bool presence to the (B, D) fused part, the (B, 3) logits g,
        -inf where a part is missing, and the (B, 3) shares in which each was chosen: π, or its draw."""
        parts = parts * present.unsqueeze(-1)
        logits = self.choose(parts.flatten(1)) if self.how != "none" else parts.new_zeros(len(parts), 3)
        logits = logits.float().masked_fill(~present, -math.inf)
        answers = self._answers(parts, present) if self.asks else 0.0
        chosen = self._chosen(logits).to(parts.dtype)
        weight = chosen if self.how == "gumbel" else (chosen + present / present.sum(dim=1, keepdim=True)) / 2
        return ((parts + answers) * weight.unsqueeze(-1)).sum(dim=1), logits, chosen

    def _answers(self, parts: Tensor, present: Tensor) -> Tensor:
        """(B, 3, D): what each part takes from the two others."""
        asked = present.unsqueeze(1) & ~torch.eye(3, dtype=torch.bool, device=parts.device)  # B×3×3: who asks whom
        score = self.query(parts) @ self.key(parts).transpose(1, 2) / math.sqrt(parts.shape[-1])
        nobody = ~asked.any(dim=-1, keepdim=True)
        score = score.masked_fill(~asked & ~nobody, -math.inf)
        return (score.softmax(dim=-1) * ~nobody) @ self.value(parts)

    def _chosen(self, logits: Tensor) -> Tensor:
        if self.how == "gumbel":
            return gumbel_softmax(logits, hard=True) if self.training else one_hot(logits.argmax(dim=1), 3)
        return logits.softmax(dim=1)


def witness_weights(chosen: Tensor, present: Tensor) -> Tensor:
    """(B, 2) weights of what text and image say, from the (B, 3) shares π in which text, image and common part were
    chosen, and the presence of the two.

    w_k = n (π_k + π_common / n + 1 / n) / 2 over the n that are present: they add up to n, the deciding one counts up
    to three times as much as the other, and both count the same where the common part decides.
    """
    here = present.to(chosen.dtype)
    count = here.sum(dim=1, keepdim=True).clamp(min=1)
    share = chosen[:, :2] + chosen[:, 2:] / count
    return count * (share + 1 / count) / 2 * here
