"""Supervised only: the labelled posts and nothing else. What every other method has to beat."""

from __future__ import annotations

from dataclasses import dataclass

from algorithms.base import Algorithm, Losses, Step
from algorithms.options import AlgorithmOptions
from datasets.batch import Views


class Supervised(Algorithm):
    """Cross-entropy on the labelled posts, weakly augmented."""

    name = "supervised"
    unlabelled_views = ()

    @dataclass(frozen=True)
    class Options(AlgorithmOptions):
        """Supervised"""

    def step(self, labelled: Views, unlabelled: Views, step: Step) -> Losses:
        """See Algorithm."""
        known = labelled["weak"]
        (answer,) = self.predict(known)
        return self.combine(sup_loss=(1, self.labelled_loss(answer.logits, known.label)))
