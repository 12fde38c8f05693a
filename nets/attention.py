"""Attention of the text over the image (Ber-ViT-Att of Sanchez Villegas et al., EACL Findings 2024)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from nets.fusion import last_layers, maps
from nets.post_net import Encoders, PostNet, mean_of_present
from nets.prediction import Prediction


class TokenAttention(nn.Module):
    """softmax(Q Kᵀ / √D) V with one head, averaged over who asks: Q = W_q of who asks, K = W_k and V = W_v of tokens.

    Values are linear, so tokens are averaged first and mapped once. Q Kᵀ multiplies W_k with whichever of queries and
    tokens costs less. A bias of keys would add the same to all scores of a query, so there is none.

    Args:
        query_width, token_width: features of who asks and of a token.
        dim: D.
    """

    def __init__(self, query_width: int, token_width: int, dim: int) -> None:
        super().__init__()
        self.query = nn.Linear(query_width, dim)
        self.key = nn.Linear(token_width, dim, bias=False)
        self.value = nn.Linear(token_width, dim)

    def forward(self, asking: Tensor, asks: Tensor, tokens: Tensor, mask: Tensor) -> Tensor:
        """(B, D) from (B, Q, query_width) with (B, Q) bool, who there asks, and (B, T, token_width), normalised, with
        (B, T) bool, which there are; zeros where nobody asks or there is no token."""
        query = self.query(asking)
        (queries, dim), (count, width) = query.shape[1:], tokens.shape[1:]
        if queries * width * (dim + count) < count * dim * (width + queries):
            score = query @ self.key.weight @ tokens.transpose(1, 2)
        else:
            score = query @ self.key(tokens).transpose(1, 2)
        some = mask.any(dim=1, keepdim=True)
        hidden = some & ~mask
        weight = (score / math.sqrt(dim)).masked_fill(hidden.unsqueeze(1), -math.inf).softmax(dim=-1)
        seen = (mean_of_tokens(weight, asks).unsqueeze(1) @ tokens).squeeze(1)
        return self.value(seen) * (some & asks.any(dim=1, keepdim=True))


class AttentionNet(PostNet):
    """q = W_t LN(h_t), H = attention of q over the tokens of the image, x = mean of q and H as far as they are there.

    The published layer over [text; H] is a sum of one for each; taken as the mean over what is present, as in `concat`.
    Of all text queries the published code uses that of the first token alone; here the pooled text asks. A post without
    text has a learned query. The answer's part for the image is the mean of its values, which knows nothing of the
    text.
    """

    name = "attention"
    attends = ("image",)

    def __init__(self, encoders: Encoders, num_classes: int, dim: int, dropout: float) -> None:
        super().__init__(encoders, num_classes, dim, dropout)
        self.map = maps(encoders, ("text",), dim)
        self.norm = nn.LayerNorm(encoders.layouts["image"].token_width)
        self.attention = TokenAttention(dim, encoders.layouts["image"].token_width, dim)
        self.query_without_text = nn.Parameter(torch.randn(dim))
        self.classify = last_layers(dim, num_classes, dropout)

    def fuse(self, features: dict[str, Tensor], present: dict[str, Tensor]) -> Prediction:
        """See PostNet."""
        _, tokens, mask = self.encoders.layouts["image"].unpack(features["image"])
        text = self.map["text"](self.encoders.layouts["text"].pooled(features["text"]))
        query = torch.where(present["text"].unsqueeze(1), text, self.query_without_text.to(text.dtype))
        tokens = self.norm(tokens)
        asks = torch.ones_like(present["text"]).unsqueeze(1)
        image = self.attention(query.unsqueeze(1), asks, tokens, mask)
        fused = mean_of_present([text, image], [present["text"], present["image"]])
        parts = {"text": text, "image": self.attention.value(mean_of_tokens(tokens, mask))}
        return Prediction(self.classify(fused), features=fused.relu(), parts=parts)


def mean_of_tokens(tokens: Tensor, mask: Tensor) -> Tensor:
    """(B, T, D) and (B, T) bool to (B, D); zeros where there is no token."""
    weight = mask.unsqueeze(-1).to(tokens.dtype)
    return (tokens * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1)
