"""FreeMatch (Wang et al., ICLR 2023, arXiv 2205.07246): thresholds that the net's own confidence sets."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from algorithms.base import Algorithm, Losses, Step, Task
from algorithms.options import UnlabelledOptions
from algorithms.pseudo_labels import ClassThreshold, accept, consistency_loss
from datasets.batch import Views


class FreeMatch(Algorithm):
    """FixMatch with the threshold τ p̃_c / max p̃ for class c (eq. 5-8) and a fairness loss (eq. 9-11).

    τ, p̃ and h̃ are moving averages of the mean confidence, of the mean prediction and of the share of each predicted
    class over the unlabelled posts; there is no threshold to choose. Fairness: L_f = Σ_c a_c log b_c with
    a ∝ p̃ / h̃ and b ∝ p̄ / h̄ of the strong views of the accepted posts of the batch; 0 where none is accepted.
    """

    name = "freematch"

    @dataclass(frozen=True)
    class Options(UnlabelledOptions):
        """FreeMatch"""

        statistics_momentum: float = 0.999
        """Momentum of the moving averages, reached after a rise from 0.1 (published: from the first step)."""
        fairness_loss_ratio: float = 0.01
        """Weight of the loss that wants every class predicted (published: 0.01 or 0.05)."""

        def __post_init__(self) -> None:
            super().__post_init__()
            self.check_share("statistics_momentum")
            self.check_from_zero("fairness_loss_ratio")

    mean_confidence: Tensor  # ()
    label_share: Tensor  # (C,)

    def __init__(self, options: Options, net: nn.Module, teacher: nn.Module, task: Task) -> None:
        super().__init__(options, net, teacher, task)
        self.thresholds = ClassThreshold(task.num_classes, floor=0.0)
        self.register_buffer("mean_confidence", torch.tensor(1 / task.num_classes))
        self.register_buffer("label_share", torch.full((task.num_classes,), 1 / task.num_classes))

    def step(self, labelled: Views, unlabelled: Views, step: Step) -> Losses:
        """See Algorithm."""
        known, weak, strong = labelled["weak"], unlabelled["weak"], unlabelled["strong"]
        answer, target, learner = self.predict_with_targets(known, weak, strong)
        probabilities = self.targets(target.logits)
        self.update(probabilities, step.momentum(self.options.statistics_momentum))
        pseudo = accept(probabilities, self.thresholds(self.mean_confidence))
        return self.combine(
            pseudo,
            sup_loss=(1, self.labelled_loss(answer.logits, known.label)),
            unsup_loss=(self.options.ulb_loss_ratio, consistency_loss(learner.logits, pseudo.label, pseudo.mask)),
            fairness_loss=(self.options.fairness_loss_ratio, self.fairness_loss(learner.logits, pseudo.mask)),
        )

    @torch.no_grad()
    def update(self, probabilities: Tensor, momentum: float) -> None:
        """Take in the (B, C) predictions for the weak views of one step."""
        confidence, label = probabilities.max(dim=1)
        self.thresholds.update(probabilities, momentum)
        self.mean_confidence.lerp_(confidence.mean(), 1 - momentum)
        self.label_share.lerp_(one_hot(label, self.num_classes).float().mean(dim=0), 1 - momentum)

    def fairness_loss(self, logits: Tensor, mask: Tensor) -> Tensor:
        """L_f of the (B, C) logits of strong views, of which the (B,) mask tells the accepted ones."""
        probabilities = logits.softmax(dim=1)
        weight = mask / mask.sum().clamp(min=1)
        mean = (probabilities * weight.unsqueeze(1)).sum(dim=0)
        share = (one_hot(logits.argmax(dim=1), self.num_classes) * weight.unsqueeze(1)).sum(dim=0)
        wanted = self.thresholds.mean_prediction / self.label_share.clamp(min=1e-12)
        found = torch.where(share > 0, mean / share.clamp(min=1e-12), 0.0)  # a class that is never predicted has no say
        wanted, found = (value / value.sum().clamp(min=1e-12) for value in (wanted, found))
        return (wanted * (found + 1e-12).log()).sum() * (mask.sum() > 0)
