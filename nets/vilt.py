"""ViLT (Kim et al., ICML 2021, arXiv 2102.03334): words and patches of pixels in one transformer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate
from transformers import AutoConfig, PretrainedConfig

from nets.dropout import Dropout
from nets.early import EarlyNet, additive
from nets.layout import Layout, Unpacked
from nets.options import NetOptions
from nets.post_net import Encoders
from nets.prediction import Prediction

LONGEST = 40
"""Tokens of a text: those of the published weights."""
SCALING = (0.5, 0.5, 0.5)
"""Mean and standard deviation of pixels, as the published weights were trained."""
TEXT, IMAGE = 0, 1
"""Numbers of the modalities in the table of their embeddings."""


class PatchEmbedder(nn.Module):
    """(B, 3, S, S) normalised pixels to a row (see Layout) of 1 + (S // P)² embeddings: class token, then patches.

    Positions are those of the weights, resized to the grid of patches as ViLT does, but once and for all.

    Args:
        embeddings: ViLT's, from which patches, class token and positions are taken.
        config: ViLT's, with patches of P pixels.
        size: S; 0: what the weights were trained with. Raises ValueError where it is smaller than a patch.
    """

    def __init__(self, embeddings: Any, config: Any, size: int) -> None:
        super().__init__()
        self.size = size or config.image_size
        side = self.size // config.patch_size
        if not side:
            raise ValueError(f"--image_size {size}: ViLT divides an image into patches of {config.patch_size} pixels")
        self.patches, self.class_token = embeddings.patch_embeddings.projection, embeddings.cls_token
        self.positions = nn.Parameter(_resized(embeddings.position_embeddings.detach(), side))
        self.dropout = embeddings.dropout
        self.layout = Layout(0, 1 + side * side, config.hidden_size)
        self.width = self.layout.size
        self.plan: dict[str, Any] = {"size": self.size, "mean": SCALING, "std": SCALING}

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, S, S) to (B, width)."""
        patches = self.patches(image).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.class_token.expand(len(image), -1, -1).to(patches.dtype), patches], dim=1)
        tokens = self.dropout(tokens + self.positions)
        there = torch.ones(tokens.shape[:2], dtype=torch.bool, device=tokens.device)
        return self.layout.pack(tokens.new_zeros(len(tokens), 0), tokens, there)


def _resized(positions: Tensor, side: int) -> Tensor:
    """(1, 1 + s², D) positions of a class token and a grid to (1, 1 + side², D)."""
    grid = positions[:, 1:].unflatten(1, (int((positions.shape[1] - 1) ** 0.5), -1)).permute(0, 3, 1, 2)
    grid = interpolate(grid, size=(side, side), mode="bilinear", align_corners=True)
    return torch.cat([positions[:, :1], grid.flatten(2).transpose(1, 2)], dim=1)


class ViltNet(EarlyNet):
    """h = ViLT([t_1 … t_L; v_CLS; v_1 … v_P]), and W Dropout(h_1): the state of the text's first token.

    A linear layer over that state, and image-text contrast of it with the state of the image's class token, are those
    of Sanchez Villegas et al. (Findings of EACL 2024). They pad images of any shape; here they are squares, as for all
    nets. The answer's parts are the two states; both have seen the whole post.
    """

    name = "vilt"
    pretrained_text = "dandelin/vilt-b32-mlm"
    model_types = ("vilt",)

    @classmethod
    def small_config(cls, vocabulary: int, length: int) -> PretrainedConfig:
        """See PostNet."""
        return AutoConfig.for_model(
            "vilt", vocab_size=vocabulary, hidden_size=64, num_hidden_layers=2, num_attention_heads=4,
            intermediate_size=128, max_position_embeddings=min(length, LONGEST), image_size=64, patch_size=8,
            pad_token_id=0,
        )  # fmt: skip

    @classmethod
    def take_embeddings(cls, whole: Any) -> nn.Module:
        """See EarlyNet."""
        embed, whole.embeddings.text_embeddings = whole.embeddings.text_embeddings, None
        return embed

    @classmethod
    def image_encoder(cls, options: NetOptions, size: int, plan: Mapping[str, Any] | None, text: Any) -> PatchEmbedder:
        """See PostNet."""
        text = cls.embedder(options, text)
        return PatchEmbedder(text.rest.embeddings, text.config, plan["size"] if plan else size)

    def __init__(self, encoders: Encoders, num_classes: int, dropout: float, rest: Any) -> None:
        super().__init__(encoders, num_classes, dropout, rest)
        self.modality = rest.embeddings.token_type_embeddings
        self.transformer, self.norm = rest.encoder, rest.layernorm
        self.classify = nn.Sequential(Dropout(dropout), nn.Linear(self.dim, num_classes))

    def transformer_parts(self) -> list[nn.Module]:
        """See EarlyNet."""
        return [self.modality, self.transformer, self.norm]

    def join(self, text: Unpacked, image: Unpacked, present: dict[str, Tensor]) -> Prediction:
        """See EarlyNet."""
        words, mask = self.started(text, present)
        words, patches = words + self.modality.weight[TEXT], image.tokens + self.modality.weight[IMAGE]
        mask = additive(torch.cat([mask, image.mask], dim=1))
        states = self.transformer(torch.cat([words, patches], dim=1), mask).last_hidden_state
        of_text, of_image = self.norm(states[:, 0]), self.norm(states[:, words.shape[1]])
        return Prediction(self.classify(of_text), features=of_text, parts={"text": of_text, "image": of_image})
