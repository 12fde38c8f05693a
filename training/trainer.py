"""The training loop, to be read from top to bottom.

A step: learning rate and random numbers from the step's number alone; losses of the algorithm; backward, part by part;
gradient norm and clipping; optimiser, statistics and moving average, each of which leaves out, on the device, a step
whose loss or gradient is not finite. The host reads nothing of it: figures are gathered on the device and shown one log
interval later. So a run that was killed at any moment and resumed gives the bits of the unbroken one, and neither
logging nor evaluating nor saving changes them.
"""

from __future__ import annotations

import dataclasses
import gc
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from algorithms.base import Algorithm, Losses, Step
from datasets.batch import Batch, Views
from datasets.seeds import derive_seed
from training.checkpoint import Checkpoint, CheckpointError, load_state, plain_state, save_checkpoint, save_weights
from training.distributed import ALONE, Processes
from training.ema import Ema
from training.monitor import Monitor
from training.optimisers import Schedule, load_optimiser_state, optimiser_state
from training.options import TrainingOptions
from training.run_folder import RunFolder
from training.scalars import SkipCounter, pseudo_label_figures
from training.signals import StopSignal
from training.statistics import Statistics
from training.step_log import StepLog

BEST_BY = "eval/F1"
"""The figure of an evaluation by which the best model is chosen: macro-F1 on the validation posts."""
TOTAL = "train/total_loss"

Loader = Iterable[tuple[int, Mapping[str, Batch], Mapping[str, Batch]]]


@dataclass
class Progress:
    """Where the run stands. All of it is in a checkpoint; the trainer's tensors are beside it."""

    step: int = 0  # steps done
    seconds: float = 0.0  # time spent, over all resumptions
    best: float = -1.0  # best figure of an evaluation
    best_step: int = -1
    evaluated: int = -1  # step after which the last evaluation was made
    worse: int = 0  # evaluations since the best one


@dataclass(frozen=True)
class Summary:
    """What a finished run did."""

    steps: int
    best_step: int  # step of the best validation macro-F1, -1 without evaluation
    best: float
    skipped: int  # steps left out because a loss or gradient was not finite
    seconds: float
    stopped_early: bool


