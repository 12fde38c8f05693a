"""FlexMatch (Zhang et al., NeurIPS 2021, arXiv 2110.08263): a class that is learned slowly gets a lower threshold."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from algorithms.base import Algorithm, Losses, Step, Task
from algorithms.gather import gather
from algorithms.options import PseudoLabelOptions
from algorithms.pseudo_labels import accept, consistency_loss, scaled_threshold
from datasets.batch import Views


class FlexMatch(Algorithm):
    """FixMatch whose threshold for class c is τ_c = M(β_c) τ (curriculum pseudo-labelling, sec. 3).

    σ_c counts the unlabelled posts whose last prediction that reached τ was c; β_c = σ_c / max σ, with the warm-up
    β_c = σ_c / max(max σ, N − Σ σ) while most of the N posts have never been predicted with confidence; M is convex,
    x / (2 − x), by default as in the paper. The thresholds are those before the step's own predictions are counted.
    """

    name = "flexmatch"
    replicated = ("confident",)

    @dataclass(frozen=True)
    class Options(PseudoLabelOptions):
        """FlexMatch"""

        threshold_warmup: bool = True
        """Thresholds rise from 0 for all classes while most posts have never been predicted with confidence."""
        threshold_mapping: Literal["convex", "linear", "concave"] = "convex"
        """From how well a class is learned, x, to its share of the threshold: x / (2 - x), x, or log2(x + 1)."""

    def __init__(self, options: Options, net: nn.Module, teacher: nn.Module, task: Task) -> None:
        super().__init__(options, net, teacher, task)
        self.confident = ConfidentClasses(task.num_posts, task.num_classes)

    def step(self, labelled: Views, unlabelled: Views, step: Step) -> Losses:
        """See Algorithm."""
        known, weak, strong = labelled["weak"], unlabelled["weak"], unlabelled["strong"]
        answer, target, learner = self.predict_with_targets(known, weak, strong)
        pseudo = accept(self.targets(target.logits), self.thresholds())
        self.confident.update(weak.index, pseudo.label, pseudo.confidence >= self.options.threshold)
        return self.combine(
            pseudo,
            sup_loss=(1, self.labelled_loss(answer.logits, known.label)),
            unsup_loss=(self.options.ulb_loss_ratio, consistency_loss(learner.logits, pseudo.label, pseudo.mask)),
        )

    def thresholds(self) -> Tensor:
        """(C,) thresholds of the classes."""
        counts = self.confident.counts
        most = counts.max().clamp(min=1)
        if self.options.threshold_warmup:
            most = torch.maximum(most, self.task.num_unlabelled - counts.sum())
        learned = counts / most
        mapped = {
            "convex": learned / (2 - learned), "linear": learned, "concave": (learned + 1).log() / math.log(2),
        }[self.options.threshold_mapping]  # fmt: skip
        return scaled_threshold(self.options.threshold, mapped)


class ConfidentClasses(nn.Module):
    """The class that each of N posts was last taken for with confidence, and the number of posts of each class.

    A step costs O(B log B) however many posts there are. In a distributed run every process counts the global batch. A
    post whose confidence is not finite reaches no threshold, and so is passed over.
    """

    last_class: Tensor  # (N,) int8, int32 with more than 127 classes; -1: none yet
    counts: Tensor  # (C,) int64

    def __init__(self, num_posts: int, num_classes: int) -> None:
        super().__init__()
        kind = torch.int8 if num_classes <= torch.iinfo(torch.int8).max else torch.int32
        self.register_buffer("last_class", torch.full((num_posts,), -1, dtype=kind))
        self.register_buffer("counts", torch.zeros(num_classes, dtype=torch.int64))

    @torch.no_grad()
    def update(self, index: Tensor, label: Tensor, confident: Tensor) -> None:
        """Take in the (B,) rows, classes and bool confidence of one batch; of a row that comes twice the last counts.

        No row is written twice, and none is read back by the host: rows that change nothing add 0.
        """
        index, label, confident = gather(torch.stack([index, label, confident.long()], dim=1)).unbind(dim=1)
        apart = len(self.last_class) + torch.arange(len(index), device=index.device)  # a key of its own for each other
        key, order = torch.where(confident > 0, index, apart).sort(stable=True)
        last = torch.ones_like(key)
        last[:-1] = (key[1:] != key[:-1]).long()
        counted = last * confident[order]
        row, new = index[order], label[order]
        old = self.last_class[row].long()
        self.last_class.index_add_(0, row, (counted * (new - old)).to(self.last_class.dtype))
        self.counts.index_add_(0, new, counted)
        self.counts.index_add_(0, old.clamp(min=0), -counted * (old >= 0))
