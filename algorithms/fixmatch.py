"""FixMatch (Sohn et al., NeurIPS 2020, arXiv 2001.07685): confident predictions on weak views label strong views."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn.functional import cross_entropy

from algorithms.base import Algorithm, Losses, Step
from algorithms.options import PseudoLabelOptions
from algorithms.pseudo_labels import consistency_loss
from datasets.batch import Views


class FixMatch(Algorithm):
    """L = CE(p(weak x), y) + λ_u · mean 1[max p(weak u) ≥ τ] CE(p(strong u), argmax p(weak u)).

    Pseudo-labels come from the net itself. Where its BatchNorm takes statistics from the batch, weak views run in the
    same pass as the others, as those statistics would differ otherwise; else they run apart, without gradient.
    """

    name = "fixmatch"

    @dataclass(frozen=True)
    class Options(PseudoLabelOptions):
        """FixMatch"""

    def step(self, labelled: Views, unlabelled: Views, step: Step) -> Losses:
        """See Algorithm."""
        known, weak, strong = labelled["weak"], unlabelled["weak"], unlabelled["strong"]
        answer_known, answer_weak, answer_strong = self.predict_with_targets(known, weak, strong)
        probabilities = answer_weak.logits.detach().softmax(dim=1)
        confidence, pseudo_label = probabilities.max(dim=1)
        mask = (confidence >= self.options.threshold).to(torch.float32)
        sup_loss = cross_entropy(answer_known.logits, known.label)
        unsup_loss = consistency_loss(answer_strong.logits, pseudo_label, mask)
        total = sup_loss + self.options.ulb_loss_ratio * unsup_loss
        return Losses(
            total,
            {"sup_loss": sup_loss.detach(), "unsup_loss": unsup_loss.detach(), "total_loss": total.detach()},
            {"util_ratio": mask.mean()},
            {"confidence": confidence, "pseudo_label": pseudo_label, "mask": mask},
        )
