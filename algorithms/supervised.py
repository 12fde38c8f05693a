"""Supervised only: the labelled posts and nothing else. What every other method has to beat."""

from __future__ import annotations

from torch.nn.functional import cross_entropy

from algorithms.base import Algorithm, Losses, Step
from datasets.batch import Views


class Supervised(Algorithm):
    """Cross-entropy on the labelled posts, weakly augmented."""

    name = "supervised"
    unlabelled_views = ()

    def step(self, labelled: Views, unlabelled: Views, step: Step) -> Losses:
        """See Algorithm."""
        batch = labelled["weak"]
        (answer,) = self.predict(batch)
        loss = cross_entropy(answer.logits, batch.label)
        return Losses(loss, {"sup_loss": loss.detach(), "total_loss": loss.detach()})
