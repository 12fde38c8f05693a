"""The released SCRD's net worked out one post at a time, from its formulas, with the weights of a real one."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from datasets.batch import Batch
from datasets.seeds import generator
from nets.post_net import Encoders
from nets.scrd_released import ScrdReleasedNet

TEXT_WIDTH, IMAGE_WIDTH, DIM, CLASSES = 5, 4, 6, 3


class Width(nn.Module):
    """An encoder that is never called, as posts bring their features."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width


def make_net(seed: int = 0, dim: int = DIM, text: int = TEXT_WIDTH, image: int = IMAGE_WIDTH) -> ScrdReleasedNet:
    torch.manual_seed(seed)
    return ScrdReleasedNet(Encoders(Width(text), Width(image)), CLASSES, dim, 0.0)  # type: ignore[arg-type]


def make_posts(count: int, seed: int = 0, *, labelled: bool = True) -> Batch:
    draws = generator(seed, "posts by hand", count)

    def features(width: int) -> Tensor:
        return torch.from_numpy(2 * draws.standard_normal((count, width))).float()

    label = torch.from_numpy(draws.integers(0, CLASSES, count)) if labelled else torch.full((count,), -1)
    seen = torch.ones(count, dtype=torch.bool)
    return Batch(torch.arange(count), label, seen, seen, features(IMAGE_WIDTH), features(TEXT_WIDTH))


def answer(net: ScrdReleasedNet, text: Tensor, image: Tensor) -> dict[str, Tensor]:
    """Everything that the net knows of one post, from its two feature vectors."""
    d = net.decoupling
    out: dict[str, Tensor] = {}
    for m, h in (("text", text), ("image", image)):
        x = d.project[m].weight @ h
        private, common = d.private[m].weight @ x, d.common.weight @ x
        rebuilt = d.decode[m].weight @ torch.cat([private, common])
        out |= {f"x_{m}": x, f"private_{m}": private, f"common_{m}": common, f"rebuilt_{m}": rebuilt}
        out[f"cycle_{m}"] = d.private[m].weight @ rebuilt
    out["common"] = out["common_text"] + out["common_image"]
    tokens = [out["private_text"], out["private_image"], out["common"]]
    first, second = net.selection.choose[0], net.selection.choose[2]
    out["g"] = second.weight @ (first.weight @ torch.cat(tokens) + first.bias).clamp(min=0) + second.bias
    k = int(out["g"].argmax())
    s = net.selection
    scores = [
        (s.query.weight @ tokens[k] + s.query.bias) @ (s.key.weight @ token + s.key.bias) / s.divisor
        for token in tokens
    ]  # fmt: skip
    weights = torch.stack(scores).exp() / torch.stack(scores).exp().sum()
    values = [s.value.weight @ token + s.value.bias for token in tokens]
    out["fused"] = weights[0] * values[0] + weights[1] * values[1] + weights[2] * values[2]
    out["p_f"] = head(net, "common", out["fused"])
    out["p_t"], out["p_v"] = head(net, "text", out["private_text"]), head(net, "image", out["private_image"])
    out["p_m"] = head(net, "common", out["common"])
    return out


def head(net: ScrdReleasedNet, name: str, part: Tensor) -> Tensor:
    """C_t, C_v or C_m of one part."""
    layers = [layer for layer in net.heads[name] if isinstance(layer, nn.Linear)]
    return layers[1].weight @ (layers[0].weight @ part + layers[0].bias).clamp(min=0) + layers[1].bias


def answers(net: ScrdReleasedNet, batch: Batch) -> list[dict[str, Tensor]]:
    """The same for each post of a batch."""
    return [answer(net, text, image) for text, image in zip(batch.text, batch.image, strict=True)]
