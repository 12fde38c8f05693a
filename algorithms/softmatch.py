"""SoftMatch (Chen et al., ICLR 2023, arXiv 2301.10921): every pseudo-label counts, unsure ones less."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from algorithms.base import Algorithm, Losses, Step, Task
from algorithms.options import UnlabelledOptions
from algorithms.pseudo_labels import PseudoLabels, consistency_loss
from datasets.batch import Views


class SoftMatch(Algorithm):
    """A pseudo-label weighs exp(−(max p − μ)² / (2 σ²)) below μ and 1 above (truncated Gaussian, sec. 3).

    μ and σ² are moving averages of mean and variance of the confidence over the unlabelled posts of a batch; σ is
    then halved, as released. The weight is that of the aligned prediction (uniform alignment, by a moving average of
    momentum 0.99; USB: 0.999), the pseudo-label that of the prediction as it is.
    """

    name = "softmatch"

    @dataclass(frozen=True)
    class Options(UnlabelledOptions):
        """SoftMatch"""

        align: Literal["none", "uniform", "labelled"] = "uniform"
        """Alignment of the predictions that the weights are read from, over time: to equally frequent classes, or to
        those of the labelled posts. Pseudo-labels are not aligned."""
        statistics_momentum: float = 0.999
        """Momentum of the moving averages, reached after a rise from 0.1 (published: from the first step)."""
        sigmas: float = 2.0
        """How much steeper the Gaussian is than the confidences are spread: σ is divided by it."""

        def __post_init__(self) -> None:
            super().__post_init__()
            self.check_share("statistics_momentum")
            self.check_above_zero("sigmas")

    mean: Tensor  # ()
    variance: Tensor  # ()

    def __init__(self, options: Options, net: nn.Module, teacher: nn.Module, task: Task) -> None:
        super().__init__(options, net, teacher, task)
        self.register_buffer("mean", torch.tensor(1 / task.num_classes))
        self.register_buffer("variance", torch.tensor(1.0))

    def step(self, labelled: Views, unlabelled: Views, step: Step) -> Losses:
        """See Algorithm."""
        known, weak, strong = labelled["weak"], unlabelled["weak"], unlabelled["strong"]
        answer, target, learner = self.predict_with_targets(known, weak, strong)
        confidence = self.targets(target.logits).amax(dim=1)
        self.update(confidence, step.momentum(self.options.statistics_momentum))
        probabilities = target.logits.detach().softmax(dim=1)
        pseudo = PseudoLabels(probabilities, confidence, probabilities.argmax(dim=1), self.weight(confidence))
        return self.combine(
            pseudo,
            sup_loss=(1, self.labelled_loss(answer.logits, known.label)),
            unsup_loss=(self.options.ulb_loss_ratio, consistency_loss(learner.logits, pseudo.label, pseudo.mask)),
        )

    @torch.no_grad()
    def update(self, confidence: Tensor, momentum: float) -> None:
        """Take in the (B,) confidences of one step; the variance is the unbiased one, 0 of a post alone."""
        self.mean.lerp_(confidence.mean(), 1 - momentum)
        self.variance.lerp_(confidence.var(correction=min(1, len(confidence) - 1)), 1 - momentum)

    def weight(self, confidence: Tensor) -> Tensor:
        """(B,) weights of pseudo-labels of that confidence."""
        below = (confidence - self.mean).clamp(max=0)
        return torch.exp(-(below**2) * self.options.sigmas**2 / (2 * self.variance.clamp(min=1e-12)))
