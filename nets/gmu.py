"""The gated multimodal unit (Arevalo et al., Gated Multimodal Units for Information Fusion, ICLR 2017 workshop)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nets.fusion import FusionNet
from nets.post_net import Encoders


class GmuNet(FusionNet):
    """g_m = tanh(x_m), z = σ(W_z [x_t; x_v]), x = z ⊙ g_t + (1 − z) ⊙ g_v, and one linear layer over it.

    With W_m of the map inside the tanh these are the paper's equations, but that the gate reads the mapped features. It
    has weights of its own and a value for each of the D features. Where a modality is missing the gate is all the
    other's: x = g_m. The layer over x is that
    of Sanchez Villegas et al. (EACL Findings 2024), whose own gate had no weights.
    """

    name = "gmu"

    def __init__(self, encoders: Encoders, num_classes: int, dim: int, dropout: float) -> None:
        super().__init__(encoders, num_classes, dim, dropout)
        self.gate = nn.Linear(2 * dim, dim)
        self.output = nn.Linear(dim, dim)

    def mix(self, mapped: dict[str, Tensor], present: dict[str, Tensor]) -> Tensor:
        """See FusionNet."""
        has_text, has_image = present["text"].unsqueeze(1), present["image"].unsqueeze(1)
        gate = self.gate(torch.cat([mapped["text"], mapped["image"]], dim=1)).sigmoid()
        of_text = torch.where(has_image, gate, 1.0) * has_text
        of_image = torch.where(has_text, 1 - gate, 1.0) * has_image
        mixed = of_text * mapped["text"].tanh() + of_image * mapped["image"].tanh()
        return self.output(mixed) * (has_text | has_image)
