"""The quickest text encoder: a text is the mean of its tokens' learned vectors (Joulin et al., fastText, EACL 2017)."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from nets.layout import Layout

WIDTH = 64
WORD_DROPOUT = 0.3
"""Share of a text's tokens that are left out in training (Iyyer et al., Deep Averaging Networks, ACL 2015): else the
few labelled texts are learned by heart, token by token."""


class FastTextEncoder(nn.Module):
    """(B, L) token ids to (B, width) features: the mean of one learned vector for each token, trained from scratch.

    Tokens are those of the tokenizer trained on the store's own texts; its pieces of words stand for fastText's hashed
    n-grams of characters. Vectors start uniform in ±1/width, as in fastText. The mean is multiplied by √width, as the
    Transformer does (Vaswani et al., NeurIPS 2017, sec. 3.4): an optimiser whose steps have one length for all weights,
    such as Adam, then moves texts as quickly as the layers after them.

    Args:
        vocabulary: number of token ids.
        width: of the vectors.
        tokens: vectors of a text that are given beside their mean, see Layout.
    """

    pooling = "mean"

    def __init__(self, vocabulary: int, width: int = WIDTH, tokens: int = 0) -> None:
        super().__init__()
        self.vectors = nn.Embedding(vocabulary, width)
        nn.init.uniform_(self.vectors.weight, -1 / width, 1 / width)
        self.layout = Layout(width, tokens, width)
        self.width = self.layout.size

    @property
    def plan(self) -> dict[str, Any]:
        """The arguments that make the same encoder again, without its weights."""
        return {"vocabulary": self.vectors.num_embeddings, "width": self.layout.width, "tokens": self.layout.count}

    def forward(self, text: Tensor, mask: Tensor) -> Tensor:
        """(B, L) ids and (B, L) bool mask to (B, width); zeros for a row without any token (left)."""
        vectors = torch.where(mask.unsqueeze(-1), self.vectors(text) * math.sqrt(self.layout.width), 0.0)
        kept = mask & (torch.rand(mask.shape, device=mask.device) >= WORD_DROPOUT) if self.training else mask
        mean = (vectors * kept.unsqueeze(-1)).sum(dim=1) / kept.sum(dim=1, keepdim=True).clamp(min=1)
        return self.layout.pack(mean, vectors, mask) if self.layout.count else mean