class Trainer:
    """Trains `algorithm` for `options.epoch` times `options.num_train_iter` steps.

    Everything is handed in, on its device:
      algorithm   its `net` and buffers; `ema` is the average of that net (and the algorithm's teacher)
      optimiser, schedule   of `build_optimiser(algorithm, ...)`
      make_loader(start, stop)   yields (step, labelled views, unlabelled views) for the steps from start to stop - 1;
                  with several processes this one's share of the global batch
      evaluate(net, step)   figures of the validation posts by their full tags, `eval/F1` among them; called with the
                  averaged net on the first process only; may give pictures to the monitor
      meta        what must be the same on resume (see `load_checkpoint`); `note` is good to know
      autocast    precision of the forward pass, None: float32
      truth       (N,) int64 on the device: the class of every post of the store, -1 where it is not known or must not
                  be known even for a figure; only the pseudo-label accuracy reads it
      classes     names of the classes, for the figures
    `resume` before `train` goes on from a checkpoint.
    """

    def __init__(
        self,
        algorithm: Algorithm,
        ema: Ema,
        optimiser: torch.optim.Optimizer,
        schedule: Schedule,
        make_loader: Callable[[int, int], Loader],
        evaluate: Callable[[nn.Module, int], Mapping[str, float]],
        monitor: Monitor,
        folder: RunFolder,
        options: TrainingOptions,
        *,
        seed: int,
        device: torch.device,
        meta: Mapping[str, Any],
        note: Mapping[str, Any] | None = None,
        autocast: torch.dtype | None = None,
        truth: Tensor | None = None,
        classes: tuple[str, ...] = (),
        processes: Processes = ALONE,
    ) -> None:
        assert options.epoch > 0 and options.num_train_iter > 0, "the caller turns 0 into a number of steps"
        self.algorithm, self.ema = algorithm, ema
        self.optimiser, self.schedule = optimiser, schedule
        self.make_loader, self.evaluate = make_loader, evaluate
        self.monitor, self.folder, self.options = monitor, folder, options
        self.seed, self.device, self.autocast, self.truth = seed, device, autocast, truth
        self.meta = dict(meta)
        self.note = {"training": dataclasses.asdict(options), "torch": torch.__version__, **(note or {})}
        self.classes = classes or tuple(str(label) for label in range(algorithm.num_classes))
        self.processes = processes
        self.total = options.epoch * options.num_train_iter
        self.eval_every = options.num_eval_iter or options.num_train_iter
        self.parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
        self.learner: nn.Module = algorithm
        if processes.world > 1:  # heads that a step does not use have no gradient; `Statistics` shares the buffers
            self.learner = DistributedDataParallel(algorithm, broadcast_buffers=False, find_unused_parameters=True)
        self.statistics = Statistics(algorithm, processes)
        self.skips = SkipCounter(options.max_skipped, device)
        self.log = StepLog(monitor, self.skips, device, processes)
        self.progress = Progress()
        self.stop = StopSignal()
        self._saved, self._saved_at, self._begun = (-1, -1), 0.0, 0.0

    # ---- the run

    def train(self) -> Summary:
        """Train to the end, or until patience is over. Saves and raises SystemExit(143) after SIGTERM (130: SIGINT).

        Raises Diverged after `--max_skipped` steps in a row that are not finite.
        """
        options, progress = self.options, self.progress
        with self.stop, _monitored(self.monitor, progress.step), _rare_collection():
            self._begun = self._saved_at = time.perf_counter()
            self.log.start()
            self._evaluate_if_due()  # a run killed between the step and its evaluation still owes it
            self.algorithm.train()
            for number, labelled, unlabelled in self._batches():
                self.step(number, labelled, unlabelled)
                progress.step = number + 1
                self.monitor.advance()
                if progress.step % options.num_log_iter == 0 or progress.step == self.total:
                    self.log.send(progress.step, max(group["lr"] for group in self.optimiser.param_groups))
                if self.processes.any(self.stop.came):
                    break
                self._evaluate_if_due()
                if self._patience_over():
                    break
                if self._saving_is_due():
                    self._save()
            self._save()
            if self.processes.any(self.stop.came):  # asked of all, so none leaves while the first still writes
                self.monitor.say(f"stopped by a signal after step {progress.step}, saved: go on with --resume")
                raise SystemExit(self.stop.exit_code)
        skipped = int(self.skips.values[0])
        early = progress.step < self.total
        return Summary(progress.step, progress.best_step, progress.best, skipped, progress.seconds, early)

    def _batches(self) -> Iterator[tuple[int, Views, Views]]:
        """The batches from where the run stands to its end, with the time waited for them."""
        if self.progress.step >= self.total or self._patience_over():
            return
        yield from self.log.timed(self.make_loader(self.progress.step, self.total))

    # ---- one step

    def step(self, number: int, labelled: Views, unlabelled: Views) -> None:
        """Step `number`, counted from 0, wholly on the device."""
        self._seed(derive_seed(self.seed, "dropout", number, self.processes.rank))
        self.schedule.apply(self.optimiser, number)
        if self.algorithm.restarts_average and number % self.options.num_train_iter == 0:
            self.ema.restart(self.algorithm.net)
        self.statistics.keep()
        scalars, histograms = self._gradients(number, labelled, unlabelled)
        gradients = [parameter.grad for parameter in self.parameters if parameter.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients, foreach=True)
        if self.options.clip > 0:
            torch.nn.utils.clip_grads_with_norm_(self.parameters, self.options.clip, norm, foreach=True)
        finite = torch.isfinite(scalars[TOTAL]) & torch.isfinite(norm)
        skipped = self.processes.max_(1 - finite.to(torch.float32))
        self.optimiser.found_inf = skipped  # type: ignore[attr-defined]  # the fused optimisers then change nothing
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        self.statistics.settle(skipped)
        self.ema.update(self.algorithm.net, number, skipped)
        posts = self.processes.world * (_size(labelled) + _size(unlabelled))
        self.log.add({**scalars, "train/grad_norm": norm}, histograms, skipped, number, posts)

    def _seed(self, seed: int) -> None:
        """As torch.manual_seed, for the device of the run and the host alone: asking for every kind of device, torch
        keeps a stack trace for each that is not there."""
        torch.default_generator.manual_seed(seed)
        if self.device.type == "cuda":
            torch.cuda.manual_seed_all(seed)

    def _gradients(
        self, number: int, labelled: Views, unlabelled: Views
    ) -> tuple[dict[str, Tensor], Mapping[str, Tensor]]:
        """Backward through the step, part by part. Returns the scalars to show, the total loss among them, as means of
        the parts, and the last part's histograms.

        Each part has the same share of the labelled and of the unlabelled posts, so the mean of the parts' mean losses
        is the mean loss of the whole. What compares posts, and running statistics, see one part after the other.
        """
        parts = self.options.accumulate
        when = Step(number, number // self.options.num_train_iter, self.total)
        found: list[dict[str, Tensor]] = []
        for part in range(parts):
            some, others = _cut(labelled, part, parts), _cut(unlabelled, part, parts)
            last = part == parts - 1
            quiet = self.learner.no_sync() if isinstance(self.learner, DistributedDataParallel) and not last else None
            with quiet or nullcontext():
                with torch.autocast(self.device.type, self.autocast, enabled=self.autocast is not None):
                    losses: Losses = self.learner(some, others, when)
                (losses.total / parts).backward()
            found.append(self._figures(losses, others))
        if parts == 1:
            return found[0], losses.histograms
        return {name: torch.stack([some[name] for some in found]).mean() for name in found[0]}, losses.histograms

    @torch.no_grad()
    def _figures(self, losses: Losses, unlabelled: Views) -> dict[str, Tensor]:
        """The scalars of one part by their tags."""
        figures = {TOTAL: losses.total.detach()}
        figures |= {f"train/{name}": value.detach() for name, value in (losses.parts | losses.seen).items()}
        if "pseudo_label" in losses.histograms and "mask" in losses.histograms:
            truth = None if self.truth is None else self.truth[next(iter(unlabelled.values())).index]
            pseudo_label, mask = losses.histograms["pseudo_label"], losses.histograms["mask"]
            figures |= pseudo_label_figures(pseudo_label, mask, truth, self.classes)
        return figures

    # ---- evaluation, patience, checkpoints

    def _evaluate_if_due(self) -> None:
        """Evaluate every `eval_every` steps and at the end; keep the weights where they are the best so far."""
        progress = self.progress
        due = progress.step > 0 and (progress.step % self.eval_every == 0 or progress.step == self.total)
        if not due or progress.evaluated == progress.step:
            return
        self.log.show()
        with self.log.paused():
            figures = dict(self.evaluate(self.ema.net, progress.step)) if self.processes.first else {}
            figures = self.processes.broadcast(figures)
            better = figures[BEST_BY] > progress.best
            progress.evaluated = progress.step
            progress.worse = 0 if better else progress.worse + 1
            if better:
                progress.best, progress.best_step = figures[BEST_BY], progress.step
                if self.processes.first:
                    about = {"step": str(progress.step), "macro_f1": str(progress.best)}
                    save_weights(self.folder.best, plain_state(self.ema.net), about)
            self.monitor.evaluation(progress.step, figures, better)
            gc.collect()

    def _patience_over(self) -> bool:
        return 0 < self.options.patience <= self.progress.worse

    def _saving_is_due(self) -> bool:
        """At the end of every epoch, and where so many minutes have passed."""
        minutes = (time.perf_counter() - self._saved_at) / 60
        return self.progress.step % self.options.num_train_iter == 0 or minutes >= self.options.save_minutes

    def _save(self) -> None:
        """Write a checkpoint of where the run stands, unless there is one. Raises Diverged: none that has diverged is
        written, since it could not be gone on from."""
        self.log.show()
        self.log.check()
        now = time.perf_counter()
        self.progress.seconds += now - self._begun
        self._begun = now
        stands = self.progress.step, self.progress.evaluated
        if self.processes.first and self._saved != stands:
            own = plain_state(self.algorithm, leave_out="net.")
            state = {
                "progress": dataclasses.asdict(self.progress),
                "skips": self.skips.values.cpu(),
                "algorithm": own,
                "optimiser": optimiser_state(self.optimiser, self.algorithm),
                "optim": self.options.optim,
            }
            weights = plain_state(self.algorithm.net), plain_state(self.ema.net)
            save_checkpoint(self.folder.checkpoints, self.progress.step, *weights, state, self.meta, self.note)
        self._saved, self._saved_at = stands, time.perf_counter()

    def resume(self, checkpoint: Checkpoint) -> None:
        """Take up everything that `checkpoint` holds. Raises CheckpointError where it does not fit."""
        state = checkpoint.state
        if state["optim"] != self.options.optim:
            raise CheckpointError(
                f"cannot go on from {checkpoint.path}: --optim was {state['optim']}, now it is {self.options.optim}"
            )
        net = {f"net.{name}": value for name, value in checkpoint.net.items()}
        load_state(self.algorithm, net | state["algorithm"], checkpoint.path)
        load_state(self.ema.net, checkpoint.ema, checkpoint.path)
        load_optimiser_state(self.optimiser, self.algorithm, state["optimiser"])
        self.skips.values = state["skips"].to(self.device)
        self.progress = Progress(**state["progress"])
        self._saved = self.progress.step, self.progress.evaluated


def _size(views: Views) -> int:
    """Posts of a batch, given as its views."""
    return len(next(iter(views.values()))) if views else 0


def _cut(views: Views, part: int, parts: int) -> Views:
    """Part `part` of the posts of a batch cut in `parts` equal ones."""
    if parts == 1 or not views:
        return views
    size, rest = divmod(_size(views), parts)
    if rest:
        raise ValueError(
            f"--accumulate {parts}: a process's {_size(views)} posts of a step cannot be cut in equal parts"
        )
    return {name: batch.rows(part * size, (part + 1) * size) for name, batch in views.items()}


@contextmanager
def _monitored(monitor: Monitor, step: int) -> Iterator[None]:
    monitor.open(step)
    try:
        yield
    finally:
        monitor.close()


@contextmanager
def _rare_collection() -> Iterator[None]:
    """Python's garbage collection stops all threads when it likes; here only the trainer calls it, between steps."""
    enabled, frozen = gc.isenabled(), gc.get_freeze_count()
    gc.collect()
    gc.freeze()  # what is there now stays, and is not looked through again
    gc.disable()
    try:
        yield
    finally:
        if not frozen:  # else a part is the affair of whoever has frozen it
            gc.unfreeze()
        if enabled:
            gc.enable()
