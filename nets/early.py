"""What the nets of early fusion share: one transformer reads the tokens of text and image from its first layers on."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from transformers import AutoModel, PretrainedConfig

from nets.encoders import longest_text, pretrained_text
from nets.layout import Layout, Unpacked
from nets.options import NetOptions
from nets.post_net import MODALITIES, Encoders, PostNet
from nets.prediction import Prediction


class TokenEmbedder(nn.Module):
    """(B, L) token ids to a row (see Layout) of their embeddings: what a transformer begins with.

    The rest of the transformer is kept for the net, which takes it with `take_rest`.

    Args:
        embed: (B, L) ids to (B, L, D).
        whole: the transformer from which that was taken.
    """

    pooling = "none"

    def __init__(self, embed: nn.Module, whole: Any) -> None:
        super().__init__()
        self.embed = embed
        self.config: PretrainedConfig = whole.config
        self.longest = longest_text(self.config)
        self.layout = Layout(0, self.longest, self.config.hidden_size, ragged=True)
        self.width = self.layout.size
        self._rest = [whole]  # a list hides it from nn.Module: it must not be saved or trained as a part of this

    @property
    def rest(self) -> Any:
        """The transformer without what this embedder took."""
        return self._rest[0]

    def take_rest(self) -> Any:
        """The transformer without what this embedder took, once."""
        return self._rest.pop()

    def forward(self, text: Tensor, mask: Tensor) -> Tensor:
        """(B, L) ids and (B, L) bool mask to a row; a text's tokens beyond the longest are not read."""
        text, mask = text[:, : self.longest], mask[:, : self.longest]
        tokens = self.embed(text)
        return self.layout.pack(tokens.new_zeros(len(tokens), 0), tokens, mask)


class EarlyNet(PostNet):
    """A net whose encoders embed tokens only; the layers after them see the tokens of both modalities.

    A post's tokens of a modality that it lacks are masked: no token of the other asks them. The first position, from
    which the class is told, is always there; without a text it holds the learned `start`.

    `fuse` unpacks the rows for `join`. Its representation is as wide as the transformer, whatever --feature_dim says.
    Image-text contrast compares the states of both after the transformer, without a projection, as published
    (Sanchez Villegas et al., Findings of EACL 2024).

    Args:
        rest: the transformer without its embeddings of texts.
    """

    small_text = "small"
    image_from_text = True
    cuts_texts = True
    freezable: ClassVar[tuple[str, ...]] = ()
    ignores: ClassVar[tuple[str, ...]] = (
        "feature_dim", "text_pooling", "image_net", "image_weights", "batch_norm",
    )  # fmt: skip
    model_types: ClassVar[tuple[str, ...]] = ()
    """What transformers calls the models that it is made of."""

    def __init__(self, encoders: Encoders, num_classes: int, dropout: float, rest: Any) -> None:
        super().__init__(encoders, num_classes, rest.config.hidden_size, dropout)
        self.start = nn.Parameter(torch.zeros(self.dim))

    @classmethod
    def from_options(cls, options: NetOptions, encoders: Encoders, num_classes: int) -> EarlyNet:
        """See PostNet. Raises ValueError for a text encoder that is no transformer."""
        return cls(encoders, num_classes, options.dropout, cls.embedder(options, encoders.live["text"]).take_rest())

    @classmethod
    def embedder(cls, options: NetOptions, text: Any) -> TokenEmbedder:
        """The encoder of texts, which must be one. Raises ValueError."""
        if not isinstance(text, TokenEmbedder):
            raise ValueError(f"--net {cls.name} is a transformers net: --text_net {options.text_net} is none")
        return text

    @classmethod
    def text_encoder(
        cls, source: str | PretrainedConfig, pooling: str, num_classes: int, tokens: int = 0
    ) -> TokenEmbedder:
        """See PostNet. Raises ValueError for weights of another kind of model."""
        whole: Any
        if isinstance(source, PretrainedConfig):
            whole = AutoModel.from_config(source, dtype=torch.float32, trust_remote_code=False)
        else:
            whole, _ = pretrained_text(source)
        if whole.config.model_type not in cls.model_types:
            raise ValueError(
                f"--net {cls.name} is made of a model of the kind {' or '.join(cls.model_types)}; --text_net or "
                f"--text_weights {source} is one of the kind {whole.config.model_type}"
            )
        return TokenEmbedder(cls.take_embeddings(whole), whole)

    @classmethod
    @abstractmethod
    def take_embeddings(cls, whole: Any) -> nn.Module:
        """Take out of a transformer what makes (B, L, D) of (B, L) token ids."""

    @abstractmethod
    def join(self, text: Unpacked, image: Unpacked, present: dict[str, Tensor]) -> Prediction:
        """The answer from the tokens of both."""

    def fuse(self, features: dict[str, Tensor], present: dict[str, Tensor]) -> Prediction:
        """See PostNet."""
        text, image = (self.encoders.layouts[name].unpack(features[name]) for name in MODALITIES)
        return self.join(text, image, present)

    def started(self, text: Unpacked, present: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Tokens and mask of the texts, whose first token is always there: `start` where the post has no text."""
        here = present["text"].unsqueeze(1)
        first = torch.where(here, text.tokens[:, 0], self.start.to(text.tokens.dtype))
        tokens = torch.cat([first.unsqueeze(1), text.tokens[:, 1:]], dim=1)
        return tokens, torch.cat([torch.ones_like(here), text.mask[:, 1:]], dim=1)

    @torch.no_grad()
    def begin_with(self, first: int, last: int) -> None:
        """See PostNet: `start` begins as a text's first token."""
        self.start.copy_(self.embedded(first))

    @torch.no_grad()
    def embedded(self, token: int) -> Tensor:
        """(D,) embedding of one token in the first position."""
        embed = self.encoders.live["text"].embed.eval()  # type: ignore[union-attr]
        found = embed(torch.tensor([[token]]))[0, 0]
        embed.train()
        return found

    def contrasted(self, answer: Prediction) -> dict[str, Tensor]:
        """See PostNet: what the transformer made of both, as it is."""
        assert answer.parts is not None, "an early net names its parts"
        return answer.parts

    @property
    def contrast_widths(self) -> dict[str, int] | None:
        """See PostNet: nothing is to be mapped."""
        return None

    def loaded(self) -> dict[str, nn.Module]:
        """See PostNet: the transformer, from embeddings to states, and what else encodes images."""
        live = dict(self.encoders.live.items())
        own = [name for name in live if name == "text" or self.image_from_text]
        return {"text": nn.ModuleList([*map(live.pop, own), *self.transformer_parts()]), **live}

    @abstractmethod
    def transformer_parts(self) -> list[nn.Module]:
        """The modules that hold the transformer's weights after its embeddings."""


def additive(mask: Tensor) -> Tensor:
    """(B, S) bool as (B, 1, 1, S) float32 to be added to scores of attention: 0 where a token is, else about -10³⁸."""
    return torch.where(mask, 0.0, torch.finfo(torch.float32).min)[:, None, None, :]
