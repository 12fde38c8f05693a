"""Nets with tiny encoders, and posts for them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from datasets.batch import Batch
from nets.build import Plan, build_net, find
from nets.lxmert import REGIONS, RegionReader
from nets.options import NetOptions
from nets.post_net import PostNet

CLASSES, SIZE, VOCABULARY, LENGTH = 3, 32, 50, 24
VECTOR = 2048
"""Features of a region."""
PRESENCE = ((True, True), (True, False), (False, True), (True, True), (True, False), (True, True))
"""(has_text, has_image) of the first posts; both and each alone occur."""


def tiny_net(
    name: str, image_net: str = "small", seed: int = 0, text_net: str = "small", **changes: Any
) -> tuple[PostNet, Plan]:
    """A net from scratch, without dropout, of 32 pixels and 24 tokens, and its plan."""
    torch.manual_seed(seed)
    settings = {"text_pooling": "mean", "feature_dim": 16, "dropout": 0.0} | changes
    options = NetOptions(
        net=name, image_net=image_net, image_weights="none", text_net=text_net, text_weights="none", **settings
    )
    net, plan = build_net(options, CLASSES, SIZE, VOCABULARY, LENGTH)
    for module in net.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    return net, plan


def tiny_posts(seed: int = 0, count: int = 6, both: bool = False, net: str = "concat") -> Batch:
    """Posts that are noise, as the net reads them; some lack a modality unless `both`."""
    draw = torch.Generator().manual_seed(seed)
    presence = torch.tensor([(True, True) if both else PRESENCE[i % len(PRESENCE)] for i in range(count)])
    has_text, has_image = presence.unbind(1)
    lengths = torch.randint(3, 12, (count, 1), generator=draw)
    mask = (torch.arange(12) < lengths) & has_text.unsqueeze(1)
    text = torch.randint(5, VOCABULARY, (count, 12), generator=draw) * mask
    image = torch.randn(count, 3, SIZE, SIZE, generator=draw) * has_image.view(-1, 1, 1, 1)
    label = torch.randint(0, CLASSES, (count,), generator=draw)
    if find(net).regions:
        image = region_rows(count, draw) * has_image.unsqueeze(1)
    return Batch(torch.arange(count), label, has_image, has_text, image, text, mask)


def region_rows(count: int, draw: torch.Generator) -> Tensor:
    """Rows of one to three regions of noise for each post, as datasets/regions.py makes them."""
    regions = torch.randn(count, REGIONS, VECTOR + 4, generator=draw)
    there = torch.arange(REGIONS) < torch.randint(1, 4, (count, 1), generator=draw)
    return RegionReader(VECTOR + 4).layout.pack(torch.zeros(count, 0), regions, there)


def pick(batch: Batch, rows: list[int]) -> Batch:
    """The posts in `rows`, in that order."""
    return batch.map(lambda value: value[rows])


def padded(batch: Batch, width: int) -> Batch:
    """The same posts with more padding, which holds a token that the mask hides."""
    assert batch.text is not None and batch.text_mask is not None
    more = width - batch.text.shape[1]
    return replace(
        batch,
        text=torch.nn.functional.pad(batch.text, (0, more), value=7),
        text_mask=torch.nn.functional.pad(batch.text_mask, (0, more)),
    )
