"""The net of SCRD as its authors released it (Xia et al., CVPR 2025), kept as a baseline with all that is odd in it.

Written anew from a description of what that code computes. What was made better is in nets/scrd.py.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nets.options import NetOptions
from nets.post_net import MODALITIES, Encoders, PostNet, classifier
from nets.prediction import FullPrediction


class ReleasedDecoupling(nn.Module):
    """x_m = P_m h_m;  private_m = S_m x_m;  common_m = S_c x_m with one S_c for both;  common = common_t + common_v;
    x̂_m = D_m [private_m; common_m];  cycle_m = S_m x̂_m. All of it linear, without bias and without any norm.

    Args:
        widths: features of each encoder by modality.
        dim: width D of all parts.
    """

    def __init__(self, widths: dict[str, int], dim: int) -> None:
        super().__init__()
        self.project = nn.ModuleDict({name: nn.Linear(widths[name], dim, bias=False) for name in MODALITIES})
        self.private = nn.ModuleDict({name: nn.Linear(dim, dim, bias=False) for name in MODALITIES})
        self.common = nn.Linear(dim, dim, bias=False)
        self.decode = nn.ModuleDict({name: nn.Linear(2 * dim, dim, bias=False) for name in MODALITIES})

    def forward(self, features: dict[str, Tensor]) -> dict[str, Tensor]:
        """(B, D) parts by name: `text`, `image` (private), `common`, and for m in text, image: `common_m`,
        `projected_m`, `rebuilt_m`, `cycle_m`."""
        parts: dict[str, Tensor] = {}
        for name in MODALITIES:
            projected = self.project[name](features[name])
            parts[name] = self.private[name](projected)
            parts[f"common_{name}"] = self.common(projected)
            parts[f"projected_{name}"] = projected
            parts[f"rebuilt_{name}"] = self.decode[name](torch.cat([parts[name], parts[f"common_{name}"]], dim=1))
            parts[f"cycle_{name}"] = self.private[name](parts[f"rebuilt_{name}"])
        parts["common"] = parts["common_text"] + parts["common_image"]
        return parts


class ReleasedSelection(nn.Module):
    """k* = argmax MLP([text; image; common]);  O = softmax((T W_q)(T W_k)ᵀ / α) T W_v over the three parts T;  O[k*].

    α is one learnable number that starts at 1. The logits of the MLP go nowhere but into the argmax, which has no
    gradient: the selection stays as it was drawn at the start of the run. That is the released code's fault, kept.

    Args:
        dim: width D of the parts.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.choose = nn.Sequential(nn.Linear(3 * dim, dim), nn.ReLU(), nn.Linear(dim, 3))
        self.query, self.key, self.value = nn.Linear(dim, dim), nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.divisor = nn.Parameter(torch.tensor(1.0))

    def forward(self, parts: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, D) parts (text, image, common) to the (B, D) fused part and the (B, 3) logits of the MLP, which have
        no gradient."""
        with torch.no_grad():
            logits = self.choose(parts.flatten(1))
        score = self.query(parts) @ self.key(parts).transpose(1, 2) / self.divisor
        attended = score.softmax(dim=-1) @ self.value(parts)  # B×3×D
        row = logits.argmax(dim=1).view(-1, 1, 1).expand(-1, 1, parts.shape[-1])
        return attended.gather(1, row).squeeze(1), logits


class ScrdReleasedNet(PostNet):
    """Parts, the untrained selection, and three heads, of which the common one answers for the fused part too.

    The original takes every post to have both modalities. One that a post lacks stays at zero features here, from
    which its parts come out as zeros: they still take part in the selection, the attention and the losses.
    """

    name = "scrd_released"
    ignores = ("dropout", "feature_dropout")

    @classmethod
    def from_options(cls, options: NetOptions, encoders: Encoders, num_classes: int) -> ScrdReleasedNet:
        """See PostNet. The heads have no dropout, whatever the options say: the released ones have none."""
        return cls(encoders, num_classes, options.feature_dim, dropout=0.0)

    @classmethod
    def feature_dropout(cls, options: NetOptions) -> dict[str, float]:
        """None: the released net has no dropout of its own."""
        return {}

    def __init__(self, encoders: Encoders, num_classes: int, dim: int, dropout: float) -> None:
        super().__init__(encoders, num_classes, dim, dropout)
        self.decoupling = ReleasedDecoupling(encoders.widths, dim)
        self.selection = ReleasedSelection(dim)
        self.heads = nn.ModuleDict(
            {name: classifier(dim, 2 * dim, num_classes, dropout) for name in ("text", "image", "common")}
        )

    def fuse(self, features: dict[str, Tensor], present: dict[str, Tensor]) -> FullPrediction:
        """See PostNet."""
        parts = self.decoupling(features)
        fused, selection_logits = self.selection(torch.stack([parts["text"], parts["image"], parts["common"]], dim=1))
        return FullPrediction(
            logits=self.heads["common"](fused),
            text_logits=self.heads["text"](parts["text"]),
            image_logits=self.heads["image"](parts["image"]),
            common_logits=self.heads["common"](parts["common"]),
            selection=selection_logits.softmax(dim=1),
            selection_logits=selection_logits,
            features=fused,
            parts=parts,
        )
