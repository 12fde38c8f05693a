"""MixMatch (Berthelot et al., NeurIPS 2019, arXiv 1905.02249): guess, sharpen, mix."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn.functional import one_hot

from algorithms.base import Algorithm, Losses, Step
from algorithms.mixing import answer, encode, mixup
from algorithms.options import MixingOptions
from algorithms.pseudo_labels import accept_all, sharpen, squared_error
from datasets.batch import Views


class MixMatch(Algorithm):
    """L = CE(p(x'), y') + λ_u(t) · mean over posts and classes of (p(u') − q')² (Berthelot et al., eq. 2-5, alg. 1).

    q is the mean answer for two weak views (K = 2), sharpened (eq. 6, 7); x', y' and u', q' are labelled posts and both
    views, each mixed with one drawn from all of them (eq. 8-15). T = 0.5 is the paper's, α = 0.75 and λ_u = 100 its
    starting points; its warm-up over 16 000 steps is a 64th of its run.

    Features are mixed where the paper mixes pixels, as words cannot be. Guesses are made with BatchNorm's running
    statistics (released: with the batch's).
    """

    name = "mixmatch"
    unlabelled_views = ("weak", "weak_1")

    @dataclass(frozen=True)
    class Options(MixingOptions):
        """MixMatch"""

        ulb_loss_ratio: float = 100.0
        """Weight of the loss on unlabelled posts."""

    def step(self, labelled: Views, unlabelled: Views, step: Step) -> Losses:
        """See Algorithm."""
        known, looks = labelled["weak"], [unlabelled[view] for view in self.unlabelled_views]
        posts, first = encode(self.net, [known, *looks]), len(known)
        mean = torch.stack([self.guess(look).logits.softmax(dim=1) for look in looks]).mean(dim=0)
        pseudo = accept_all(sharpen(self.targets(mean.log()), self.options.temperature))
        label = torch.cat([one_hot(known.label, self.num_classes), *[pseudo.probabilities] * len(looks)])
        mixed, label = mixup(posts, label, self.options.mixup_alpha)
        logits = answer(self.net, mixed).logits
        return self.combine(
            pseudo,
            sup_loss=(1, self.labelled_loss(logits[:first], label[:first])),
            unsup_loss=(self.unlabelled_weight(step), squared_error(logits[first:], label[first:])),
        )
