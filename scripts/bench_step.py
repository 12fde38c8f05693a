"""Bench of the training step: split against joint, where SCRD's time goes, its margin loss, the order of memory."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from algorithms.base import Step
from algorithms.fixmatch import FixMatch
from algorithms.losses import decoupling
from datasets.batch import Batch, Views
from nets.encoders import ImageEncoder
from nets.prediction import Prediction
from scripts.bench_timing import Phases, Row, interleave, ratios
from scripts.bench_world import (
    CLASSES,
    LARGE_NETS,
    MEDIUM_NETS,
    SMALL_NETS,
    TASK,
    Bench,
    Shape,
    learner,
    make_trainer,
    pictures,
    posts_per_step,
    training_steps,
    vit_shape,
)

RATIOS = (1, 4, 7)
GRADIENT_TOLERANCE = 1e-3
"""Largest relative difference of a weight's gradient in float32 that rounding explains."""
LAYOUT_NETS = ("mobilenetv2_100", "resnet50", "vit_small_patch16_224")
"""Nets whose step is timed in both orders of memory."""
AS_PRETRAINED = ("--batch_norm", "frozen")
"""Flags with which a net of random weights costs what a pretrained one does."""
MARGIN_ROWS = 48
"""Rows for the loop, which is too slow for the 160 of a default step."""


class JointFixMatch(FixMatch):
    """FixMatch with labelled, weak and strong views in one pass, as the published implementations do."""

    def predict_with_targets(self, labelled: Batch, weak: Batch, *strong: Batch) -> tuple[Prediction, ...]:
        """See Algorithm."""
        return tuple(self.predict(labelled, weak, *strong))


def _gradients(algorithm: FixMatch, labelled: Views, unlabelled: Views) -> tuple[Tensor, ...]:
    return torch.autograd.grad(algorithm(labelled, unlabelled, Step(0, 0, 1)).total, list(algorithm.net.parameters()))


def gradient_difference(bench: Bench, shape: Shape, ratio: int) -> float:
    """Largest relative difference, over the weights, between the gradients of a split and a joint step in float32."""
    posts = min(shape.batch, 8)
    labelled = pictures(shape, posts, ("weak",), True, bench.device)
    unlabelled = pictures(shape, posts * ratio, ("weak", "strong"), False, bench.device)
    found = []
    for kind in (FixMatch, JointFixMatch):
        net = shape.net(bench.device)
        found.append(_gradients(kind(FixMatch.Options(threshold=0.0), net, net, TASK), labelled, unlabelled))
    return max(float((a - b).norm() / b.norm().clamp(min=1e-12)) for a, b in zip(*found, strict=True))


def split_against_joint(bench: Bench) -> Iterator[Row]:
    """The step that passes weak views apart, without gradient, against the one that passes all views together."""
    shape = vit_shape(bench)
    net = shape.net(bench.device)
    for ratio in RATIOS:
        difference = gradient_difference(bench, shape, ratio)
        yield Row(f"ratio {ratio}: largest relative difference of gradients (float32)", "", (difference,))
        if difference > GRADIENT_TOLERANCE:
            raise ValueError(f"ratio {ratio}: split and joint step have other gradients, by {difference:.1e}")
        labelled = pictures(shape, shape.batch, ("weak",), True, bench.device)
        unlabelled = pictures(shape, shape.batch * ratio, ("weak", "strong"), False, bench.device)
        steps = {
            name: learner(kind(FixMatch.Options(), net, net, TASK), labelled, unlabelled, bench.autocast)
            for name, kind in (("split", FixMatch), ("joint", JointFixMatch))
        }
        seconds = interleave({name: _counted(step) for name, step in steps.items()}, bench.repeats, bench.device)
        yield Row(f"ratio {ratio}: joint over split step ({shape})", "×", ratios(seconds["joint"], seconds["split"]))
        for name, step in steps.items():
            yield Row(f"ratio {ratio}: {name} step", "s", seconds[name])
            if bench.cuda:
                torch.cuda.reset_peak_memory_stats(bench.device)
                step()
                yield Row(f"ratio {ratio}: {name} step, peak memory", "GiB", (_peak_gib(bench.device),))


def _peak_gib(device: torch.device) -> float:
    return torch.cuda.max_memory_allocated(device) / 2**30


def _counted(function: Callable[[], object], times: int = 1) -> Callable[[], int]:
    """The function called so many times, and how many."""

    def run() -> int:
        for _ in range(times):
            function()
        return times

    return run


def scrd_step(bench: Bench) -> Iterator[Row]:
    """Where the time of a step of SCRD goes, by part, in the trainer that main.py uses, and a step of the released
    variant over it."""
    yield from _shares(bench, SMALL_NETS, ())
    yield from _shares(bench, MEDIUM_NETS, (*bench.medium_flags(), *AS_PRETRAINED))
    yield from released_over_scrd(bench)
    if bench.cuda and not bench.tiny:
        yield from _shares(bench, LARGE_NETS, bench.large_flags())


def released_over_scrd(bench: Bench) -> Iterator[Row]:
    """A step of SCRD's released variant, as it was released, over one of ours, for the same posts, all weights
    trained."""
    variants = {
        "scrd": AS_PRETRAINED,
        "scrd_released": ("--algorithm", "scrd_released", "--batch_norm", "batch", "--strong_text", "0"),
    }
    steps = {
        name: training_steps(bench.assembly(*bench.medium_flags(), *flags), bench.folder / name, 2)
        for name, flags in variants.items()
    }
    seconds = interleave(steps, bench.repeats, bench.device)
    yield Row(f"{MEDIUM_NETS}: released variant over scrd", "×", ratios(seconds["scrd_released"], seconds["scrd"]))
    for name in variants:
        yield Row(f"{MEDIUM_NETS}: {name}", "s", seconds[name])


