"""What a text teacher's answer says of a post beside what a net of its image and text says."""

from __future__ import annotations

import torch
from torch import Tensor

LEAST = 1e-3
"""A teacher's answer rules no class out more than this: it may be as sure as it likes, and wrong."""


@torch.no_grad()
def trust(said: Tensor, *views: Tensor) -> Tensor:
    """(B,) how far to trust the (B, C) probabilities that a text teacher gave, 0 to 1.

    1, but where all `views`, the (B, C) probabilities of nets that look at the post differently, name one and the same
    other class, 1 − the least confidence among them: a teacher that reads the text alone is wrong of posts whose image
    decides, and those are the ones where the nets agree against it.
    """
    confidence, label = torch.stack(views).max(dim=2)  # V×B each
    against = (label == label[0]).all(dim=0) & (label[0] != said.argmax(dim=1))
    return torch.where(against, 1 - confidence.amin(dim=0), 1.0)


@torch.no_grad()
def joined(said: Tensor, logits: Tensor, trusted: Tensor) -> Tensor:
    """(B, C) probabilities of what teacher and net say together, two witnesses who make their mistakes independently:
    ∝ softmax(logits) · said^trusted (a product of experts, Hinton, Neural Computation 2002).

    A teacher that is not sure, not `trusted` ((B,), 0 to 1) or silent (zeros) leaves the net's answer as it is.
    """
    weight = trusted.float().unsqueeze(1)
    return (logits.float().log_softmax(dim=1) + weight * said.float().clamp(min=LEAST).log()).softmax(dim=1)
