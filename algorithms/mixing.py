"""Posts as their encoders' features: what can be mixed or moved, whether it was read from pixels, words or a cache."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.distributions import Beta

from datasets.batch import Batch, concatenate
from nets.post_net import PostNet
from nets.prediction import Prediction


@dataclass(frozen=True)
class Encoded:
    """What a net's encoders made of B posts; `features` hold the modalities that it reads, zeros where one lacks."""

    features: dict[str, Tensor]  # (B, width) by modality
    present: dict[str, Tensor]  # (B,) bool by modality

    def __len__(self) -> int:
        return len(next(iter(self.features.values())))

    def __getitem__(self, rows: slice | Tensor) -> Encoded:
        """The posts of `rows`: a slice, or (B,) int64 numbers."""
        features = {name: value[rows] for name, value in self.features.items()}
        return Encoded(features, {name: value[rows] for name, value in self.present.items()})

    def detach(self) -> Encoded:
        """The same without gradient."""
        return Encoded({name: value.detach() for name, value in self.features.items()}, self.present)


def encode(net: nn.Module, batches: Sequence[Batch]) -> Encoded:
    """The posts of all `batches` in order, in one pass of the encoders."""
    assert isinstance(net, PostNet)
    together = concatenate(batches)
    return Encoded(net.encoders(together), {"text": together.has_text, "image": together.has_image})


def answer(net: nn.Module, posts: Encoded) -> Prediction:
    """What the net says of posts that its encoders have read, in float32."""
    assert isinstance(net, PostNet)
    return net.fuse(posts.features, posts.present).float()


def mix(posts: Encoded, others: Encoded, share: Tensor) -> Encoded:
    """share · posts + (1 − share) · others, with (B,) shares. A modality that one of the two lacks is the other's."""
    features, present = {}, {}
    for name, value in posts.features.items():
        own = share * posts.present[name]
        foreign = (1 - share) * others.present[name]
        own = (own / (own + foreign).clamp(min=1e-12)).unsqueeze(1).to(value.dtype)
        either = (posts.present[name] | others.present[name]).unsqueeze(1)
        features[name] = (own * value + (1 - own) * others.features[name]) * either
    for name, here in posts.present.items():
        present[name] = here | others.present[name]
    return Encoded(features, present)


def mixup(posts: Encoded, label: Tensor, alpha: float) -> tuple[Encoded, Tensor]:
    """Each post mixed with one drawn from all of them, and so the (B, C) labels (Zhang et al., mixup, ICLR 2018).

    λ ~ Beta(α, α), λ' = max(λ, 1 − λ), so that a post stays more itself than the other (MixMatch, eq. 8-11); drawn for
    each post, as in the released code of MixMatch and ReMixMatch. All draws are made on the device.
    """
    shape = torch.full((len(posts),), alpha, device=label.device)
    share = Beta(shape, shape, validate_args=False).sample()
    share = torch.maximum(share, 1 - share)
    order = torch.rand(len(posts), device=label.device).argsort()
    column = share.unsqueeze(1)
    return mix(posts, posts[order], share), column * label + (1 - column) * label[order]
