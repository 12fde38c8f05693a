"""Cross-modal distillation: a text teacher's answers label the posts that a student reads, its image above all.

Serra, Carrara, Tesconi and Falchi, The Emotions of the Crowd, ECAI 2023, arXiv 2304.14942 (T4SA 2.0). Their recipe,
configs/t4sa.yaml: hard labels of confident answers. Soft labels are Hinton, Vinyals and Dean's, arXiv 1503.02531; the
student's temperature stays 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from algorithms.base import Algorithm, Losses, Step, Task
from algorithms.options import UnlabelledOptions
from algorithms.pseudo_labels import PseudoLabels, certainty, consistency_loss, sharpen, smooth
from datasets.batch import Batch, Views


class Distillation(Algorithm):
    """L = λ_l · CE(student(x), y) + λ_u · mean w(u) CE(student(u), t(u)), t the teacher's answer for post u.

    | target | t(u) | w(u) |
    |---|---|---|
    | hard | one-hot at the largest probability, of equal ones the first class | 1 above the class's threshold, else 0 |
    | soft | the probabilities | 1 |
    | weighted | the probabilities | (C · max p − 1) / (C − 1): 0 for a teacher that knows nothing, 1 for a sure one |

    Posts that the teacher said nothing of have w = 0. `--teacher_balance` multiplies w by the mean weight Σ t_c · w_c
    of the classes, w_c = n / (C · n_c), n_c what class c had of the n answers so far.
    """

    name = "distillation"
    unlabelled_views = ("strong",)

    thresholds: Tensor  # (C,)
    answered: Tensor  # (C,): answers learned from so far, by class; starts at 1 each

    @dataclass(frozen=True)
    class Options(UnlabelledOptions):
        """Distillation"""

        distillation_target: Literal["hard", "soft", "weighted"] = "weighted"
        """What is learned: the teacher's most probable class where it is sure enough, its probabilities, or these
        weighted by how sure it is."""
        teacher_thresholds: str = "0.7,0.9,0.9"
        """Hard targets: probability above which an answer counts, for each class (negative, neutral, positive), or one
        for all."""
        teacher_temperature: float = 1.0
        """The teacher's logits are divided by it: above 1 its answers are softer."""
        label_smoothing: float = 0.0
        """Share of each target that is spread evenly over the classes."""
        teacher_balance: bool = False
        """Classes that the teacher names seldom weigh more, so that all count the same."""
        labelled_weight: float = 1.0
        """Weight of the loss on labelled posts; 0: they are not read, and nothing is learned from people."""
        student_view: Literal["clean", "weak", "strong"] = "strong"
        """The view of the unlabelled posts that is learned from; clean: not augmented, nor are the labelled posts."""

        def __post_init__(self) -> None:
            super().__post_init__()
            words = self.teacher_thresholds.split(",")
            try:
                right = all(0 <= float(word) < float("inf") for word in words)
            except ValueError:
                right = False
            if not right:
                raise ValueError(
                    f"--teacher_thresholds {self.teacher_thresholds!r} must be numbers from 0 up with commas between"
                )
            if self.distillation_target != "hard" and self.teacher_thresholds != type(self).teacher_thresholds:
                raise ValueError(
                    f"--teacher_thresholds {self.teacher_thresholds} chooses among hard targets, and "
                    f"--distillation_target is {self.distillation_target}: leave it out, or give "
                    "--distillation_target hard"
                )
            self.check_above_zero("teacher_temperature")
            if not 0 <= self.label_smoothing < 1:
                raise ValueError(f"--label_smoothing {self.label_smoothing} must be from 0 up, and below 1")
            self.check_from_zero("labelled_weight")

    def __init__(self, options: Any, net: nn.Module, teacher: nn.Module, task: Task) -> None:
        super().__init__(options, net, teacher, task)
        clean = options.student_view == "clean"
        self.unlabelled_views = (options.student_view,)  # type: ignore[misc]
        self.labelled_views = ("clean" if clean else "weak",) if options.labelled_weight else ()  # type: ignore[misc]
        self.register_buffer("thresholds", class_thresholds(options, self.num_classes), persistent=False)
        self.register_buffer("answered", torch.ones(self.num_classes))

    @classmethod
    def asks_teacher(cls, options: Any) -> str:
        """See Algorithm."""
        return "--algorithm distillation"

    @classmethod
    def note_on_teacher(cls, options: Any, answers: Tensor, classes: Sequence[str]) -> str:
        """See Algorithm. Of hard targets, the classes that no post has: the lexicon, say, is hardly ever sure enough.

        Not where --align changes the answers on the way.
        """
        if options.distillation_target != "hard" or options.align != "none":
            return ""
        probabilities = _softened(answers[answers.sum(dim=1) > 0], options.teacher_temperature)
        label = first_largest(probabilities)
        thresholds = class_thresholds(options, len(classes))
        is_target = probabilities.amax(dim=1) > thresholds[label]
        lacking = [
            f"{name} (which it gives {probabilities[:, number].max() if len(label) else 0:.3f} at most, and its "
            f"threshold is {thresholds[number]:g})"
            for number, name in enumerate(classes)
            if not (is_target & (label == number)).any()
        ]
        if not lacking:
            return ""
        return f"no unlabelled post has from the teacher the class {', '.join(lacking)}: lower --teacher_thresholds"

    def step(self, labelled: Views, unlabelled: Views, step: Step) -> Losses:
        """See Algorithm."""
        known = [labelled[view] for view in self.labelled_views]
        unknown = unlabelled[self.unlabelled_views[0]]
        *answers, guess = self.predict(*known, unknown)
        target, pseudo = self.lesson(unknown)
        terms = {"unsup_loss": (self.options.ulb_loss_ratio, consistency_loss(guess.logits, target, pseudo.mask))}
        for batch, answer in zip(known, answers, strict=True):
            terms["sup_loss"] = self.options.labelled_weight, self.labelled_loss(answer.logits, batch.label)
        return self.combine(pseudo, **terms)

    @torch.no_grad()
    def lesson(self, batch: Batch) -> tuple[Tensor, PseudoLabels]:
        """(B, C) targets of the posts, and what the teacher says of them; `mask` is w(u)."""
        options, classes = self.options, self.num_classes
        said = batch.teacher
        if said is None:
            said = torch.zeros(len(batch), classes, device=batch.index.device)
        spoke = said.sum(dim=1) > 0
        probabilities = _softened(said, options.teacher_temperature)
        if self.alignment is not None:  # which must not take silence for an answer
            usual = self.alignment.mean_prediction
            probabilities = self.alignment(torch.where(spoke.unsqueeze(1), probabilities, usual))
        confidence = probabilities.amax(dim=1)
        label = first_largest(probabilities)
        target, weight = probabilities, spoke.to(torch.float32)
        if options.distillation_target == "hard":
            target = one_hot(label, classes).to(torch.float32)
            weight = weight * (confidence > self.thresholds[label])
        elif options.distillation_target == "weighted":
            weight = weight * certainty(probabilities)
        if options.teacher_balance:
            self.answered.add_((target * weight.unsqueeze(1)).sum(dim=0))
            weight = weight * (target @ (self.answered.mean() / self.answered))
        return smooth(target, options.label_smoothing), PseudoLabels(probabilities, confidence, label, weight)


def class_thresholds(options: Any, num_classes: int) -> Tensor:
    """(C,) --teacher_thresholds, one number standing for all classes. Raises ValueError where hard targets need more or
    fewer."""
    thresholds = [float(word) for word in options.teacher_thresholds.split(",")]
    if options.distillation_target == "hard" and len(thresholds) not in (1, num_classes):
        raise ValueError(
            f"--teacher_thresholds {options.teacher_thresholds} has {len(thresholds)} numbers for "
            f"{num_classes} classes: give one for each, or one for all"
        )
    return torch.tensor(thresholds if len(thresholds) == num_classes else thresholds[:1] * num_classes)


def _softened(said: Tensor, temperature: float) -> Tensor:
    """(B, C); as they are at 1: a threshold is met by the very number that the teacher gave."""
    return said if temperature == 1 else sharpen(said, temperature)


def first_largest(probabilities: Tensor) -> Tensor:
    """(B,) int64: the class with the largest of (B, C) probabilities; of equal ones the first, on every device."""
    rank = torch.arange(probabilities.shape[1], 0, -1, device=probabilities.device)
    return ((probabilities == probabilities.amax(dim=1, keepdim=True)) * rank).argmax(dim=1)
