"""How far to trust what a text teacher says of a post, where nets of the post's image and text may know better."""

from __future__ import annotations

import torch
from torch import Tensor

from algorithms.pseudo_labels import certainty


@torch.no_grad()
def trust(said: Tensor, *views: Tensor) -> Tensor:
    """(B,) weights, 0 to 1, of the (B, C) probabilities that a text teacher gave (zeros where it is silent).

    The teacher's certainty, as for weighted targets of `distillation`. Where all `views`, the (B, C) probabilities of
    nets that look at the post differently, name one and the same other class, times 1 − the least confidence among
    them: a teacher that reads the text alone is wrong of posts whose image decides, and those are the ones where the
    nets agree against it.
    """
    confidence, label = torch.stack(views).max(dim=2)  # V×B each
    against = (label == label[0]).all(dim=0) & (label[0] != said.argmax(dim=1))
    return certainty(said) * torch.where(against, 1 - confidence.amin(dim=0), 1.0)
