"""Bench of what matters on CUDA: throughput and MFU, compiled against eager, bf16 against float32, no host read.

All but the count of kernels runs on the CPU too, where that is asked for by name.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from algorithms.fixmatch import FixMatch
from datasets.augment_image import STRONG_DRAWS, strong_view
from scripts.bench_timing import Row, interleave, per_second, ratios, synchronise
from scripts.bench_world import (
    LARGE_NETS,
    SMALL_NETS,
    TASK,
    Bench,
    learner,
    make_trainer,
    pictures,
    posts_per_step,
    training_steps,
    vit_shape,
)

WARM_UP = 5
SYNC_STEPS = 50
"""Steps between two log lines that must not make the host wait."""
LOSS_STEPS, LOSS_TOLERANCE = 20, 0.05
"""Steps over which the loss in bf16 must follow the one in float32, and how closely."""
PER_TERA = 1e-12


def operations(step: Callable[[], object]) -> int:
    """Floating-point operations of the matrix products, convolutions and attentions of one step, backward and all."""
    with FlopCounterMode(display=False) as counter:
        step()
    return int(counter.get_total_flops())


def _utilisation(bench: Bench, flops: int, seconds: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(100 * flops * PER_TERA / value / bench.peak_tflops for value in seconds)


def throughput(bench: Bench) -> Iterator[Row]:
    """Posts a second of SCRD's whole step in the trainer, and the share of the peak that its operations are."""
    large = bench.cuda and not bench.tiny
    assembly = bench.assembly(*(bench.large_flags() if large else ()))
    steps = training_steps(assembly, bench.folder / "throughput", 2)
    seconds = interleave({"steps": steps}, bench.repeats, bench.device)["steps"]
    flops = operations(steps) // 2
    nets = LARGE_NETS if large else SMALL_NETS
    yield Row(f"SCRD, {nets}, eager", "posts/s", per_second(seconds, posts_per_step(assembly)))
    yield Row(f"SCRD, {nets}, eager: operations of a step", "TFLOP", (flops * PER_TERA,))
    if bench.cuda:
        mfu = _utilisation(bench, flops, seconds)
        yield Row(f"SCRD, {nets}, eager: MFU (peak {bench.peak_tflops:g} TFLOP/s)", "%", mfu)


def compiled(bench: Bench) -> Iterator[Row]:
    """FixMatch's step with a ViT, eager against torch.compile, with posts a second and MFU of both."""
    shape, ratio = vit_shape(bench), 1 if bench.tiny else 7
    labelled = pictures(shape, shape.batch, ("weak",), True, bench.device)
    unlabelled = pictures(shape, shape.batch * ratio, ("weak", "strong"), False, bench.device)
    steps = {}
    for name in ("eager", "compiled"):
        net = shape.net(bench.device)
        if name == "compiled":
            net.compile()
        steps[name] = learner(FixMatch(FixMatch.Options(), net, net, TASK), labelled, unlabelled, bench.autocast)
    flops = operations(steps["eager"])
    begun = time.perf_counter()
    for _ in range(3):  # once for each kind of pass, and again where a second shape of batch makes it general
        steps["compiled"]()
    synchronise(bench.device)
    yield Row(f"{shape}, ratio {ratio}: compiling", "s", (time.perf_counter() - begun,))

    def counted(step: Callable[[], object]) -> Callable[[], int]:
        return lambda: int(step() is not None)

    seconds = interleave({name: counted(step) for name, step in steps.items()}, bench.repeats, bench.device)
    posts = shape.batch * (1 + ratio)
    yield Row(f"{shape}, ratio {ratio}: eager over compiled", "×", ratios(seconds["eager"], seconds["compiled"]))
    for name, values in seconds.items():
        yield Row(f"{shape}, ratio {ratio}: {name}", "posts/s", per_second(values, posts))
        if bench.cuda:
            yield Row(f"{shape}, ratio {ratio}: {name}, MFU", "%", _utilisation(bench, flops, values))


