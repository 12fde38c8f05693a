"""Processes forked from one that has imported everything: each starts at once, clean, with a peak memory of its own.

The forking process must not have used CUDA or more than one thread of torch before. The peak memory of a forked one
leaves out the pages of libraries that it has not touched itself, about 0.3 GiB: compare it with other forked ones.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Generic, TypeVar

from training.signals import StopSignal

PAUSE = 0.5
"""Seconds between looks at whether a signal came."""
T = TypeVar("T")


def warm() -> None:
    """Import all that a run needs and do what is done once a process, so that a forked one does not wait for it."""
    import pyarrow
    import torch.utils.tensorboard  # noqa: F401
    from transformers import AutoModel, AutoTokenizer, BertModel, PreTrainedTokenizerFast  # noqa: F401

    import algorithms
    import datasets.synthetic  # noqa: F401
    import evaluation.report
    import nets.build
    import training.session  # noqa: F401

    with suppress(ImportError):  # not in every version: what loading any weights compiles first, a thousand patterns
        from transformers.conversion_mapping import get_checkpoint_conversion_mapping

        get_checkpoint_conversion_mapping("bert")
    pyarrow.array([None], from_pandas=True)  # imports pandas, where there is one
    evaluation.report.template()
    nets.build.nets()
    for name in algorithms.names():
        algorithms.find(name)
    gc.collect()
    gc.freeze()  # a forked process has these objects for good: its collector need not look through, and copy, them


def cores() -> int:
    """CPU cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def count_gpus() -> int:
    """CUDA devices, asked by a forked process: one that has asked itself can fork none that uses them."""
    context = multiprocessing.get_context("fork")
    queue: Any = context.SimpleQueue()
    process = context.Process(target=_send_gpus, args=(queue,))
    process.start()
    process.join()
    return 0 if queue.empty() else queue.get()


def _send_gpus(queue: Any) -> None:
    import torch

    queue.put(torch.cuda.device_count() if torch.cuda.is_available() else 0)


@dataclass(frozen=True)
class Ended(Generic[T]):
    """A task whose process has ended. `code` is its exit code, negative where a signal killed it."""

    task: T
    code: int
    seconds: float


@dataclass
class _Running(Generic[T]):
    task: T
    slot: int
    process: BaseProcess
    begun: float


def run_forked(tasks: Sequence[T], work: Callable[[T, int], int], slots: int, stop: StopSignal) -> Iterator[Ended[T]]:
    """Run `work(task, slot)` in a forked process for each task, at most `slots` at a time; yields them as they end.

    `slot` is the number, from 0, of the place that the process has; what `work` returns is its exit code. Where `stop`
    says that a signal came, no other task is started and the running ones get SIGTERM, once; the signal of a terminal
    does not reach them.
    """
    context = multiprocessing.get_context("fork")
    waiting, free = list(reversed(tasks)), list(reversed(range(slots)))
    running: dict[int, _Running[T]] = {}
    told = False
    while running or (waiting and not stop.came):
        while waiting and free and not stop.came:
            task, slot = waiting.pop(), free.pop()
            process = context.Process(target=_child, args=(work, task, slot))
            before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
            process.start()
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            running[process.sentinel] = _Running(task, slot, process, time.perf_counter())
        if stop.came and not told:
            told = True
            for one in running.values():
                one.process.terminate()
        for sentinel in connection.wait(list(running), timeout=PAUSE):
            assert isinstance(sentinel, int)
            one = running.pop(sentinel)
            one.process.join()
            free.append(one.slot)
            yield Ended(one.task, one.process.exitcode or 0, time.perf_counter() - one.begun)


def _child(work: Callable[[T, int], int], task: T, slot: int) -> None:
    """What a forked process does. The parent's handlers are not its own; signals wait until it has none of them."""
    os.setpgid(0, 0)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM, signal.SIGINT})
    sys.exit(work(task, slot))


def speak_into(path: Path) -> None:
    """From now on, what this process says goes to the end of the file `path`, line by line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = open(path, "a", buffering=1, encoding="utf-8")  # noqa: SIM115  # open as long as the process
    for number in (1, 2):
        os.dup2(file.fileno(), number)
    sys.stdout = sys.stderr = file


def use_gpu(slot: int, gpus: int) -> None:
    """Show this process one of the CUDA devices alone, by its place in turn. To be called before CUDA is used."""
    shown = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    names = shown.split(",") if shown else [str(number) for number in range(gpus)]
    os.environ["CUDA_VISIBLE_DEVICES"] = names[slot % gpus]
