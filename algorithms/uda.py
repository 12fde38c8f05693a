"""UDA (Xie et al., Unsupervised Data Augmentation, NeurIPS 2020, arXiv 1904.12848)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal

import tyro
from torch import Tensor

from algorithms.base import Algorithm, Losses, Step
from algorithms.losses.decoupling import masked_mean
from algorithms.options import PseudoLabelOptions, SharpeningOptions
from algorithms.pseudo_labels import accept, consistency_loss, sharpen
from datasets.batch import Views

STEEPNESS = 5
"""Of the log and exp schedules (sec. 3.3 of the first version of the paper, and its code)."""


class Uda(Algorithm):
    """L = L_sup + λ_u · mean 1[max p(weak u) ≥ τ] CE(p(strong u), p(weak u)^{1/T} / Σ) (Xie et al., eq. 1, sec. 2.3).

    With training signal annealing a labelled post is left out while the net gives its label more than
    η_t = α_t (1 − 1/C) + 1/C; L_sup is the mean over the others. α_t is t/T (linear), 1 − exp(−5 t/T) (log) or
    exp(5 (t/T − 1)) (exp). Threshold 0.8 and temperature 0.4 are the paper's for CIFAR-10, and USB's.
    """

    name = "uda"

    @dataclass(frozen=True)
    class Options(PseudoLabelOptions, SharpeningOptions):
        """UDA"""

        threshold: Annotated[float, tyro.conf.arg(aliases=["--p_cutoff"])] = 0.8
        """Confidence from which a pseudo-label is learned from; above 1: none ever is."""
        temperature: float = 0.4
        """What unlabelled posts are taken for is sharpened with this temperature; 1: left as it is, near 0: one
        class."""
        tsa_schedule: Literal["none", "linear", "log", "exp"] = "none"
        """Training signal annealing: how the probability rises above which a labelled post is left out, as known well
        enough for now; exp releases them last, log first, none leaves none out."""

    def step(self, labelled: Views, unlabelled: Views, step: Step) -> Losses:
        """See Algorithm."""
        known, weak, strong = labelled["weak"], unlabelled["weak"], unlabelled["strong"]
        answer, target, learner = self.predict_with_targets(known, weak, strong)
        pseudo = accept(self.targets(target.logits), self.options.threshold)
        sharp = sharpen(pseudo.probabilities, self.options.temperature)
        return self.combine(
            pseudo,
            sup_loss=(1, self.annealed_loss(answer.logits, known.label, step)),
            unsup_loss=(self.options.ulb_loss_ratio, consistency_loss(learner.logits, sharp, pseudo.mask)),
        )

    def annealed_loss(self, logits: Tensor, label: Tensor, step: Step) -> Tensor:
        """Mean loss of the labelled posts that are not yet known better than the schedule lets them be."""
        probability = logits.detach().softmax(dim=1).gather(1, label.unsqueeze(1)).squeeze(1)
        limit = annealing_limit(self.options.tsa_schedule, step.progress, self.num_classes)
        return masked_mean(self.labelled_loss(logits, label, "none"), probability <= limit)


def annealing_limit(schedule: str, progress: float, num_classes: int) -> float:
    """η_t for the share `progress` of the run that is done."""
    released = {
        "none": 1.0,
        "linear": progress,
        "log": 1 - math.exp(-STEEPNESS * progress),
        "exp": math.exp(STEEPNESS * (progress - 1)),
    }[schedule]
    return released * (1 - 1 / num_classes) + 1 / num_classes