def precision(bench: Bench) -> Iterator[Row]:
    """The same steps from the same weights in bf16 and in float32: how far the losses part, and what is gained."""
    shape = vit_shape(bench)
    labelled = pictures(shape, shape.batch, ("weak",), True, bench.device)
    unlabelled = pictures(shape, shape.batch, ("weak", "strong"), False, bench.device)
    losses: dict[str, list[torch.Tensor]] = {"bf16": [], "float32": []}
    variants = {}
    for name, autocast in (("bf16", torch.bfloat16), ("float32", None)):
        net = shape.net(bench.device)
        algorithm = FixMatch(FixMatch.Options(), net, net, TASK)
        step = learner(algorithm, labelled, unlabelled, autocast, lr=1e-5)

        def run(step: Callable[[], torch.Tensor] = step, name: str = name) -> int:
            losses[name].append(step())
            return 1

        variants[name] = run
    seconds = interleave(variants, LOSS_STEPS - 1, bench.device)  # and the one that is not measured
    low, full = (torch.stack(losses[name]).double().cpu() for name in ("bf16", "float32"))
    difference = float(((low - full).abs() / full.abs()).max())
    yield Row(f"{LOSS_STEPS} steps: largest relative difference of the loss", "", (difference,))
    yield Row(f"{shape}, ratio 1: float32 over bf16 step", "×", ratios(seconds["float32"], seconds["bf16"]))
    if not difference < LOSS_TOLERANCE:
        raise ValueError(f"the loss in bf16 is off by {difference:.1e}, more than {LOSS_TOLERANCE}")


class _NoHostReads(TorchDispatchMode):
    """Raises where a tensor is read by Python or decides a shape: what makes the host wait on CUDA."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.overloadpacket in (torch.ops.aten._local_scalar_dense, torch.ops.aten.nonzero):
            frames = [frame for frame in traceback.extract_stack() if "/torch/" not in frame.filename]
            caller = frames[-2]  # the last one is this function
            raise RuntimeError(f"the host reads a tensor in {caller.filename}, line {caller.lineno}: {caller.line}")
        return func(*args, **(kwargs or {}))


@contextmanager
def no_waiting(device: torch.device) -> Iterator[None]:
    """A RuntimeError where the host waits for the device; on the CPU, where it would have to."""
    if device.type != "cuda":
        with _NoHostReads():
            yield
        return
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


def no_host_reads(bench: Bench) -> Iterator[Row]:
    """Steps between two log lines, with the loader, its worker processes and its pinned memory running, that must not
    make the host wait."""
    with no_waiting(bench.device):
        try:
            torch.ones((), device=bench.device).item()
        except RuntimeError:
            caught = True
        else:
            caught = False
    if not caught:
        raise ValueError("this torch does not notice a host read, so nothing is shown by there being none")
    for name, flags in (
        ("FixMatch, image net", ("--algorithm", "fixmatch", "--net", "image")),
        ("FixMatch, image and text net", ("--algorithm", "fixmatch")),
        ("SCRD, image and text net", ()),
    ):
        assembly = bench.assembly(*flags)
        trainer = make_trainer(assembly, bench.folder / "host-reads")
        count, done = SYNC_STEPS if bench.cuda else 3, 0
        batches = iter(assembly.make_loader(0, WARM_UP + count))
        for _ in range(WARM_UP):  # the first steps allocate, choose kernels and make the optimiser's state
            trainer.step(*next(batches))
        synchronise(bench.device)
        begun = time.perf_counter()
        with no_waiting(bench.device):
            for batch in batches:
                trainer.step(*batch)
                done += 1
        synchronise(bench.device)
        yield Row(f"{name}: steps without a host read", "", (done,))
        yield Row(f"{name}: with the loader", "steps/s", (done / (time.perf_counter() - begun),))


def strong_views(bench: Bench) -> Iterator[Row]:
    """The strong view of a step's unlabelled images, on the device: eager against compiled, and kernels started."""
    posts, size = bench.sized(4, 64, 448), bench.sized(32, 96, 224)
    torch.manual_seed(0)
    images = torch.randint(256, (posts, 3, size, size), dtype=torch.uint8, device=bench.device)
    fill = torch.full((3,), 127.0, device=bench.device)
    functions = {"eager": strong_view, "compiled": torch.compile(strong_view, fullgraph=True)}

    def caller(function: Callable) -> Callable[[], int]:
        def run() -> int:
            with torch.no_grad():
                for _ in range(5):
                    function(images, torch.rand(posts, STRONG_DRAWS, device=bench.device), fill)
            return 5 * posts

        return run

    variants = {name: caller(function) for name, function in functions.items()}
    seconds = interleave(variants, bench.repeats, bench.device)
    yield Row(f"{size} px: eager over compiled", "×", ratios(seconds["eager"], seconds["compiled"]))
    for name, values in seconds.items():
        yield Row(f"{size} px: {name}", "images/s", per_second(values))
        if bench.cuda:
            yield Row(f"{size} px: {name}, kernels a view", "", (_kernels(variants[name]) / 5,))


def _kernels(function: Callable[[], object]) -> int:
    """Kernels that a function starts."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        function()
        torch.cuda.synchronize()
    on_device = [event for event in profile.events() if event.device_type == torch.autograd.DeviceType.CUDA]
    return sum(not event.name.startswith(("Memcpy", "Memset")) for event in on_device)
