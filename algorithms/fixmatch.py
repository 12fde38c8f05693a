"""FixMatch (Sohn et al., NeurIPS 2020, arXiv 2001.07685): confident predictions on weak views label strong views."""

from __future__ import annotations

from dataclasses import dataclass

from algorithms.base import Algorithm, Losses, Step
from algorithms.options import PseudoLabelOptions
from algorithms.pseudo_labels import accept, consistency_loss
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
        answer, target, learner = self.predict_with_targets(known, weak, strong)
        pseudo = accept(self.targets(target.logits), self.options.threshold)
        return self.combine(
            pseudo,
            sup_loss=(1, self.labelled_loss(answer.logits, known.label)),
            unsup_loss=(self.options.ulb_loss_ratio, consistency_loss(learner.logits, pseudo.label, pseudo.mask)),
        )
