"""What a run shows while it trains: a bar or plain lines, TensorBoard, and metrics.jsonl with the same keys."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any, TextIO

import numpy as np
from PIL import Image

from datasets.folders import new_file
from evaluation.confusion_picture import confusion_picture
from training.run_folder import RunFolder

SHOWN = {
    "train/total_loss": "total",
    "train/sup_loss": "sup",
    "train/unsup_loss": "unsup",
    "train/util_ratio": "mask",
    "train/pseudo_acc": "pseudo-label acc",
    "train/posts_per_second": "posts/s",
    "train/data_wait": "data wait",
    "train/skipped": "skipped",
}
"""What the progress bar shows of a log entry, and how it calls it."""

_SHARES = {"train/util_ratio", "train/pseudo_acc", "train/data_wait"}


def evaluation_figures(score: Mapping[str, Any], prefix: str = "eval") -> dict[str, float]:
    """The figures of one `evaluation.metrics.score` by their tags: USB's names where it has them.

    Reads `accuracy`, `macro_f1`, `weighted_f1`, `ece` and, by class, `recall` and `precision`, where they are there.
    """
    names = {"accuracy": "top-1-acc", "macro_f1": "F1", "weighted_f1": "weighted-F1", "ece": "ece", "loss": "loss"}
    figures = {f"{prefix}/{tag}": float(score[name]) for name, tag in names.items() if score.get(name) is not None}
    for name in ("recall", "precision"):
        for label, value in score.get(name, {}).items():
            if value is not None:
                figures[f"{prefix}/{name}/{label}"] = float(value)
    return figures


def describe(figures: Mapping[str, float]) -> str:
    """The figures that the progress bar shows, in words."""
    words = []
    for tag, name in SHOWN.items():
        value = figures.get(tag)
        if value is None or (tag == "train/skipped" and value == 0):
            continue
        if tag in _SHARES:
            words.append(f"{name} {100 * value:.0f} %")
        elif tag == "train/posts_per_second":
            words.append(f"{value:.0f} {name}")
        else:
            words.append(f"{name} {value:.4g}")
    return "  ".join(words)


def clock(seconds: float) -> str:
    """Seconds as h:mm:ss."""
    whole = max(0, round(seconds))
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"


def cut_metrics(folder: RunFolder, step: int) -> None:
    """Take the lines of later steps than `step`, and one cut off by a crash, out of metrics.jsonl."""
    if not folder.metrics.exists():
        return
    kept = []
    for line in folder.metrics.read_text(encoding="utf-8").splitlines():
        try:
            entry = json.loads(line)
        except json.JSONDecodeError:
            continue  # the process died while it wrote this line
        if entry["step"] <= step:
            kept.append(line + "\n")
    with new_file(folder.metrics) as unfinished:
        unfinished.write_text("".join(kept), encoding="utf-8")


class Monitor:
    """Takes figures, histograms and pictures by step; all of them numbers on the host.

    `open` before the first and `close` after the last; between them a bar on a terminal, plain lines elsewhere.
    With `enabled` false (all processes but the first) it takes everything and shows nothing.
    """

    def __init__(
        self,
        folder: RunFolder,
        total_steps: int,
        epoch_steps: int,
        enabled: bool = True,
        stream: TextIO | None = None,
    ) -> None:
        self.folder = folder
        self.total_steps = total_steps
        self.epoch_steps = epoch_steps
        self.enabled = enabled
        self.stream = stream or sys.stdout
        self._writer: Any = None
        self._file: TextIO | None = None
        self._bar: Any = None
        self._start = (0, 0.0)  # step and time of `open`

    def open(self, step: int) -> None:
        """Begin at `step`; what an interrupted run has told of later steps is cut off."""
        self._start = (step, time.perf_counter())
        if not self.enabled:
            return
        from torch.utils.tensorboard import SummaryWriter
        from tqdm import tqdm

        self.folder.path.mkdir(parents=True, exist_ok=True)
        cut_metrics(self.folder, step)
        self._file = open(self.folder.metrics, "a", encoding="utf-8", buffering=1)  # noqa: SIM115
        self._writer = SummaryWriter(str(self.folder.path), purge_step=step + 1 if step else None)
        if self.stream.isatty():
            self._bar = tqdm(total=self.total_steps, initial=step, file=self.stream, unit="step", dynamic_ncols=True)

    def close(self) -> None:
        """Write out and close everything."""
        if self._bar is not None:
            self._bar.close()
        if self._writer is not None:
            self._writer.close()
        if self._file is not None:
            self._file.close()
        self._bar = self._writer = self._file = None

    def say(self, text: str) -> None:
        """One line for the reader."""
        if self._bar is not None:
            self._bar.write(text, file=self.stream)
        elif self.enabled:
            print(text, file=self.stream, flush=True)

    def advance(self) -> None:
        """One step is done."""
        if self._bar is not None:
            self._bar.update(1)

    def _record(self, step: int, figures: Mapping[str, float]) -> None:
        """To TensorBoard and to metrics.jsonl, under the same keys; what is not finite is null in the latter."""
        if self._file is None:
            return
        for tag, value in figures.items():
            self._writer.add_scalar(tag, value, step)
        entry = {tag: value if np.isfinite(value) else None for tag, value in figures.items()}
        self._file.write(json.dumps({"step": step, **entry}) + "\n")

    def log(self, step: int, figures: Mapping[str, float]) -> None:
        """The figures of the log interval that ends at `step`."""
        self._record(step, figures)
        if self._bar is not None:
            self._bar.set_description(f"epoch {self._epoch(step)}", refresh=False)
            self._bar.set_postfix_str(describe(figures))
        else:
            first, begun = self._start
            left = (time.perf_counter() - begun) / max(1, step - first) * (self.total_steps - step)
            self.say(
                f"step {step}/{self.total_steps}  epoch {self._epoch(step)}  {clock(left)} left  {describe(figures)}"
            )

    def _epoch(self, step: int) -> str:
        return f"{(step - 1) // self.epoch_steps + 1}/{-(-self.total_steps // self.epoch_steps)}"

    def evaluation(self, step: int, figures: Mapping[str, float], best: bool) -> None:
        """The figures of an evaluation after `step` steps, by their full tags; `best`: better than all before."""
        self._record(step, figures)
        names = {"eval/top-1-acc": "accuracy", "eval/F1": "macro-F1"}
        words = [f"{name} {figures[tag]:.4f}" for tag, name in names.items() if tag in figures]
        words += [
            f"recall {tag.rsplit('/', 1)[1]} {v:.2f}" for tag, v in figures.items() if tag.startswith("eval/recall/")
        ]
        self.say(f"validation after {step} steps: {', '.join(words)}{' (best)' if best else ''}")

    def histograms(self, step: int, values: Mapping[str, np.ndarray]) -> None:
        """Distributions by tag: (B,) values, or (B, K) as K of them, numbered. What is not finite is left out."""
        if self._writer is None:
            return
        for tag, array in values.items():
            columns = {tag: array} if array.ndim == 1 else {f"{tag}/{k}": array[:, k] for k in range(array.shape[1])}
            for name, column in columns.items():
                finite = column[np.isfinite(column)]
                if finite.size:
                    self._writer.add_histogram(name, finite, step)

    def add_image(self, tag: str, image: np.ndarray, step: int) -> None:
        """A picture, (H, W, 3) uint8. As JPEG: TensorBoard's own writer makes PNG, twenty times slower for photos."""
        if self._writer is None:
            return
        from tensorboard.compat.proto.summary_pb2 import Summary

        file = BytesIO()
        Image.fromarray(image).save(file, "JPEG", quality=90, subsampling=0)
        height, width, colours = image.shape
        shown = Summary.Image(height=height, width=width, colorspace=colours, encoded_image_string=file.getvalue())
        self._writer.file_writer.add_summary(Summary(value=[Summary.Value(tag=tag, image=shown)]), step)

    def add_confusion(self, step: int, confusion: Sequence[Sequence[int]], classes: Sequence[str]) -> None:
        """The confusion matrix as a picture."""
        if self._writer is not None:
            self.add_image("eval/confusion", confusion_picture(confusion, classes), step)
