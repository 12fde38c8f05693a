"""LXMERT (Tan and Bansal, EMNLP 2019, arXiv 1908.07490): words and regions, each asking the other layer by layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoConfig, PretrainedConfig
from transformers.models.lxmert.modeling_lxmert import LxmertXLayer

from nets.early import EarlyNet, additive
from nets.layout import Layout, Unpacked
from nets.options import NetOptions
from nets.post_net import Encoders, classifier
from nets.prediction import Prediction

REGIONS = 36
"""Regions of an image at most, as the published detector was asked for."""


class RegionReader(nn.Module):
    """Stands for the detector, which has run before: batches bring the row (see Layout) of its regions' features.

    A token is a region: its features, and its box after them.

    Args:
        width: features of a region and numbers of its box.
    """

    plan = None

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layout = Layout(0, REGIONS, width)
        self.width = self.layout.size


class WordEmbedder(nn.Module):
    """LXMERT's embeddings of words, all of one segment."""

    def __init__(self, embeddings: nn.Module) -> None:
        super().__init__()
        self.embeddings = embeddings

    def forward(self, text: Tensor) -> Tensor:
        """(B, L) ids to (B, L, D)."""
        return self.embeddings(text, torch.zeros_like(text))


class LxmertNet(EarlyNet):
    """h, r = LXMERT([t_1 … t_L], regions), and W_c Dropout(ReLU(W h_1)).

    The layers over h_1, the state of the text's first token, and the contrast of the largest h with the largest r
    of each feature are those of Sanchez Villegas et al. (Findings of EACL 2024); there the text had no gradient of the
    contrast, which so could not teach it. A post without an image is answered by the text alone: what its words are
    told when they ask the image is zero, whatever is embedded there. The answer's parts are the largest h and r; both
    have seen the whole post. Views of a post differ in its text alone, as its regions are what the detector gave.
    """

    name = "lxmert"
    pretrained_text = "unc-nlp/lxmert-base-uncased"
    model_types = ("lxmert",)
    regions = True

    @classmethod
    def small_config(cls, vocabulary: int, length: int) -> PretrainedConfig:
        """See PostNet. The features of a region are as many as the published detector gives, 2048."""
        return AutoConfig.for_model(
            "lxmert", vocab_size=vocabulary, hidden_size=64, num_attention_heads=4, intermediate_size=128,
            max_position_embeddings=length, l_layers=1, r_layers=1, x_layers=1, pad_token_id=0,
        )  # fmt: skip

    @classmethod
    def take_embeddings(cls, whole: Any) -> nn.Module:
        """See EarlyNet."""
        embed, whole.embeddings = whole.embeddings, None
        return WordEmbedder(embed)

    @classmethod
    def image_encoder(cls, options: NetOptions, size: int, plan: Mapping[str, Any] | None, text: Any) -> RegionReader:
        """See PostNet."""
        config: Any = cls.embedder(options, text).config
        return RegionReader(config.visual_feat_dim + config.visual_pos_dim)

    def __init__(self, encoders: Encoders, num_classes: int, dropout: float, rest: Any) -> None:
        super().__init__(encoders, num_classes, dropout, rest)
        encoders.take_out("image")  # as a frozen one, whose features come with the batches
        self.transformer = rest.encoder
        self.features = rest.config.visual_feat_dim
        self.classify = classifier(self.dim, self.dim, num_classes, dropout)

    def transformer_parts(self) -> list[nn.Module]:
        """See EarlyNet."""
        return [self.transformer]

    def join(self, text: Unpacked, image: Unpacked, present: dict[str, Tensor]) -> Prediction:
        """See EarlyNet."""
        words, mask = self.started(text, present)
        # Attention over nothing is not a number: without regions the first is asked, and what it says is left out.
        told = image.mask.any(dim=1)
        first = torch.arange(REGIONS, device=mask.device) == 0
        asked = image.mask | (first & ~told.unsqueeze(1))
        regions = self.transformer.visn_fc(image.tokens[..., : self.features], image.tokens[..., self.features :])
        of_text, of_image = additive(mask), additive(asked)
        for layer in self.transformer.layer:
            (words,) = layer(words, of_text)
        for layer in self.transformer.r_layers:
            (regions,) = layer(regions, of_image)
        for layer in self.transformer.x_layers:
            words, regions = _ask_each_other(layer, words, of_text, regions, of_image, told)
        largest = {"text": _largest(words, mask), "image": _largest(regions, asked)}
        return Prediction(self.classify(words[:, 0]), features=words[:, 0], parts=largest)


def _ask_each_other(
    layer: LxmertXLayer, words: Tensor, of_text: Tensor, regions: Tensor, of_image: Tensor, told: Tensor
) -> tuple[Tensor, Tensor]:
    """The states of words and regions (B, T, D) after a layer in which both ask each other, and then themselves.

    That of transformers, but where (B,) bool `told` is false: there the words are told zeros. `of_text` and `of_image`
    are masks as `additive` makes them.
    """
    asking = layer.visual_attention
    seen = asking.att(words, regions, of_image)[0] * told.view(-1, 1, 1)
    asked_words, asked_regions = asking.output(seen, words), asking(regions, words, of_text)[0]
    return layer.output_fc(*layer.self_att(asked_words, of_text, asked_regions, of_image))


def _largest(states: Tensor, mask: Tensor) -> Tensor:
    """(B, T, D) and (B, T) bool, true somewhere in each row, to the largest of each feature, (B, D)."""
    return states.masked_fill(~mask.unsqueeze(-1), -torch.inf).amax(dim=1)
