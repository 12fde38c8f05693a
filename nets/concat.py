"""The plain two-modality net: both features side by side, one classifier; and the nets of one modality alone."""

from __future__ import annotations

from torch import Tensor

from nets.fusion import FusionNet
from nets.post_net import mean_of_present


class ConcatNet(FusionNet):
    """One hidden layer over the concatenated features.

    The layer over a concatenation is a sum of one layer a modality; taken as the mean over the modalities present, it
    answers on the same scale when one is missing.
    """

    name = "concat"

    def mix(self, mapped: dict[str, Tensor], present: dict[str, Tensor]) -> Tensor:
        """See FusionNet."""
        return mean_of_present([mapped[name] for name in self.reads], [present[name] for name in self.reads])


class ImageNet(ConcatNet):
    """Reads the image alone."""

    name = "image"
    reads = ("image",)


class TextNet(ConcatNet):
    """Reads the text alone."""

    name = "text"
    reads = ("text",)
