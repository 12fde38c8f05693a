"""What the fusion heads share: both modalities mapped to one width, fused in some way, and one classifier over it."""

from __future__ import annotations

from abc import abstractmethod

from torch import Tensor, nn

from nets.dropout import Dropout
from nets.post_net import Encoders, PostNet
from nets.prediction import Prediction


class FusionNet(PostNet):
    """x_m = W_m LN(h_m) for each modality m, a fused x, and W_c Dropout(ReLU(x)): heads differ by the fusion alone.

    Subclasses write `mix`. The answer's `parts` are the x_m by name.
    """

    def __init__(self, encoders: Encoders, num_classes: int, dim: int, dropout: float) -> None:
        super().__init__(encoders, num_classes, dim, dropout)
        self.map = maps(encoders, self.reads, dim)
        self.classify = last_layers(dim, num_classes, dropout)

    @abstractmethod
    def mix(self, mapped: dict[str, Tensor], present: dict[str, Tensor]) -> Tensor:
        """The fused (B, D) from the (B, D) x_m and (B,) bool presence by modality; zeros where nothing is present."""

    def fuse(self, features: dict[str, Tensor], present: dict[str, Tensor]) -> Prediction:
        """See PostNet."""
        mapped = {name: self.map[name](features[name]) for name in self.reads}
        fused = self.mix(mapped, present)
        return Prediction(self.classify(fused), features=fused.relu(), parts=mapped)


def maps(encoders: Encoders, names: tuple[str, ...], dim: int) -> nn.ModuleDict:
    """A normalised linear map from each encoder's pooled features to width D, by modality. Its net must unpack them
    where it attends to their tokens too."""
    return nn.ModuleDict({name: normalised_map(encoders.layouts[name].width, dim) for name in names})


def normalised_map(width: int, dim: int) -> nn.Sequential:
    """(..., width) to (..., D)."""
    return nn.Sequential(nn.LayerNorm(width), nn.Linear(width, dim))


def last_layers(dim: int, num_classes: int, dropout: float) -> nn.Sequential:
    """(B, D) to (B, C) logits."""
    return nn.Sequential(nn.ReLU(), Dropout(dropout), nn.Linear(dim, num_classes))
