"""Mean Teacher (Tarvainen and Valpola, NeurIPS 2017, arXiv 1703.01780): learn what the average of past nets says."""

from __future__ import annotations

from dataclasses import dataclass

from algorithms.base import Algorithm, Losses, Step
from algorithms.options import WarmUpOptions
from algorithms.pseudo_labels import accept_all, squared_error
from datasets.batch import Views


class MeanTeacher(Algorithm):
    """L = CE(p(x), y) + w(t) · mean over posts and classes of (p(weak_1 u) − p'(weak u))² (Tarvainen et al., eq. 1).

    The teacher p' is the moving average of the net (`--ema_m`), in evaluation mode: it has views of its own, but not
    the dropout that the paper's teacher has. Weight 50 and linear warm-up over the first 40 % of the run are those of
    TorchSSL and USB.
    """

    name = "mean_teacher"
    unlabelled_views = ("weak", "weak_1")

    @dataclass(frozen=True)
    class Options(WarmUpOptions):
        """Mean Teacher"""

        ulb_loss_ratio: float = 50.0
        """Weight of the loss on unlabelled posts."""

    def step(self, labelled: Views, unlabelled: Views, step: Step) -> Losses:
        """See Algorithm."""
        known = labelled["weak"]
        target = self.teach(unlabelled["weak"])
        answer, learner = self.predict(known, unlabelled["weak_1"])
        pseudo = accept_all(self.targets(target.logits))
        return self.combine(
            pseudo,
            sup_loss=(1, self.labelled_loss(answer.logits, known.label)),
            unsup_loss=(self.unlabelled_weight(step), squared_error(learner.logits, pseudo.probabilities)),
        )
