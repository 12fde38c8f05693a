"""Pseudo-Label (Lee, ICML workshop 2013): what the net is sure of is what it learns."""

from __future__ import annotations

from dataclasses import dataclass

from algorithms.base import Algorithm, Losses, Step, reads_batch_statistics
from algorithms.options import PseudoLabelOptions, WarmUpOptions
from algorithms.pseudo_labels import accept, consistency_loss
from datasets.batch import Views


class PseudoLabel(Algorithm):
    """L = CE(p(weak x), y) + λ_u(t) · mean 1[max p(weak u) ≥ τ] CE(p(weak u), argmax p(weak u)) (Lee, eq. 15).

    The threshold, λ_u = 1 and a linear warm-up over the first 40 % of the run are those of TorchSSL and USB. In the
    paper τ is 0 and λ_u rises to 3 (eq. 16).
    """

    name = "pseudo_label"
    unlabelled_views = ("weak",)

    @dataclass(frozen=True)
    class Options(PseudoLabelOptions, WarmUpOptions):
        """Pseudo-Label"""

    def step(self, labelled: Views, unlabelled: Views, step: Step) -> Losses:
        """See Algorithm."""
        known, weak = labelled["weak"], unlabelled["weak"]
        if reads_batch_statistics(self.net):
            answer, learner = self.predict(known, weak)
            target = learner
        else:
            answer, target, learner = self.predict_with_targets(known, weak, weak)
        pseudo = accept(self.targets(target.logits), self.options.threshold)
        return self.combine(
            pseudo,
            sup_loss=(1, self.labelled_loss(answer.logits, known.label)),
            unsup_loss=(self.unlabelled_weight(step), consistency_loss(learner.logits, pseudo.label, pseudo.mask)),
        )
