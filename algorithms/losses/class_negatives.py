"""The constraint of common-space fusion: an image is close to its text, and far from texts of other classes."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import softplus

from algorithms.losses.decoupling import masked_mean

HINGE_MARGIN = 1.0


def class_negative_loss(text: Tensor, image: Tensor, present: dict[str, Tensor], label: Tensor, form: str) -> Tensor:
    """Duong et al. (arXiv 1708.02099) describe the constraint in words: anchors are images, negatives the texts of
    posts of another class. With s_ik = γ(image_i)·ψ(text_k) and the mean over the negatives k of i:

    logistic   log(1 + exp(−s_ii)) + mean_k log(1 + exp(s_ik))   (as Mikolov et al., NeurIPS 2013, eq. 4)
    hinge      mean_k max(0, m − s_ii + s_ik), m = 1

    The mean, so that the size of the batch changes nothing. Mean over the labelled posts with both modalities.

    Args:
        text, image: (B, D) ψ and γ.
        present: (B,) bool by modality.
        label: (B,) class ids, negative where not known: such a post is neither anchor nor negative.
        form: "logistic" or "hinge".
    """
    score = image @ text.T
    own = score.diagonal()
    known = label >= 0
    anchor = known & present["text"] & present["image"]
    negative = (label.unsqueeze(1) != label.unsqueeze(0)) & (known & present["text"]).unsqueeze(0)
    if form == "logistic":
        near, far = softplus(-own), softplus(score)
    else:
        near, far = torch.zeros_like(own), (HINGE_MARGIN - own.unsqueeze(1) + score).clamp(min=0)
    others = (far * negative).sum(dim=1) / negative.sum(dim=1).clamp(min=1)
    return masked_mean(near + others, anchor)
