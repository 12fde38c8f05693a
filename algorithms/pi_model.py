"""Π-model (Laine and Aila, Temporal Ensembling, ICLR 2017, arXiv 1610.02242): two looks at a post say the same."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from algorithms.base import Algorithm, Losses, Step, reads_batch_statistics
from algorithms.options import WarmUpOptions
from algorithms.pseudo_labels import accept_all, squared_error
from datasets.batch import Views


class PiModel(Algorithm):
    """L = CE(p(x), y) + w(t) · mean over posts and classes of (p(weak_1 u) − p(weak u))² (Laine and Aila, alg. 1).

    Both looks are weak views, each with its own dropout. One of the two is the target and has no gradient, as in the
    code of MixMatch and in USB, whose weight of 10 and linear warm-up over the first 40 % of the run these are: the two
    are alike, so the gradient through both, which the paper takes, is on average twice that through one.
    """

    name = "pi_model"
    unlabelled_views = ("weak", "weak_1")

    @dataclass(frozen=True)
    class Options(WarmUpOptions):
        """Π-model"""

        ulb_loss_ratio: float = 10.0
        """Weight of the loss on unlabelled posts."""

    def step(self, labelled: Views, unlabelled: Views, step: Step) -> Losses:
        """See Algorithm."""
        known = labelled["weak"]
        if reads_batch_statistics(self.net):
            answer, target, learner = self.predict(known, unlabelled["weak"], unlabelled["weak_1"])
        else:
            with torch.no_grad():  # not `guess`, which is at rest: the dropout of both looks is the method
                (target,) = self.predict(unlabelled["weak"])
            answer, learner = self.predict(known, unlabelled["weak_1"])
        pseudo = accept_all(self.targets(target.logits))
        return self.combine(
            pseudo,
            sup_loss=(1, self.labelled_loss(answer.logits, known.label)),
            unsup_loss=(self.unlabelled_weight(step), squared_error(learner.logits, pseudo.probabilities)),
        )
