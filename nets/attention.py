"""Attention of the text over the image (Ber-ViT-Att of Sanchez Villegas et al., EACL Findings 2024)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from nets.fusion import last_layers, maps
from nets.post_net import Encoders, PostNet, mean_of_present
from nets.prediction import Prediction


class TokenAttention(nn.Module):
    """softmax(Q Kᵀ / √D) V with one head: Q = W_q of who asks, K = W_k and V = W_v of the normalised tokens asked.

    Args:
        query_width, token_width: features of who asks and of a token.
        dim: D.
    """

    def __init__(self, query_width: int, token_width: int, dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(token_width)
        self.query, self.key, self.value = (nn.Linear(width, dim) for width in (query_width, token_width, token_width))

    def forward(self, asking: Tensor, tokens: Tensor, mask: Tensor) -> Tensor:
        """(B, Q, query_width), (B, T, token_width) and (B, T) bool to (B, Q, D); zeros where there is no token."""
        tokens = self.norm(tokens)
        score = self.query(asking) @ self.key(tokens).transpose(1, 2) / math.sqrt(self.query.out_features)
        nobody = ~mask.any(dim=1).view(-1, 1, 1)
        weight = score.masked_fill(~mask.unsqueeze(1) & ~nobody, -math.inf).softmax(dim=-1) * ~nobody
        return weight @ self.value(tokens)


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
        self.attention = TokenAttention(dim, encoders.layouts["image"].token_width, dim)
        self.query_without_text = nn.Parameter(torch.randn(dim))
        self.classify = last_layers(dim, num_classes, dropout)

    def fuse(self, features: dict[str, Tensor], present: dict[str, Tensor]) -> Prediction:
        """See PostNet."""
        _, tokens, mask = self.encoders.layouts["image"].unpack(features["image"])
        text = self.map["text"](self.encoders.layouts["text"].pooled(features["text"]))
        query = torch.where(present["text"].unsqueeze(1), text, self.query_without_text.to(text.dtype))
        image = self.attention(query.unsqueeze(1), tokens, mask).squeeze(1)
        fused = mean_of_present([text, image], [present["text"], present["image"]])
        values = self.attention.value(self.attention.norm(tokens))
        parts = {"text": text, "image": mean_of_tokens(values, mask)}
        return Prediction(self.classify(fused), features=fused, parts=parts)


def mean_of_tokens(tokens: Tensor, mask: Tensor) -> Tensor:
    """(B, T, D) and (B, T) bool to (B, D); zeros where there is no token."""
    weight = mask.unsqueeze(-1).to(tokens.dtype)
    return (tokens * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1)
