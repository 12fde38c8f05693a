"""Embeddings of posts, and which of them should be alike: shared by the methods that compare posts with each other."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from nets.post_net import PostNet
from nets.prediction import Prediction


def full_precision(values: Tensor) -> torch.autocast:
    """A context in which products with `values` stay float32 under autocast."""
    return torch.autocast(values.device.type, enabled=False)


class ProjectionHead(nn.Module):
    """(B, D) features of a net's prediction to (B, E) embeddings of length 1, by two layers (Li et al., CoMatch, ICCV
    2021). It belongs to the algorithm, not to the net, and is trained with it; float32 under autocast too.

    Args:
        net: what it reads the features of; its `dim` is D.
        dim: E.

    Raises ValueError for a net that gives no features.
    """

    def __init__(self, net: nn.Module, dim: int) -> None:
        super().__init__()
        assert isinstance(net, PostNet)
        if not net.has_features:
            raise ValueError(
                f"--net {net.name} gives no features, by which this --algorithm compares posts: choose another net"
            )
        width = net.dim
        self.layers = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, dim))

    def forward(self, prediction: Prediction) -> Tensor:
        """(B, E)."""
        assert prediction.features is not None
        with full_precision(prediction.features):
            return normalize(self.layers(prediction.features.float()), dim=1)


def similarity(embedding: Tensor, others: Tensor, temperature: float) -> Tensor:
    """(B, E) and (N, E) embeddings to (B, N) logits: cosines over the temperature."""
    with full_precision(embedding):
        return embedding @ others.T / temperature


def pseudo_label_graph(probabilities: Tensor, floor: float) -> Tensor:
    """(B, C) pseudo-labels to (B, B) how much each post should be like each other one, rows of sum 1.

    The probability that both are of one class, 1 for a post and itself, 0 below `floor` (CoMatch, sec. 3).
    """
    with full_precision(probabilities):
        graph = probabilities @ probabilities.T
    graph.fill_diagonal_(1)
    graph = graph * (graph >= floor)
    return graph / graph.sum(dim=1, keepdim=True)
