"""What semi-supervised methods share: pseudo-labels, thresholds, and guards against a class that nobody predicts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss

from nets.prediction import COMMON, IMAGE, TEXT


@dataclass(frozen=True)
class PseudoLabels:
    """What B unlabelled posts are taken for, and how much each counts; nothing in it has a gradient."""

    probabilities: Tensor  # (B, C)
    confidence: Tensor  # (B,): largest probability
    label: Tensor  # (B,) int64: its class
    mask: Tensor  # (B,) float: weight, 0 where the post is left out


def accept(probabilities: Tensor, threshold: float | Tensor) -> PseudoLabels:
    """Take (B, C) `probabilities` for pseudo-labels where the largest reaches the threshold: a number, one for each
    class (C,), or one for each post (B, 1)."""
    confidence, label = probabilities.max(dim=1)
    if isinstance(threshold, Tensor):
        threshold = threshold[label] if threshold.dim() == 1 else threshold.squeeze(1)
    return PseudoLabels(probabilities, confidence, label, (confidence >= threshold).to(torch.float32))


def scaled_threshold(threshold: float, share: Tensor) -> Tensor:
    """The `threshold` times a `share`, 0 to 1, of any shape. Above 1 it stays as it is: no post is ever accepted."""
    return threshold * share if threshold <= 1 else torch.full_like(share, threshold)


def accept_all(probabilities: Tensor) -> PseudoLabels:
    """Take all (B, C) `probabilities` for what the posts are."""
    confidence, label = probabilities.max(dim=1)
    return PseudoLabels(probabilities, confidence, label, torch.ones_like(confidence))


def sharpen(probabilities: Tensor, temperature: float) -> Tensor:
    """(B, C) probabilities raised to 1/temperature and normalised (Berthelot et al., MixMatch, NeurIPS 2019, eq. 7)."""
    return (probabilities.clamp(min=1e-12).log() / temperature).softmax(dim=1)


def smooth(shares: Tensor, ratio: float) -> Tensor:
    """(B, C) shares of labels, of which a `ratio` is spread evenly over the classes (Szegedy et al., Rethinking the
    Inception Architecture, CVPR 2016, sec. 7)."""
    return (1 - ratio) * shares + ratio / shares.shape[1]


def certainty(probabilities: Tensor) -> Tensor:
    """(B,) how sure (B, C) probabilities are: (C · max p − 1) / (C − 1), 0 where all are equal, 1 where one is 1; 0 for
    a row of zeros."""
    classes = probabilities.shape[1]
    return (classes * probabilities.amax(dim=1) - 1).clamp(min=0) / (classes - 1)


def class_weights(counts: Tensor, beta: float) -> Tensor:
    """(C,) weights (1 − β) / (1 − β^n) of classes with (C,) n posts, 1 on average over the classes (Cui et al.,
    Class-Balanced Loss, CVPR 2019, eq. 7). For β = 1 that is 1 / n, and the weights are 1 on average over the posts:
    N / (C n), which scikit-learn calls "balanced"."""
    if beta == 1:
        return counts.sum() / (len(counts) * counts.clamp(min=1))
    weight = (1 - beta) / (1 - beta ** counts.clamp(min=1))
    return weight / weight.mean()


def consistency_loss(logits: Tensor, pseudo_label: Tensor, mask: Tensor) -> Tensor:
    """Cross-entropy of (B, C) `logits` against (B,) or (B, C) pseudo-labels, weighted by (B,) `mask`, mean over all B
    (Sohn et al., FixMatch, NeurIPS 2020, eq. 4): posts that are not accepted count in the denominator."""
    return (cross_entropy(logits, pseudo_label, reduction="none") * mask).mean()


def squared_error(logits: Tensor, target: Tensor) -> Tensor:
    """Mean over posts and classes of the squared difference between softmax of (B, C) `logits` and (B, C) `target`."""
    return mse_loss(logits.softmax(dim=1), target)


def shown_of_selection(
    pseudo: Mapping[str, Tensor], selection: Tensor, chosen: Tensor
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """What the monitor shows, figures and histograms, of pseudo-labels that a filter went over and of a (B, 3) modal
    selection, of which `chosen` (3,) went to text, image and common part."""
    seen = {
        "util_ratio": pseudo["mask"].mean(), "plf_drop": pseudo["dropped"].mean(),
        "sel_text": chosen[TEXT], "sel_image": chosen[IMAGE], "sel_common": chosen[COMMON],
    }  # fmt: skip
    histograms = {
        "confidence": pseudo["confidence"], "selection": selection,
        "pseudo_label": pseudo["label"], "mask": pseudo["mask"],
    }  # fmt: skip
    return seen, histograms


class ClassThreshold(nn.Module):
    """Thresholds that a class earns as the net learns it, under a ceiling (Wang et al., FreeMatch, ICLR 2023, eq. 5-8).

    τ_c = ceiling · p̃_c / max p̃, where p̃ is a moving average of the mean prediction. A class predicted seldom gets a low
    threshold and is not lost. State is O(C), updated in place.

    Args:
        num_classes: C.
        momentum: of the moving average.
        floor: share of the ceiling below which no threshold falls.
    """

    mean_prediction: Tensor  # (C,)

    def __init__(self, num_classes: int, momentum: float = 0.99, floor: float = 0.8) -> None:
        super().__init__()
        self.momentum, self.floor = momentum, floor
        self.register_buffer("mean_prediction", torch.full((num_classes,), 1 / num_classes))

    @torch.no_grad()
    def update(self, probabilities: Tensor, momentum: float | None = None) -> None:
        """Take in the (B, C) predictions of one step, with another `momentum` than the usual one if it is given."""
        self.mean_prediction.lerp_(probabilities.mean(dim=0), 1 - (self.momentum if momentum is None else momentum))

    def forward(self, ceiling: float | Tensor) -> Tensor:
        """(C,) thresholds under a ceiling, a number or a scalar on the device."""
        return ceiling * (self.mean_prediction / self.mean_prediction.max()).clamp(min=self.floor)


class DistributionAlignment(nn.Module):
    """Rescales predictions so that their average over time is a target distribution (ReMixMatch, ICLR 2020, sec. 3.1).

    Args:
        num_classes: C.
        momentum: of the moving average of predictions.
        target: (C,) the distribution that predictions should have; None: uniform.
        strength: 1 aligns fully, 0 not at all.
    """

    mean_prediction: Tensor  # (C,)
    target: Tensor  # (C,)

    def __init__(
        self, num_classes: int, momentum: float = 0.99, strength: float = 1.0, target: Tensor | None = None
    ) -> None:
        super().__init__()
        self.momentum, self.strength = momentum, strength
        uniform = torch.full((num_classes,), 1 / num_classes)
        self.register_buffer("mean_prediction", uniform.clone())
        self.register_buffer("target", uniform if target is None else target)

    @torch.no_grad()
    def follow(self, probabilities: Tensor) -> None:
        """Let the target move, as the average does, towards the mean of these (B, C) predictions for labelled posts
        (Berthelot et al., AdaMatch, ICLR 2022, sec. 3)."""
        self.target.lerp_(probabilities.mean(dim=0), 1 - self.momentum)

    @torch.no_grad()
    def forward(self, probabilities: Tensor) -> Tensor:
        """(B, C) probabilities to (B, C) aligned ones; updates the average."""
        self.mean_prediction.lerp_(probabilities.mean(dim=0), 1 - self.momentum)
        ratio = self.target.clamp(min=1e-6) / self.mean_prediction.clamp(min=1e-6)
        aligned = probabilities * ratio**self.strength
        return aligned / aligned.sum(dim=1, keepdim=True)
