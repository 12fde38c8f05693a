"""Losses that any algorithm adds to its own where an option asks for them: ITC, ITM, class-aware negatives."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from algorithms.losses.class_negatives import class_negative_loss
from algorithms.losses.itc import ImageTextContrast, contrastive_loss
from algorithms.losses.itm import ImageTextMatching
from algorithms.losses.pairs import pairs_of
from algorithms.options import AuxiliaryOptions
from datasets.batch import Batch
from nets.post_net import MODALITIES, PostNet
from nets.prediction import Prediction

CONSTRAINT_RATIO = 0.1
"""Weight of the class-aware negatives for a net that is made for them."""


class AuxiliaryLosses(nn.Module):
    """L = (1 − Σ β_k) L_algorithm + Σ β_k L_k (Sanchez Villegas et al., Findings of EACL 2024).

    They read what the net has answered with a gradient anyway: nothing is encoded again. Several processes contrast
    their own posts only.

    Args:
        options: those of the algorithm.
        net: whose answers come.
        ratios: β by the name of the loss, all above 0.
    """

    def __init__(self, options: AuxiliaryOptions, net: PostNet, ratios: dict[str, float]) -> None:
        super().__init__()
        self.options, self.ratios = options, ratios
        self.contrast: ImageTextContrast | None = None
        self.matching: ImageTextMatching | None = None
        if "itc_loss" in ratios:
            self.contrast = ImageTextContrast(net.contrast_widths)
        if "itm_loss" in ratios:
            self.matching = ImageTextMatching(net.dim)

    @property
    def remainder(self) -> float:
        """Weight that is left to the algorithm's own loss."""
        return 1 - sum(self.ratios.values())

    def joint(self, own: Tensor, found: dict[str, Tensor]) -> Tensor:
        """L from the algorithm's own loss and the others by name."""
        return self.remainder * own + torch.stack([self.ratios[name] * loss for name, loss in found.items()]).sum()

    def forward(self, net: PostNet, answers: Sequence[tuple[Batch, Prediction]]) -> dict[str, Tensor]:
        """Each loss by name, in float32, from batches and what `net` answered for them."""
        losses: dict[str, Tensor] = {}
        likeness = None
        with torch.autocast(answers[0][0].index.device.type, enabled=False):
            pairs = pairs_of(net, answers)
            if self.contrast is not None:
                similarity = self.contrast.similarity(pairs.contrasted)
                both = pairs.both
                every = both.unsqueeze(1) & both.unsqueeze(0)
                negative = pairs.can_swap if self.options.itc_mask_duplicates else every
                losses["itc_loss"] = contrastive_loss(similarity, both, negative)
                likeness = similarity.T if self.options.itm_hard_negatives else None
            if "class_negative_loss" in self.ratios:
                losses["class_negative_loss"] = class_negative_loss(
                    pairs.space["text"], pairs.space["image"], pairs.present, pairs.label,
                    self.options.class_negative_form,
                )  # fmt: skip
        if self.matching is not None:  # the net runs again, in the precision of its first run
            losses["itm_loss"] = self.matching(net, pairs, likeness)
        return losses


def auxiliary_losses(options: AuxiliaryOptions, net: nn.Module) -> AuxiliaryLosses | None:
    """What `options` ask for over `net`; None for nothing.

    Raises ValueError where the net reads one modality only, or no weight is left to the algorithm's own loss.
    """
    constraint = options.class_negative_loss_ratio
    if getattr(net, "constrained", False) and not constraint:
        constraint = CONSTRAINT_RATIO
    ratios = {
        "itc_loss": options.itc_loss_ratio, "itm_loss": options.itm_loss_ratio, "class_negative_loss": constraint,
    }  # fmt: skip
    ratios = {name: ratio for name, ratio in ratios.items() if ratio > 0}
    if not ratios:
        return None
    flags = ", ".join(f"--{name}_ratio {ratio:g}" for name, ratio in ratios.items())
    if not isinstance(net, PostNet) or set(net.reads) != set(MODALITIES):
        raise ValueError(f"{flags}: these losses need a net that reads text and image, as --net concat")
    if sum(ratios.values()) >= 1:
        raise ValueError(f"{flags}: their sum must be below 1, as the rest is the weight of the algorithm's own loss")
    return AuxiliaryLosses(options, net, ratios)
