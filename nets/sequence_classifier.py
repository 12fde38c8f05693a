"""A text encoder with the head that transformers puts on it: what is trained here loads there."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModelForSequenceClassification, PretrainedConfig

from nets.encoders import TextEncoder, pretrained_text
from nets.layout import Layout
from nets.options import NetOptions
from nets.post_net import Encoders, PostNet
from nets.prediction import Prediction


class ClassifierEncoder(TextEncoder):
    """(B, L) token ids to (B, C) logits, by transformers' sequence classifier.

    Args:
        source: folder or hub name to load the encoder from, or a configuration for random weights. The head always
            begins anew: that of another classifier may have other classes, or the same in another order.
        num_classes: C.
    """

    def __init__(self, source: str | PretrainedConfig, num_classes: int) -> None:
        nn.Module.__init__(self)
        encoder = None if isinstance(source, PretrainedConfig) else pretrained_text(source)[0]
        config: Any = copy.deepcopy(source if encoder is None else encoder.config)
        config.num_labels = num_classes
        self.net = AutoModelForSequenceClassification.from_config(config, dtype=torch.float32, trust_remote_code=False)
        if encoder is not None:
            inner = self.net.base_model
            known = inner.state_dict().keys()
            inner.load_state_dict({key: value for key, value in encoder.state_dict().items() if key in known})
        self.pooling = "head"
        self.layout = Layout(num_classes)
        self.width = num_classes

    def forward(self, text: Tensor, mask: Tensor) -> Tensor:
        """(B, L) ids and (B, L) bool mask to (B, C). A row without any token: finite values that mean nothing."""
        return self.run(text, mask)[0].logits

    @property
    def last(self) -> str:
        """The name, inside `net`, of the layer that gives the logits."""
        return [name for name, module in self.net.named_modules() if isinstance(module, nn.Linear)][-1]


class SequenceClassifierNet(PostNet):
    """Reads the text alone; nothing of the net is outside the transformers classifier."""

    name = "sequence_classifier"
    reads = ("text",)
    small_text = "small"
    has_features = False
    ignores = ("feature_dim", "dropout", "feature_dropout", "text_pooling")

    @classmethod
    def feature_dropout(cls, options: NetOptions) -> dict[str, float]:
        """None: what its encoder gives are the logits."""
        return {}

    @classmethod
    def from_options(cls, options: NetOptions, encoders: Encoders, num_classes: int) -> SequenceClassifierNet:
        """See PostNet; width and dropout are the classifier's own. Raises ValueError for an encoder that is none."""
        if not isinstance(encoders.live["text"], ClassifierEncoder):
            raise ValueError(f"--net sequence_classifier is a transformers net: --text_net {options.text_net} is none")
        return cls(encoders, num_classes, num_classes, options.dropout)

    @classmethod
    def text_encoder(
        cls, source: str | PretrainedConfig, pooling: str, num_classes: int, tokens: int = 0
    ) -> TextEncoder:
        """See PostNet; the head pools."""
        return ClassifierEncoder(source, num_classes)

    def fuse(self, features: dict[str, Tensor], present: dict[str, Tensor]) -> Prediction:
        """See PostNet. Posts without a text get equal logits."""
        return Prediction(features["text"])
