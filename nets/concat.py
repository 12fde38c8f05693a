"""The plain two-modality net: both features side by side, one classifier; and the nets of one modality alone."""

from __future__ import annotations

from torch import Tensor, nn

from nets.post_net import Encoders, PostNet, mean_of_present
from nets.prediction import Prediction


class ConcatNet(PostNet):
    """One hidden layer over the concatenated features.

    The layer over a concatenation is a sum of one layer a modality; taken as the mean over the modalities present, it
    answers on the same scale when one is missing.
    """

    name = "concat"

    def __init__(self, encoders: Encoders, num_classes: int, dim: int, dropout: float) -> None:
        super().__init__(encoders, num_classes, dim, dropout)
        self.map = nn.ModuleDict(
            {name: nn.Sequential(nn.LayerNorm(encoders.widths[name]), nn.Linear(encoders.widths[name], dim))
             for name in self.reads}
        )  # fmt: skip
        self.classify = nn.Sequential(nn.ReLU(), nn.Dropout(dropout), nn.Linear(dim, num_classes))

    def fuse(self, features: dict[str, Tensor], present: dict[str, Tensor]) -> Prediction:
        """See PostNet."""
        mapped = [self.map[name](features[name]) for name in self.reads]
        fused = mean_of_present(mapped, [present[name] for name in self.reads])
        return Prediction(self.classify(fused), features=fused)


class ImageNet(ConcatNet):
    """Reads the image alone."""

    name = "image"
    reads = ("image",)


class TextNet(ConcatNet):
    """Reads the text alone."""

    name = "text"
    reads = ("text",)
