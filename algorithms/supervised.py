"""Supervised only: the labelled posts and nothing else. What every other method has to beat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from torch import nn

from algorithms.base import Algorithm, Losses, Step, Task
from algorithms.options import AlgorithmOptions
from datasets.batch import Views


class Supervised(Algorithm):
    """Cross-entropy on the labelled posts, weakly augmented or as they are."""

    name = "supervised"
    unlabelled_views = ()

    @dataclass(frozen=True)
    class Options(AlgorithmOptions):
        """Supervised"""

        labelled_view: Literal["weak", "clean"] = "weak"
        """How labelled posts are shown: weakly augmented, or as they are."""

    def __init__(self, options: Any, net: nn.Module, teacher: nn.Module, task: Task) -> None:
        super().__init__(options, net, teacher, task)
        self.labelled_views = (options.labelled_view,)  # type: ignore[misc]

    def step(self, labelled: Views, unlabelled: Views, step: Step) -> Losses:
        """See Algorithm."""
        known = labelled[self.options.labelled_view]
        (answer,) = self.predict(known)
        return self.combine(sup_loss=(1, self.labelled_loss(answer.logits, known.label)))
