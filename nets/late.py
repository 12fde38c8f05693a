"""Late fusion: a classifier for each modality, and the mean of what they say."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from nets.fusion import last_layers, maps
from nets.post_net import MODALITIES, Encoders, PostNet, mean_of_present
from nets.prediction import Prediction


class LateNet(PostNet):
    """p = mean of p_m over the modalities that the post has (Duong et al., arXiv 1708.02099, fusion (a)).

    The logits are log p, so that a softmax gives p back and every loss works. `features` is the mean of what the
    classifiers read, and a ReLU of it as in theirs.
    """

    name = "late"

    def __init__(self, encoders: Encoders, num_classes: int, dim: int, dropout: float) -> None:
        super().__init__(encoders, num_classes, dim, dropout)
        self.map = maps(encoders, self.reads, dim)
        self.heads = nn.ModuleDict({name: last_layers(dim, num_classes, dropout) for name in self.reads})

    def fuse(self, features: dict[str, Tensor], present: dict[str, Tensor]) -> Prediction:
        """See PostNet."""
        mapped = {name: self.map[name](features[name]) for name in MODALITIES}
        logits = {name: self.heads[name](mapped[name]) for name in MODALITIES}
        here = [present[name] for name in MODALITIES]
        return Prediction(
            log_mean_probability([logits[name] for name in MODALITIES], here),
            text_logits=logits["text"],
            image_logits=logits["image"],
            features=mean_of_present([mapped[name] for name in MODALITIES], here).relu(),
            parts=mapped,
        )


def log_mean_probability(logits: list[Tensor], present: list[Tensor]) -> Tensor:
    """(B, C) logarithm of the mean of the softmax of (B, C) `logits` over those that are `present` ((B,) bool each), in
    float32; over all of them where none is."""
    here = torch.stack(present, dim=1)  # B×M
    here = here | ~here.any(dim=1, keepdim=True)
    log_probability = torch.stack([value.float().log_softmax(dim=1) for value in logits], dim=1)  # B×M×C
    total = log_probability.masked_fill(~here.unsqueeze(-1), -math.inf).logsumexp(dim=1)
    return total - here.sum(dim=1, keepdim=True).log()
