"""The image student of T4SA 2.0 (Serra et al., ECAI 2023): a ViT's class token, 32 units with GELU, the classes."""

from __future__ import annotations

from torch import Tensor, nn

from nets.options import NetOptions
from nets.post_net import Encoders, PostNet
from nets.prediction import Prediction

HIDDEN = 32


class T4saNet(PostNet):
    """Reads the image alone. Width, dropout and activation of the head are the published ones: 32, none, and the GELU
    that TensorFlow Addons computes by default, by tanh."""

    name = "t4sa"
    reads = ("image",)
    ignores = ("feature_dim", "dropout", "feature_dropout")

    @classmethod
    def feature_dropout(cls, options: NetOptions) -> dict[str, float]:
        """None: the published net has no dropout of its own."""
        return {}

    def __init__(self, encoders: Encoders, num_classes: int, dim: int, dropout: float) -> None:
        super().__init__(encoders, num_classes, HIDDEN, 0.0)
        self.hidden = nn.Sequential(nn.Linear(encoders.widths["image"], HIDDEN), nn.GELU(approximate="tanh"))
        self.classify = nn.Linear(HIDDEN, num_classes)

    def fuse(self, features: dict[str, Tensor], present: dict[str, Tensor]) -> Prediction:
        """See PostNet. Posts without an image all get the same answer."""
        hidden = self.hidden(features["image"])
        return Prediction(self.classify(hidden), features=hidden)
