"""AdaMatch (Berthelot et al., ICLR 2022, arXiv 2106.04732): the threshold is relative to the labelled posts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
import tyro
from torch import Tensor

from algorithms.base import Algorithm, Losses, Step, reads_batch_statistics, running_statistics_kept
from algorithms.options import PseudoLabelOptions
from algorithms.pseudo_labels import accept, consistency_loss, scaled_threshold
from datasets.batch import Batch, Views, concatenate


class AdaMatch(Algorithm):
    """L = ½ (CE(z weak x, y) + CE(z strong x, y)) + μ(t) λ_u · mean 1[max q ≥ c] CE(p(strong u), argmax q), sec. 3.

    The ½ is the released code's; the paper adds the two. q is the prediction for the weak view, aligned by the ratio of
    the mean predictions for labelled and unlabelled posts (moving averages of momentum 0.99, the labelled one's from
    the classes of the labels on; released: for the unlabelled the mean of 128 steps). c = τ · mean max p(weak x). μ(t)
    rises along half a cosine over the first half of the run. With BatchNorm that reads the batch, labelled posts pass
    twice, with the unlabelled ones and alone, and the second pass leaves the running statistics untouched; each logit
    is drawn between the two, λ z' + (1 − λ) z'', λ ~ U(0, 1). Without, both passes would differ by dropout alone, and
    there is one.
    """

    name = "adamatch"
    labelled_views = ("weak", "strong")

    @dataclass(frozen=True)
    class Options(PseudoLabelOptions):
        """AdaMatch"""

        threshold: Annotated[float, tyro.conf.arg(aliases=["--p_cutoff"])] = 0.9
        """Confidence from which a pseudo-label is learned from, as a share of the mean confidence in labelled posts;
        above 1: none ever is."""
        align: Literal["none", "uniform", "labelled"] = "labelled"
        """Distribution alignment: rescale what unlabelled posts are taken for, so that over time the classes are
        equally frequent, or as frequent as in what is predicted for the labelled posts."""

    def step(self, labelled: Views, unlabelled: Views, step: Step) -> Losses:
        """See Algorithm."""
        known, known_strong = labelled["weak"], labelled["strong"]
        predicted = self.predict_with_targets(known, unlabelled["weak"], unlabelled["strong"], known_strong)
        answer, target, learner, answer_strong = (prediction.logits for prediction in predicted)
        if reads_batch_statistics(self.net):
            answer, answer_strong = self.interpolated([answer, answer_strong], [known, known_strong])
            seen = answer.detach().softmax(dim=1)
        else:  # at rest, as the unlabelled posts are whose confidence is held against theirs
            seen = self.guess(known).logits.softmax(dim=1)
        if self.options.align == "labelled" and self.alignment is not None:
            self.alignment.follow(seen)
        threshold = scaled_threshold(self.options.threshold, seen.amax(dim=1).mean())
        pseudo = accept(self.targets(target), threshold.expand(len(target), 1))
        sup_losses = [self.labelled_loss(logits, known.label) for logits in (answer, answer_strong)]
        return self.combine(
            pseudo,
            sup_loss=(1, torch.stack(sup_losses).mean()),
            unsup_loss=(
                self.options.ulb_loss_ratio * warm_up(step), consistency_loss(learner, pseudo.label, pseudo.mask)
            ),
        )  # fmt: skip

    def interpolated(self, together: list[Tensor], batches: list[Batch]) -> list[Tensor]:
        """Random logit interpolation between (B, C) logits from a pass `together` with others and from one alone."""
        with running_statistics_kept(self.net):
            alone = self.net(concatenate(batches)).float().logits
        own = alone.split([len(batch) for batch in batches])
        return [torch.lerp(by, other, torch.rand_like(by)) for by, other in zip(own, together, strict=True)]


def warm_up(step: Step) -> float:
    """μ(t): 0 at the start, 1 from the middle of the run on, half a cosine between."""
    return 0.5 - math.cos(min(math.pi, 2 * math.pi * step.progress)) / 2
