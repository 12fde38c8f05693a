"""SCRD's decoupling: what a modality says alone, what both have in common (Xia et al., CVPR 2025; DMD, CVPR 2023)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nets.post_net import MODALITIES, mean_of_present


class Decoupling(nn.Module):
    """Private and common parts of text and image, and the reconstruction that keeps them honest.

    x_m = P_m h_m;  private_m = S_m x_m;  common_m = S_c x_m with one S_c for both;  x̂_m = D_m [private_m; common_m];
    cycle_m = S_m x̂_m. All linear, as released. No part is normalised: how long it is tells how much it has to say, and
    a text without a word of sentiment must stay short beside a clear image. That the reconstruction is not solved by
    shrinking everything to zero is the loss's affair, whose target has no gradient.

    Args:
        widths: features of each encoder by modality.
        dim: width D of all parts.
        active: false leaves the parts undivided (the ablation "base"): private_m = common_m = x_m.
    """

    def __init__(self, widths: dict[str, int], dim: int, active: bool = True) -> None:
        super().__init__()
        self.active = active
        self.project = nn.ModuleDict(
            {name: nn.Sequential(nn.LayerNorm(widths[name]), nn.Linear(widths[name], dim))
             for name in MODALITIES}
        )  # fmt: skip
        if active:
            self.private = nn.ModuleDict({name: nn.Linear(dim, dim, bias=False) for name in MODALITIES})
            self.common = nn.Linear(dim, dim, bias=False)
            self.decode = nn.ModuleDict({name: nn.Linear(2 * dim, dim, bias=False) for name in MODALITIES})

    def forward(self, features: dict[str, Tensor], present: dict[str, Tensor]) -> dict[str, Tensor]:
        """(B, D) parts by name: `text`, `image` (private), `common` (mean over what is present), and where the
        decoupling is active, for m in text, image: `common_m`, `projected_m`, and, for the losses that read them,
        where gradients are computed: `rebuilt_m`, `cycle_m`."""
        projected = {name: self.project[name](features[name]) for name in MODALITIES}
        if not self.active:
            common = mean_of_present([projected[m] for m in MODALITIES], [present[m] for m in MODALITIES])
            return {**projected, "common": common}
        parts: dict[str, Tensor] = {}
        for name in MODALITIES:
            parts[name] = self.private[name](projected[name])
            parts[f"common_{name}"] = self.common(projected[name])
            parts[f"projected_{name}"] = projected[name]
            if torch.is_grad_enabled():
                parts[f"rebuilt_{name}"] = self.decode[name](torch.cat([parts[name], parts[f"common_{name}"]], dim=1))
                parts[f"cycle_{name}"] = self.private[name](parts[f"rebuilt_{name}"])
        parts["common"] = mean_of_present(
            [parts[f"common_{name}"] for name in MODALITIES], [present[name] for name in MODALITIES]
        )
        return parts
