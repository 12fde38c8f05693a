"""SCRD's decoupling losses: reconstruction, cycle, orthogonality and margin (after DMD, Li et al., CVPR 2023)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, normalize

from algorithms.embeddings import full_precision
from nets.post_net import MODALITIES

MARGIN = 0.15


def masked_mean(values: Tensor, weight: Tensor) -> Tensor:
    """Mean of (B,) `values` where (B,) `weight` counts; 0 where nothing does. No host read."""
    weight = weight.to(values.dtype)
    return (values * weight).sum() / weight.sum().clamp(min=1e-8)


def reconstruction(parts: dict[str, Tensor], present: dict[str, Tensor]) -> Tensor:
    """Σ_m MSE(x̂_m, sg(x_m)): private and common part together hold all there is. The target gets no gradient, else both
    sides shrink to zero."""
    errors = [
        masked_mean((parts[f"rebuilt_{m}"] - parts[f"projected_{m}"].detach()).square().mean(dim=1), present[m])
        for m in MODALITIES
    ]
    return torch.stack(errors).sum()


def cycle(parts: dict[str, Tensor], present: dict[str, Tensor]) -> Tensor:
    """Σ_m MSE(S_m x̂_m, S_m x_m): the rebuilt modality has the same private part."""
    errors = [
        masked_mean((parts[f"cycle_{m}"] - parts[m]).square().mean(dim=1), present[m]) for m in MODALITIES
    ]  # fmt: skip
    return torch.stack(errors).sum()


def orthogonality(parts: dict[str, Tensor], present: dict[str, Tensor]) -> Tensor:
    """Σ_m mean cos²(private_m, common_m): what is private is not common, in either direction."""
    cosines = [
        masked_mean(cosine_similarity(parts[m], parts[f"common_{m}"]).square(), present[m]) for m in MODALITIES
    ]  # fmt: skip
    return torch.stack(cosines).sum()


def margin(common: Tensor, label: Tensor, known: Tensor, margin_between: Tensor | None = None) -> Tensor:
    """Common parts of one class are closer than those of two, by a margin: for anchor a with positives p and negatives
    n, mean over (p, n) of max(0, Δ(y_a, y_n) − cos(a, p) + cos(a, n)), then over the anchors that have both.

    Args:
        common: (B, D) common parts, of one modality or both below each other.
        label: (B,) class ids.
        known: (B,) bool: posts whose label may be relied on.
        margin_between: (C, C) margins Δ between classes; None: MARGIN between any two.
    """
    with full_precision(common):
        unit = normalize(common, dim=1)
        cosine = unit @ unit.T  # B×B
    both = known.unsqueeze(1) & known.unsqueeze(0)
    same = label.unsqueeze(1) == label.unsqueeze(0)
    itself = torch.eye(len(label), dtype=torch.bool, device=label.device)
    positive, negative = same & both & ~itself, ~same & both
    gap = MARGIN if margin_between is None else margin_between[label][:, label]
    # With the negatives of an anchor sorted, those that violate the margin of a positive are a suffix, and a running
    # sum gives their total: B² log B instead of B³.
    reach, order = (cosine + gap).masked_fill(~negative, -torch.inf).sort(dim=1)
    counted = negative.gather(1, order).to(cosine.dtype)
    sums = _from_here(reach.masked_fill(counted == 0, 0.0))
    counts = _from_here(counted)
    first = torch.searchsorted(reach.detach().contiguous(), cosine.detach().contiguous(), right=True)
    hinge = sums.gather(1, first) - counts.gather(1, first) * cosine  # B×P: over the negatives of each positive
    pairs = positive.sum(dim=1) * negative.sum(dim=1)
    anchors = (hinge * positive).sum(dim=1) / pairs.clamp(min=1)
    return masked_mean(anchors, pairs > 0)


def _from_here(values: Tensor) -> Tensor:
    """(B, B + 1): for each column the sum of a row's values from it to the end, and 0 past the end."""
    return torch.nn.functional.pad(values.flip(1).cumsum(dim=1).flip(1), (0, 1))
