"""The contract that every algorithm keeps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from algorithms.losses.auxiliary import auxiliary_losses
from algorithms.pseudo_labels import DistributionAlignment, PseudoLabels, class_weights
from datasets.batch import Batch, Views, concatenate
from nets.prediction import Prediction


@dataclass(frozen=True)
class Losses:
    """What one step gives: the differentiable total, its named parts and what the monitor shows.

    Everything stays on the device. `parts` and `seen` hold scalars, detached; tags are those of USB where they exist
    (`sup_loss`, `unsup_loss`, `util_ratio`). `histograms` hold (B,) or (B, K) values; "pseudo_label" and "mask" of the
    unlabelled posts are read as what was learned from and whether it was.
    """

    total: Tensor
    parts: dict[str, Tensor] = field(default_factory=dict)
    seen: dict[str, Tensor] = field(default_factory=dict)
    histograms: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Step:
    """When a step happens: known before it runs, so reading it costs no device time."""

    number: int  # 0 for the first step of the run
    epoch: int  # number // num_train_iter
    total: int  # steps of the whole run

    def momentum(self, limit: float) -> float:
        """Momentum of a moving average that soon forgets its start: rises with the steps to `limit`."""
        return min(limit, (1 + self.number) / (10 + self.number))

    @property
    def progress(self) -> float:
        """Share of the run that is done, 0 to 1."""
        return self.number / max(1, self.total)

    def ramp(self, share: float) -> float:
        """Rises linearly from 0 to 1 over the first `share` of the run and stays there; share 0: always 1."""
        return min(1.0, self.progress / share) if share > 0 else 1.0


@dataclass(frozen=True)
class Task:
    """What an algorithm knows of the posts before the first of them comes: how many, and which labels there are."""

    num_classes: int  # C
    num_posts: int  # rows of the store: `Batch.index` is below it
    num_unlabelled: int  # posts that the unlabelled batches are drawn from
    labelled: Tensor  # (n,) int64: rows of the labelled posts, ascending
    labels: Tensor  # (n,) int64: their classes

    @property
    def class_counts(self) -> Tensor:
        """(C,) float: labelled posts of each class."""
        return torch.bincount(self.labels, minlength=self.num_classes).to(torch.float32)


class Algorithm(nn.Module, ABC):
    """How a net learns from one batch of labelled and one of unlabelled posts.

    Subclasses set the class variables and write `step`. Running statistics are buffers, updated in place on the device
    in O(batch). `forward` is `step` and the auxiliary losses that the options ask for; DistributedDataParallel can wrap
    an algorithm like any module. `teacher` is the exponential moving average of `net`; it is no submodule, gets no
    gradient and is always in evaluation mode. With `restarts_average` it begins anew, from the net as it is, at the
    first step of every epoch, and its momentum is --ema_m from the first step on. `replicated` names those parts of
    the state (buffers, or modules of buffers) that every process updates alike, from what `algorithms.gather` gives it,
    and that pass over posts whose prediction is not finite: the trainer neither restores nor shares them, so their size
    costs it nothing. All others a process updates from its own posts, and the trainer makes them those of the global
    batch after the step: within it, thresholds and the like go by what the process itself has seen.
    """

    name: ClassVar[str]
    labelled_views: ClassVar[tuple[str, ...]] = ("weak",)
    unlabelled_views: ClassVar[tuple[str, ...]] = ("weak", "strong")
    restarts_average: ClassVar[bool] = False
    replicated: ClassVar[tuple[str, ...]] = ()

    class_weight: Tensor  # (C,)
    logit_shift: Tensor  # (C,)

    @dataclass(frozen=True)
    class Options:
        """Options of the algorithm's own; they appear on the command line under their names."""

    def __init__(self, options: Any, net: nn.Module, teacher: nn.Module, task: Task) -> None:
        """`options`: of the class's own Options, which has those of algorithms.options.AlgorithmOptions at least."""
        super().__init__()
        self.options = options
        self.net = net
        self.task = task
        self.num_classes = task.num_classes
        self._teacher = (teacher,)  # a tuple hides it from nn.Module: it must not be saved or trained as a part
        counts = task.class_counts
        self.register_buffer("class_weight", class_weights(counts, options.class_balance), persistent=False)
        prior = (counts.clamp(min=1) / counts.clamp(min=1).sum()).log()
        self.register_buffer("logit_shift", options.logit_adjustment * prior, persistent=False)
        self.alignment: DistributionAlignment | None = None
        if getattr(options, "align", "none") != "none":
            target = counts / counts.sum() if options.align == "labelled" else None
            self.alignment = DistributionAlignment(task.num_classes, target=target)
        self.auxiliary = auxiliary_losses(options, net)
        self._answered: list[tuple[Batch, Prediction]] = []  # with a gradient, in this step

    @classmethod
    def asks_teacher(cls, options: Any) -> str:
        """The flag by which, with these options, posts must have the probabilities of a text teacher; "" where they
        need not."""
        return ""

    @classmethod
    def note_on_teacher(cls, options: Any, answers: Tensor, classes: Sequence[str]) -> str:
        """What a person should know of the text teacher's `answers` (M, C) for the unlabelled posts, before these
        options learn from them; "" for nothing."""
        return ""

    @property
    def teacher(self) -> nn.Module:
        """The moving average of the net, in evaluation mode."""
        return self._teacher[0]

    @abstractmethod
    def step(self, labelled: Views, unlabelled: Views, step: Step) -> Losses:
        """Losses of one step. `unlabelled` is empty where `unlabelled_views` is."""

    def forward(self, labelled: Views, unlabelled: Views, step: Step) -> Losses:
        """`step`, and the auxiliary losses over all views that it has asked the net about with a gradient. Where the
        labelled posts are not among them (it has mixed them, say) the net is asked for once more."""
        if self.auxiliary is None:
            return self.step(labelled, unlabelled, step)
        self._answered.clear()
        losses = self.step(labelled, unlabelled, step)
        for view in self.labelled_views[:1]:
            if not any(batch is labelled[view] for batch, _ in self._answered):
                self.predict(labelled[view])
        found = self.auxiliary(self.net, self._answered)
        self._answered.clear()
        total = self.auxiliary.joint(losses.total, found)
        parts = losses.parts | {name: loss.detach() for name, loss in found.items()} | {"total_loss": total.detach()}
        return replace(losses, total=total, parts=parts)

    def labelled_loss(self, logits: Tensor, label: Tensor, reduction: str = "mean") -> Tensor:
        """Cross-entropy of (B, C) logits and labels, (B,) classes or (B, C) shares of them, with the class-balanced
        weights (Cui et al., CVPR 2019) and the logit adjustment (Menon et al., ICLR 2021, eq. 10) that the options ask
        for. "mean" is over B."""
        losses = cross_entropy(logits + self.logit_shift, label, weight=self.class_weight, reduction="none")
        return losses.mean() if reduction == "mean" else losses

    def known_loss(self, net: nn.Module, batch: Batch, answer: Prediction) -> Tensor:
        """The loss of posts with labels alone, auxiliary losses included, from what `net` answered for them."""
        own = self.labelled_loss(answer.logits, batch.label)
        if self.auxiliary is None:
            return own
        return self.auxiliary.joint(own, self.auxiliary(net, [(batch, answer)]))

    def targets(self, logits: Tensor) -> Tensor:
        """(B, C) probabilities that unlabelled posts are taken for: detached, and aligned where `--align` says so.
        To be called once a step: the alignment takes in what it sees."""
        probabilities = logits.detach().softmax(dim=1)
        return probabilities if self.alignment is None else self.alignment(probabilities)

    def unlabelled_weight(self, step: Step) -> float:
        """What the loss on unlabelled posts weighs: --ulb_loss_ratio, which rises to it over --unsup_warm_up."""
        return self.options.ulb_loss_ratio * step.ramp(self.options.unsup_warm_up)

    def combine(self, pseudo: PseudoLabels | None = None, **terms: tuple[float, Tensor]) -> Losses:
        """The step's losses from (weight, loss) by name, and what the monitor shows of the pseudo-labels."""
        total = torch.stack([weight * loss for weight, loss in terms.values()]).sum()
        parts = {name: loss.detach() for name, (_, loss) in terms.items()} | {"total_loss": total.detach()}
        if pseudo is None:
            return Losses(total, parts)
        histograms = {"confidence": pseudo.confidence, "pseudo_label": pseudo.label, "mask": pseudo.mask}
        return Losses(total, parts, {"util_ratio": pseudo.mask.mean()}, histograms)

    def predict(self, *batches: Batch) -> list[Prediction]:
        """One forward pass of the net over all `batches`, answered batch by batch in float32."""
        answer = self.net(concatenate(batches)).float()
        stops = list(accumulate(len(batch) for batch in batches))
        answers = [answer.rows(stop - len(batch), stop) for batch, stop in zip(batches, stops, strict=True)]
        if self.auxiliary is not None and torch.is_grad_enabled():
            self._answered += zip(batches, answers, strict=True)
        return answers

    def predict_with_targets(self, labelled: Batch, weak: Batch, *strong: Batch) -> tuple[Prediction, ...]:
        """The net's answers for labelled, weak and strong views, where nobody needs the gradient of the weak ones.

        Weak views run apart, at rest and without gradient (same gradients, a third less work), unless BatchNorm takes
        statistics from the batch: then they belong into the same pass.
        """
        if reads_batch_statistics(self.net):
            return tuple(self.predict(labelled, weak, *strong))
        targets = self.guess(weak)
        known, *learners = self.predict(labelled, *strong)
        return known, targets, *learners

    @torch.no_grad()
    def guess(self, batch: Batch) -> Prediction:
        """What the net itself says of posts at rest, without gradient, in float32. With dropout, which is heavy on the
        features of frozen encoders, a guess would be noise, and no pseudo-label ever sure."""
        with at_rest(self.net):
            return self.net(batch).float()

    @torch.no_grad()
    def teach(self, batch: Batch) -> Prediction:
        """What the moving average of the net says, without gradient, in float32."""
        return self.teacher(batch).float()


@contextmanager
def at_rest(*modules: nn.Module) -> Iterator[None]:
    """Everything in `modules` is in evaluation mode meanwhile."""
    training = [inner for module in modules for inner in module.modules() if inner.training]
    for inner in training:
        inner.training = False
    try:
        yield
    finally:
        for inner in training:
            inner.training = True


def reads_batch_statistics(net: nn.Module) -> bool:
    """Whether a net's answer for a post depends, in its present mode, on the others of the batch."""
    return any(module.training for module in net.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm))


@contextmanager
def running_statistics_kept(net: nn.Module) -> Iterator[None]:
    """BatchNorm in training mode takes statistics from the batch and does not remember them."""
    norms = [module for module in net.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    remembering = [norm for norm in norms if norm.training and norm.track_running_stats]
    for norm in remembering:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in remembering:
            norm.track_running_stats = True
