"""SCRD (Xia et al., Seek Common Ground While Reserving Differences, CVPR 2025), made self-consistent.

L = L_sup + λ_u L_u + λ_dec L_dec + λ_sel L_sel + λ_T L_T
L_sup = λ_f CE(p_f, y) + λ_m (CE(p_m, y) + Σ_{k∈{t,v}} filter_k · CE(p_k, y))
L_u   = U_f + λ_m (U_t + U_v), U_k = mean 1[max p_k(weak) ≥ τ] CE(p_k(strong), argmax p_k(weak)), U_f filtered by PLF;
        t and v learn, by default, what f has accepted
L_dec = L_cyc + L_rec + 0.1 (L_mar + L_ort)
L_sel = mean KL(u ‖ π), u_k ∝ exp(−CE(p_k(weak), argmax p_f(weak)) / T_u)
L_T = mean CE(p_v(strong), q̂) + CE(p_f(strong), q̂) + CE(p_t(strong), q), q̂ ∝ p_f(weak) · q^trust, q what a text
        teacher says (--teacher_weight)
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot

from algorithms.base import Algorithm, Losses, Step, Task
from algorithms.losses import decoupling
from algorithms.losses.text_teacher import joined, trust
from algorithms.options import PseudoLabelOptions
from algorithms.pseudo_labels import ClassThreshold, consistency_loss, shown_of_selection, smooth
from datasets.batch import Batch, Views
from nets.post_net import MODALITIES
from nets.prediction import COMMON, IMAGE, TEXT, FullPrediction, Prediction
from nets.scrd import ScrdNet

LOSS_MOMENTUM = 0.99
LEAST_DOUBT = 0.3
"""Share of the loss of a blind guess under which no limit falls: few labels are soon learned by heart, and their loss
then says nothing of what is usual."""
LEAST_THRESHOLD = 0.9
"""Share of --threshold under which the threshold of no class falls."""


class Scrd(Algorithm):
    """Pseudo-labels from the moving average of the net on weak views, where text and image by themselves say the same.

    A head that learns from its own confident answers gets surer of its mistakes, and the fused head follows the surest:
    of the pseudo-labels accepted so on the synthetic world 78 % were right, of those on which both agree 90 %.
    """

    name = "scrd"

    @dataclass(frozen=True)
    class Options(PseudoLabelOptions):
        """SCRD"""

        plf: Literal["agree", "match", "figure", "code", "none"] = "agree"
        """Filter of pseudo-labels: the head of every modality that the post has must agree (agree), that of the
        deciding one must (match), a private part must support the pseudo-label (figure of the paper), a deciding common
        part must support both modalities (released code), or none."""
        plf_scale: float = 1.0
        """Loss above which figure and code reject, in units of the running supervised loss."""
        plf_epochs: int = -1
        """Epochs in which figure and code filter; -1: all (released code: 11)."""
        guard: Literal["threshold", "none"] = "threshold"
        """Against a class that nobody predicts any more: a threshold for each class, lower where it is rare."""
        final_label_ratio: float = -1
        """Weight of the labelled posts' loss of the final answer; -1: 0 with encoders from scratch and --decision sum,
        else 1. Encoders from scratch soon know the labelled posts by heart, and the loss of the sum then teaches text
        and image to lean on each other."""
        label_smoothing: float = -1
        """Share of the labels of text's and image's heads that is spread over the classes, so that where a head knows
        the labelled posts by heart it is not surer of others than it may be; -1: 0.2 with encoders from scratch, else
        0."""
        label_filter_floor: float = 0.5
        """Weight of the labelled posts that the label filter rejects for one modality; 1: no label filter."""
        modality_pseudo_label: Literal["shared", "own"] = "shared"
        """What the heads of text and image learn from unlabelled posts: the accepted pseudo-label of the final head, so
        that one modality teaches the other (shared), or their own confident one (own, as released), which makes a head
        surer of its own mistakes."""
        modality_loss_ratio: float = 1.0
        """Weight of the losses of the heads for text, image and common part, beside the final one's."""
        decoupling_loss_ratio: float = 0.1
        """Weight of the decoupling losses (released code: 1)."""
        selection_loss_ratio: float = 0.1
        """Weight of the loss that teaches the selection which part supports the pseudo-label."""
        selection_temperature: float = 0.5
        """Temperature of the target of that loss."""
        teacher_weight: float = 0.0
        """Weight of what a text teacher (scripts/label_tweets.py) says of unlabelled posts, learned by the text's head,
        and of what it and the net together say, learned by the final answer and by the image's head; 0: the teacher is
        not asked."""

        def __post_init__(self) -> None:
            super().__post_init__()
            self.check_from_zero(
                "plf_scale", "modality_loss_ratio", "decoupling_loss_ratio", "selection_loss_ratio", "teacher_weight"
            )
            self.check_above_zero("selection_temperature")
            self.check_share("label_filter_floor")
            if self.plf_epochs < -1:
                raise ValueError(f"--plf_epochs {self.plf_epochs} must be a number of epochs, or -1 for all of them")
            if self.final_label_ratio != -1:
                self.check_from_zero("final_label_ratio")
            if self.label_smoothing != -1:
                self.check_share("label_smoothing")

    net: ScrdNet
    running_loss: Tensor  # ()
    running_weight: Tensor  # ()

    def __init__(self, options: Options, net: nn.Module, teacher: nn.Module, task: Task) -> None:
        if not isinstance(net, ScrdNet):
            raise ValueError("--algorithm scrd learns with --net scrd (or auto)")
        super().__init__(options, net, teacher, task)
        self.final_label_ratio = 1.0 if options.final_label_ratio < 0 else options.final_label_ratio
        self.label_smoothing = max(options.label_smoothing, 0.0)
        self.register_buffer("running_loss", torch.tensor(0.0))
        self.register_buffer("running_weight", torch.tensor(0.0))
        self.thresholds = ClassThreshold(task.num_classes, floor=LEAST_THRESHOLD)

    @classmethod
    def asks_teacher(cls, options: Any) -> str:
        """See Algorithm."""
        return "--teacher_weight" if options.teacher_weight else ""

    def step(self, labelled: Views, unlabelled: Views, step: Step) -> Losses:
        """See Algorithm."""
        known, strong = labelled["weak"], unlabelled["strong"]
        answer, learner = map(_full, self.predict(known, strong))
        target = _full(self.teach(unlabelled["weak"]))

        sup_loss, final_loss = self.supervised_loss(answer, known)
        pseudo = self.pseudo_labels(target, unlabelled["weak"], step)
        unsup_loss = self.unsupervised_loss(learner, strong, pseudo)
        decouple_loss = self.decoupling_loss(answer, learner, known, strong, pseudo)
        selection_loss = self.selection_loss(learner, target, pseudo)
        teacher_loss = self.teacher_loss(learner, target, strong)
        total = (
            sup_loss
            + self.options.ulb_loss_ratio * unsup_loss
            + self.options.decoupling_loss_ratio * decouple_loss
            + self.options.selection_loss_ratio * selection_loss
            + self.options.teacher_weight * teacher_loss
        )
        self.running_loss.lerp_(final_loss.detach(), 1 - LOSS_MOMENTUM)
        self.running_weight.lerp_(torch.ones_like(self.running_weight), 1 - LOSS_MOMENTUM)
        parts = {
            "sup_loss": sup_loss, "unsup_loss": unsup_loss, "decouple_loss": decouple_loss,
            "selection_loss": selection_loss, "total_loss": total,
        }  # fmt: skip
        if self.options.teacher_weight:
            parts["teacher_loss"] = teacher_loss
        selection = learner.selection.detach()
        shown = shown_of_selection(pseudo, selection, selection.mean(dim=0))
        return Losses(total, {name: value.detach() for name, value in parts.items()}, *shown)

    def usual_loss(self) -> Tensor:
        """Moving average of the supervised loss of the final head, without the bias of its start at zero, and never
        less than a share of a blind guess's loss."""
        return (self.running_loss / self.running_weight.clamp(min=1e-6)).clamp(
            min=LEAST_DOUBT * math.log(self.num_classes)
        )

    def supervised_loss(self, answer: FullPrediction, batch: Batch) -> tuple[Tensor, Tensor]:
        """L_sup and its first term. A labelled post trains a modality's own head in full only where the common head,
        reading the modality's private part, finds the label: a text that says nothing of it should not be made to."""
        label = batch.label
        final_loss = self.labelled_loss(answer.logits, label)
        common_loss = self.labelled_loss(answer.common_logits, label)
        loss = self.final_label_ratio * final_loss + self.options.modality_loss_ratio * common_loss
        told = smooth(one_hot(label, self.num_classes).to(answer.logits.dtype), self.label_smoothing)
        usual = torch.where(self.running_weight > 0, self.usual_loss(), final_loss.detach())
        for name, logits, present in _modality_heads(answer, batch):
            doubt = self.doubt(self.net, "common", answer.parts[name], label)
            weight = torch.where(doubt < usual, 1.0, self.options.label_filter_floor) * present
            own_loss = (self.labelled_loss(logits, told, "none") * weight).mean()
            loss = loss + self.options.modality_loss_ratio * own_loss
        return loss, final_loss

    @torch.no_grad()
    def pseudo_labels(self, target: FullPrediction, batch: Batch, step: Step) -> dict[str, Tensor]:
        """Labels and masks of the final, text and image heads for the (B,) unlabelled posts, from weak views."""
        probabilities = self.targets(target.logits)
        self.thresholds.update(probabilities)
        adaptive = self.options.guard == "threshold" and self.options.threshold <= 1  # above 1 means never
        threshold = self.thresholds(self.options.threshold) if adaptive else None
        confidence, label = probabilities.max(dim=1)
        confident = self._confident(confidence, label, threshold)
        supported = self.supported(target, label, batch, step).to(confident.dtype)
        pseudo = {
            "label": label, "confidence": confidence, "mask": confident * supported,
            "dropped": confident * (1 - supported),
        }  # fmt: skip
        for name, logits, present in _modality_heads(target, batch):
            label, mask = pseudo["label"], pseudo["mask"]
            if self.options.modality_pseudo_label == "own":
                confidence, label = logits.softmax(dim=1).max(dim=1)
                mask = self._confident(confidence, label, threshold)
            pseudo[f"{name}_label"], pseudo[f"{name}_mask"] = label, mask * present
        return pseudo

    def _confident(self, confidence: Tensor, label: Tensor, threshold: Tensor | None) -> Tensor:
        """(B,) 1 where the confidence reaches the threshold, of the class where there is one for each."""
        least = self.options.threshold if threshold is None else threshold[label]
        return (confidence >= least).to(torch.float32)

    def supported(self, target: FullPrediction, label: Tensor, batch: Batch, step: Step) -> Tensor:
        """(B,) bool: the pseudo-label filter (`--plf`) lets the post through. A modality that it lacks has no say."""
        rule = self.options.plf
        chosen = COMMON - target.selection.flip(1).argmax(dim=1)  # among equals (selection none) the common part
        heads = torch.stack([target.text_logits, target.image_logits, target.common_logits], dim=1)
        if rule == "match":
            deciding = heads.argmax(dim=2).gather(1, chosen.unsqueeze(1)).squeeze(1)
            return (deciding == label) | (chosen == COMMON)
        present = torch.stack([batch.has_text, batch.has_image], dim=1)
        if rule == "agree":
            return ((heads[:, :COMMON].argmax(dim=2) == label.unsqueeze(1)) | ~present).all(dim=1)
        active = rule != "none" and (self.options.plf_epochs < 0 or step.epoch < self.options.plf_epochs)
        if not active:
            return torch.ones_like(label, dtype=torch.bool)
        limit = self.options.plf_scale * self.usual_loss()
        if rule == "figure":
            doubts = [self.doubt(self.teacher, "common", target.parts[name], label) for name in MODALITIES]
            return ((torch.stack(doubts, dim=1) <= limit) & present).any(dim=1)
        own = {"text": heads[:, TEXT].argmax(dim=1), "image": heads[:, IMAGE].argmax(dim=1)}
        doubts = [self.doubt(self.teacher, name, target.parts["common"], own[name]) for name in MODALITIES]
        return (chosen != COMMON) | ((torch.stack(doubts, dim=1) <= limit) | ~present).all(dim=1)

    @staticmethod
    @torch.no_grad()
    def doubt(net: nn.Module, head: str, part: Tensor, label: Tensor) -> Tensor:
        """(B,) cross-entropy of `label` under a head that reads a part, its own or another's."""
        assert isinstance(net, ScrdNet)
        return cross_entropy(net.heads[head](part).float(), label, reduction="none")

    def unsupervised_loss(self, learner: FullPrediction, strong: Batch, pseudo: dict[str, Tensor]) -> Tensor:
        """L_u over the final, text and image heads. A modality's own head learns where both views have the modality:
        each view may have lost another one (--modality_dropout)."""
        loss = consistency_loss(learner.logits, pseudo["label"], pseudo["mask"])
        for name, logits, present in _modality_heads(learner, strong):
            own_loss = consistency_loss(logits, pseudo[f"{name}_label"], pseudo[f"{name}_mask"] * present)
            loss = loss + self.options.modality_loss_ratio * own_loss
        return loss

    def decoupling_loss(
        self,
        answer: FullPrediction,
        learner: FullPrediction,
        known: Batch,
        strong: Batch,
        pseudo: dict[str, Tensor],
    ) -> Tensor:
        """L_dec over the views that have a gradient anyway; the margin trusts labels and accepted pseudo-labels."""
        if "rebuilt_text" not in answer.parts:
            return answer.logits.new_zeros(())
        parts = {name: torch.cat([answer.parts[name], learner.parts[name]]) for name in answer.parts}
        present = {
            "text": torch.cat([known.has_text, strong.has_text]),
            "image": torch.cat([known.has_image, strong.has_image]),
        }  # fmt: skip
        label = torch.cat([known.label, pseudo["label"]])
        trusted = torch.cat([torch.ones_like(known.label, dtype=torch.bool), pseudo["mask"] > 0])
        margin = decoupling.margin(
            torch.cat([parts["common_text"], parts["common_image"]]),
            torch.cat([label, label]),
            torch.cat([trusted & present["text"], trusted & present["image"]]),
        )
        shape = margin + decoupling.orthogonality(parts, present)
        return decoupling.cycle(parts, present) + decoupling.reconstruction(parts, present) + 0.1 * shape

    def teacher_loss(self, learner: FullPrediction, target: FullPrediction, batch: Batch) -> Tensor:
        """L_T: the final answer learns what a text teacher and the net's own weak view say together, and so does the
        image's head by itself, since nothing else tells it what the text knows. The text's head, which reads what the
        teacher has read, learns the teacher's answer as it is. Posts of which the teacher said nothing do not count.

        Few labels leave the net unsure, and then the teacher decides; later the net does where it is the surer one. A
        text's head that learns the joint answer feeds on itself: what it says comes back to it, surer each time
        (docs/benchmarks.md).
        """
        if not self.options.teacher_weight or batch.teacher is None:
            return learner.logits.new_zeros(())
        trusted = trust(batch.teacher, target.logits.softmax(dim=1), learner.logits.softmax(dim=1))
        told = joined(batch.teacher, target.logits, trusted)
        spoken = (batch.teacher.sum(dim=1) > 0).to(told.dtype)
        final_loss = consistency_loss(learner.logits, told, spoken)
        text_loss = consistency_loss(learner.text_logits, batch.teacher, spoken * batch.has_text)
        return final_loss + text_loss + consistency_loss(learner.image_logits, told, spoken * batch.has_image)

    def selection_loss(self, learner: FullPrediction, target: FullPrediction, pseudo: dict[str, Tensor]) -> Tensor:
        """L_sel: the selection should be as each part's own head of the teacher supports the pseudo-label, accepted or
        not: those that the default filter accepts are those on which the heads agree, and say nothing of who decides.

        Unlabelled posts, because the labelled ones are soon learned by heart by whichever head learns fastest: taught
        from them, the selection starves the other modality (synthetic world: macro-F1 0.59 against 0.64 without L_sel).
        """
        if not learner.selection_logits.requires_grad:
            return learner.logits.new_zeros(())
        heads = (target.text_logits, target.image_logits, target.common_logits)
        losses = torch.stack([cross_entropy(head, pseudo["label"], reduction="none") for head in heads], dim=1)
        # Each view may have lost another modality: only of parts that both have is it known how they compare.
        missing = learner.selection_logits.isneginf() | target.selection_logits.isneginf()
        utility = (-losses / self.options.selection_temperature).masked_fill(missing, -torch.inf).softmax(dim=1)
        logits = learner.selection_logits.masked_fill(missing, -torch.inf)
        log_selection = logits.log_softmax(dim=1).masked_fill(missing, 0.0)
        log_utility = utility.clamp(min=1e-12).log()
        return ((utility * (log_utility - log_selection)).sum(dim=1)).mean()


def _modality_heads(prediction: FullPrediction, batch: Batch) -> tuple[tuple[str, Tensor, Tensor], ...]:
    """Name, (B, C) logits and (B,) presence of each modality's own head."""
    return ("text", prediction.text_logits, batch.has_text), ("image", prediction.image_logits, batch.has_image)


def _full(prediction: Prediction) -> FullPrediction:
    assert isinstance(prediction, FullPrediction)
    return prediction
