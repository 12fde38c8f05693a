"""The net of SCRD: decoupling, modal selection and four heads (Xia et al., CVPR 2025), made self-consistent."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nets.decoupling import Decoupling
from nets.dropout import Dropout
from nets.options import NetOptions
from nets.post_net import Encoders, PostNet
from nets.prediction import FullPrediction
from nets.selection import ModalSelection


class ScrdNet(PostNet):
    """Decoupled parts, a trained modal selection, and heads for text, image, the common part and the whole.

    What differs from the released code is what made its claims untrue there: the selection gets a gradient, the final
    classifier is its own, the deciding part asks the two others rather than itself, heads have one layer, as a few
    hundred labels are learned by heart by two, and a missing modality is left out of every sum.

    Args:
        decoupling: divide features into private and common parts.
        selection: "soft", "gumbel" or "none" (see ModalSelection).
    """

    name = "scrd"

    @classmethod
    def from_options(cls, options: NetOptions, encoders: Encoders, num_classes: int) -> ScrdNet:
        """See PostNet."""
        return cls(encoders, num_classes, options.feature_dim, options.dropout, options.decoupling, options.selection)

    def __init__(
        self, encoders: Encoders, num_classes: int, dim: int, dropout: float, decoupling: bool, selection: str
    ) -> None:
        super().__init__(encoders, num_classes, dim, dropout)
        self.decoupling = Decoupling(encoders.widths, dim, decoupling)
        self.selection = ModalSelection(dim, selection)
        self.heads = nn.ModuleDict(
            {name: _head(dim, num_classes, dropout) for name in ("text", "image", "common", "final")}
        )

    def fuse(self, features: dict[str, Tensor], present: dict[str, Tensor]) -> FullPrediction:
        """See PostNet."""
        parts = self.decoupling(features, present)
        stacked = torch.stack([parts["text"], parts["image"], parts["common"]], dim=1)
        # The common part is always there, so that even an empty post gets finite numbers.
        here = torch.stack([present["text"], present["image"], torch.ones_like(present["text"])], dim=1)
        fused, selection_logits = self.selection(stacked, here)
        return FullPrediction(
            logits=self.heads["final"](fused),
            text_logits=self.heads["text"](parts["text"]),
            image_logits=self.heads["image"](parts["image"]),
            common_logits=self.heads["common"](parts["common"]),
            selection=selection_logits.softmax(dim=1),
            selection_logits=selection_logits,
            features=fused,
            parts=parts,
        )


def _head(dim: int, num_classes: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(nn.ReLU(), Dropout(dropout), nn.Linear(dim, num_classes))