def _shares(bench: Bench, nets: str, flags: tuple[str, ...]) -> Iterator[Row]:
    assembly = bench.assembly(*flags)
    trainer = make_trainer(assembly, bench.folder / "scrd")
    batches = list(assembly.make_loader(0, 2))
    algorithm, whole, shares = assembly.algorithm, [], []
    for batch in batches:
        trainer.step(*batch)
    for repeat in range(bench.repeats):
        phases = Phases(bench.device)
        with ExitStack() as stack:
            for owner, method, name in (
                (algorithm, "teach", "teacher"), (algorithm, "predict", "student"), (algorithm, "forward", "forward"),
                (torch.Tensor, "backward", "backward"), (trainer.optimiser, "step", "update"),
                (trainer.ema, "update", "update"), (trainer, "step", "whole"),
            ):  # fmt: skip
                stack.enter_context(patch.object(owner, method, phases.timed(name, getattr(owner, method))))
            trainer.step(*batches[repeat % len(batches)])
        seconds = phases.seconds
        whole.append(seconds["whole"])
        named = seconds["forward"] + seconds["backward"] + seconds["update"]
        parts = {
            "weak views through the teacher": seconds["teacher"],
            "labelled and strong views through the student": seconds["student"],
            "losses and pseudo-labels": seconds["forward"] - seconds["teacher"] - seconds["student"],
            "backward": seconds["backward"],
            "optimiser and moving average": seconds["update"],
            "clipping, skipping, figures": seconds["whole"] - named,
        }
        shares.append({name: 100 * value / seconds["whole"] for name, value in parts.items()})
    yield Row(f"{nets}: whole step, {posts_per_step(assembly)} posts", "s", tuple(whole))
    for name in shares[0]:
        yield Row(f"{nets}: {name}", "%", tuple(share[name] for share in shares))


def memory_order(bench: Bench) -> Iterator[Row]:
    """Image encoders, forward and backward: pixels and filters channels first against channels last, as in training."""
    count, size = bench.sized(2, 10, 128), bench.sized(64, 224, 224)
    for name in LAYOUT_NETS[: 1 if bench.tiny else None]:
        encoder = ImageEncoder(name, "none", size).to(bench.device)
        image = torch.randn(count, 3, size, size, device=bench.device)
        first = copy.deepcopy(encoder.net).to(memory_format=torch.contiguous_format)
        steps = {
            order: _counted(partial(_backward, net, image, bench.autocast))
            for order, net in (("first", first), ("last", encoder))
        }
        seconds = interleave(steps, bench.repeats, bench.device)
        what = f"{name}, {count} images of {size} px"
        yield Row(f"{what}: channels first over last", "×", ratios(seconds["first"], seconds["last"]))
        yield Row(f"{what}: channels last", "s", seconds["last"])


def _backward(net: nn.Module, image: Tensor, autocast: torch.dtype | None) -> None:
    with torch.autocast(image.device.type, autocast, enabled=autocast is not None):
        features = net(image)
    features.float().sum().backward()


def margin_by_loop(common: Tensor, label: Tensor) -> Tensor:
    """The margin loss by its definition, triple by triple, every label known."""
    unit = normalize(common, dim=1)
    names = label.tolist()
    everyone = range(len(names))
    anchors = []
    for anchor in everyone:
        positives = [place for place in everyone if names[place] == names[anchor] and place != anchor]
        negatives = [place for place in everyone if names[place] != names[anchor]]
        hinges = [
            (decoupling.MARGIN - unit[anchor] @ unit[positive] + unit[anchor] @ unit[negative]).clamp(min=0)
            for positive in positives
            for negative in negatives
        ]
        if hinges:
            anchors.append(torch.stack(hinges).mean())
    return torch.stack(anchors).mean()


def margin_loss(bench: Bench) -> Iterator[Row]:
    """SCRD's margin loss with its backward pass: vectorised against the loop of its definition."""
    rows = 12 if bench.tiny else MARGIN_ROWS
    torch.manual_seed(0)
    common = torch.randn(rows, 128, device=bench.device, requires_grad=True)
    label = torch.randint(CLASSES, (rows,), device=bench.device)
    known = torch.ones(rows, dtype=torch.bool, device=bench.device)
    answers: dict[str, Tensor] = {}

    def timed(name: str, function: Callable[[], Tensor]) -> Callable[[], int]:
        """The loss and its backward pass; the gradient stays in `answers` under `name`."""

        def run() -> int:
            common.grad = None
            function().backward()
            assert common.grad is not None
            answers[name] = common.grad
            return 1

        return run

    variants = {
        "loop": timed("loop", lambda: margin_by_loop(common, label)),
        "vectorised": timed("vectorised", lambda: decoupling.margin(common, label, known)),
    }
    seconds = interleave(variants, min(bench.repeats, 3), bench.device)
    difference = float((answers["vectorised"] - answers["loop"]).norm() / answers["loop"].norm())
    yield Row(f"{rows} rows: loop over vectorised", "×", ratios(seconds["loop"], seconds["vectorised"]))
    yield Row(f"{rows} rows: vectorised", "ms", tuple(1e3 * value for value in seconds["vectorised"]))
    yield Row(f"{rows} rows: relative difference of gradients", "", (difference,))
    if difference > GRADIENT_TOLERANCE:
        raise ValueError(f"the vectorised margin loss has another gradient than the loop, by {difference:.1e}")
