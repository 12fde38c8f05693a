"""Attention both ways: tokens of the text ask the image, places of the image ask the text (ViLBERT, NeurIPS 2019)."""

from __future__ import annotations

from torch import Tensor, nn

from nets.attention import TokenAttention, mean_of_tokens
from nets.fusion import last_layers, normalised_map
from nets.post_net import MODALITIES, Encoders, PostNet, mean_of_present
from nets.prediction import Prediction


class CrossAttentionNet(PostNet):
    """t_i = W_t LN(text token i), v_j = W_v LN(image token j); t'_i = t_i + A_t(t_i, v), v'_j = v_j + A_v(v_j, t);
    x = mean over the modalities present of the means of t' and v'.

    One layer of co-attention (Lu et al., NeurIPS 2019, fig. 2b) with one head and without feed-forward layers. Where a
    modality is missing nothing is added, and x is the mean of the other's tokens. The answer's parts are the means of
    t and v, before they have seen each other.
    """

    name = "cross_attention"
    attends = MODALITIES

    def __init__(self, encoders: Encoders, num_classes: int, dim: int, dropout: float) -> None:
        super().__init__(encoders, num_classes, dim, dropout)
        self.map = nn.ModuleDict({name: normalised_map(encoders.layouts[name].token_width, dim) for name in MODALITIES})
        self.norm = nn.ModuleDict({name: nn.LayerNorm(dim) for name in MODALITIES})
        self.asks = nn.ModuleDict({name: TokenAttention(dim, dim, dim) for name in MODALITIES})
        self.classify = last_layers(dim, num_classes, dropout)

    def fuse(self, features: dict[str, Tensor], present: dict[str, Tensor]) -> Prediction:
        """See PostNet."""
        read = {name: self.encoders.layouts[name].unpack(features[name]) for name in MODALITIES}
        tokens = {name: self.map[name](read[name].tokens) for name in MODALITIES}
        asked = {name: self.norm[name](tokens[name]) for name in MODALITIES}
        parts = {name: mean_of_tokens(tokens[name], read[name].mask) for name in MODALITIES}
        means = []
        for name, other in (("text", "image"), ("image", "text")):
            answer = self.asks[name](tokens[name], read[name].mask, asked[other], read[other].mask)
            means.append(parts[name] + answer)
        fused = mean_of_present(means, [present[name] for name in MODALITIES])
        return Prediction(self.classify(fused), features=fused.relu(), parts=parts)
