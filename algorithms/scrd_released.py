"""SCRD as its authors released it (Xia et al., CVPR 2025), a baseline; algorithms/scrd.py is what became of it.

L = L_sup + λ_u L_u + L_dec
L_sup = L_f + in epochs 0 to 10 Σ_m mean CE(p_m, y) over the posts with CE(C_m(X_m), y) < ½ L_f,  L_f = CE(p_f, y)
L_u   = Σ_{k∈{f,t,v}} mean 1[max p_k(weak) ≥ τ] CE(p_k(strong), argmax p_k(weak)), for k = f in epochs 0 to 10 filtered
L_dec = L_cyc + L_rec + 0.1 (L_mar + L_ort)

Written anew from a description of what that code computes. The rest of its recipe is options: --optim SGD
--schedule released --lr 1e-4 --encoder_lr 1e-4 --clip 0 --batch_size 2 --batch_norm batch --strong_text 0 --text_length
512. What still differs: posts were drawn with replacement, strong images made by another RandAugment and Cutout, and
weight decay took in LayerNorms, the BatchNorms of stem and shortcuts, and the attention's divisor.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity, cross_entropy, mse_loss, one_hot

from algorithms.base import Algorithm, Losses, Step, Task
from algorithms.losses.decoupling import MARGIN, margin, masked_mean
from algorithms.options import PseudoLabelOptions
from algorithms.pseudo_labels import consistency_loss, shown_of_selection
from datasets.batch import Batch, Views
from nets.post_net import MODALITIES
from nets.prediction import COMMON, FullPrediction
from nets.scrd_released import ScrdReleasedNet

CURRICULUM_EPOCHS = 11
"""Epochs in which both filters work; afterwards no label reaches the heads of the modalities any more."""
RELEASED_IDS = (1, 2, 0)
"""The ids of negative, neutral and positive in the released code: positive 0, negative 1, neutral 2."""


class ScrdReleased(Algorithm):
    """Pseudo-labels are the net's own on weak views, in the same pass as all other views, in training mode."""

    name = "scrd_released"
    unlabelled_views = ("weak", "strong", "strong_1")
    restarts_average = True

    @dataclass(frozen=True)
    class Options(PseudoLabelOptions):
        """SCRD as released"""

    net: ScrdReleasedNet
    margin_between: Tensor  # (C, C)

    def __init__(self, options: Options, net: nn.Module, teacher: nn.Module, task: Task) -> None:
        if not isinstance(net, ScrdReleasedNet):
            raise ValueError("--algorithm scrd_released learns with --net scrd_released (or auto)")
        super().__init__(options, net, teacher, task)
        self.register_buffer("margin_between", margins(task.num_classes), persistent=False)

    def step(self, labelled: Views, unlabelled: Views, step: Step) -> Losses:
        """See Algorithm."""
        known, weak, strong, strong_1 = labelled["weak"], *(unlabelled[view] for view in self.unlabelled_views)
        answers = cast(list[FullPrediction], self.predict(known, weak, strong, strong_1))  # what the net gives
        answer, target, learner, _ = answers
        sup_loss = self.supervised_loss(answer, known.label, step)
        pseudo = self.pseudo_labels(target, sup_loss.detach(), step)
        unsup_loss = torch.stack(
            [
                consistency_loss(learner.logits, pseudo["label"], pseudo["mask"]),
                consistency_loss(learner.text_logits, pseudo["text_label"], pseudo["text_mask"]),
                consistency_loss(learner.image_logits, pseudo["image_label"], pseudo["image_mask"]),
            ]
        ).sum()
        decouple_loss = decoupling_loss(answers) + 0.1 * self.margin_loss(answer, target, known, weak, pseudo["label"])
        total = sup_loss + self.options.ulb_loss_ratio * unsup_loss + decouple_loss
        parts = {
            "sup_loss": sup_loss, "unsup_loss": unsup_loss, "decouple_loss": decouple_loss, "total_loss": total,
        }  # fmt: skip
        chosen = one_hot(target.selection.argmax(dim=1), 3).float().mean(dim=0)
        shown = shown_of_selection(pseudo, target.selection, chosen)
        return Losses(total, {name: value.detach() for name, value in parts.items()}, *shown)

    def supervised_loss(self, answer: FullPrediction, label: Tensor, step: Step) -> Tensor:
        """L_sup of the labelled posts. The label filter asks the common head whether a private part knows the label."""
        final_loss = self.labelled_loss(answer.logits, label)
        loss = final_loss
        if step.epoch < CURRICULUM_EPOCHS:
            for name, logits in (("text", answer.text_logits), ("image", answer.image_logits)):
                knows = self.doubt("common", answer.parts[name], label) < 0.5 * final_loss.detach()
                loss = loss + masked_mean(self.labelled_loss(logits, label, "none"), knows)
        return loss

    @torch.no_grad()
    def pseudo_labels(self, target: FullPrediction, sup_loss: Tensor, step: Step) -> dict[str, Tensor]:
        """Labels and masks of the final, text and image heads for the (B,) unlabelled posts, from their weak views.

        The pseudo-label filter drops, from the final mask alone, posts whose common part was chosen and, read by the
        head of a modality, supports that modality's pseudo-label less than the batch's `sup_loss` asks for.
        """
        pseudo: dict[str, Tensor] = {}
        dropped = torch.zeros_like(target.logits[:, 0], dtype=torch.bool)
        for name, logits in (("text", target.text_logits), ("image", target.image_logits)):
            confidence, label = logits.softmax(dim=1).max(dim=1)
            pseudo[f"{name}_label"], pseudo[f"{name}_mask"] = label, (confidence >= self.options.threshold).float()
            dropped = dropped | (self.doubt(name, target.parts["common"], label) > sup_loss)
        dropped = dropped & (target.selection.argmax(dim=1) == COMMON) & (step.epoch < CURRICULUM_EPOCHS)
        confidence, label = self.targets(target.logits).max(dim=1)
        confident = confidence >= self.options.threshold
        return pseudo | {
            "label": label, "confidence": confidence,
            "mask": (confident & ~dropped).float(), "dropped": (confident & dropped).float(),
        }  # fmt: skip

    @torch.no_grad()
    def doubt(self, head: str, part: Tensor, label: Tensor) -> Tensor:
        """(B,) cross-entropy of `label` under a head that reads another's part."""
        return cross_entropy(self.net.heads[head](part).float(), label, reduction="none")

    def margin_loss(
        self, answer: FullPrediction, target: FullPrediction, known: Batch, weak: Batch, pseudo_label: Tensor
    ) -> Tensor:
        """L_mar over both modalities' common parts of labelled posts and weak views, whose pseudo-labels count however
        little they are trusted. A modality that a post lacks has no direction, so it is left out of this one loss."""
        label = torch.cat([known.label, pseudo_label])
        return margin(
            torch.cat([some.parts[f"common_{name}"] for name in MODALITIES for some in (answer, target)]),
            torch.cat([label, label]),
            torch.cat([known.has_text, weak.has_text, known.has_image, weak.has_image]),
            self.margin_between,
        )


def decoupling_loss(answers: list[FullPrediction]) -> Tensor:
    """L_cyc + L_rec + 0.1 L_ort over all views: mean squared errors whose targets have a gradient too, and private and
    common part's cosine where it is positive."""
    parts = {name: torch.cat([answer.parts[name] for answer in answers]) for name in answers[0].parts}
    losses = []
    for name in MODALITIES:
        reconstruction = mse_loss(parts[f"rebuilt_{name}"], parts[f"projected_{name}"])
        cycle = mse_loss(parts[f"cycle_{name}"], parts[name])
        orthogonality = cosine_similarity(parts[name], parts[f"common_{name}"]).clamp(min=0).mean()
        losses.append(reconstruction + cycle + 0.1 * orthogonality)
    return torch.stack(losses).sum()


def margins(num_classes: int) -> Tensor:
    """(C, C) margins 0.15 · |y_a − y_n| between the released ids, as if classes were steps of a scale: neutral is twice
    as far from positive as negative is. With other than three classes our own ids stand for them."""
    ids = torch.tensor(RELEASED_IDS if num_classes == len(RELEASED_IDS) else range(num_classes), dtype=torch.float32)
    return MARGIN * (ids.unsqueeze(1) - ids.unsqueeze(0)).abs()
