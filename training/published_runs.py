"""What a published run writes besides the house's own files: figures after every epoch, classes, weights.

As published, the figures of the test posts are written after every epoch beside those of the validation posts, and
files of predictions and weights are those of the last epoch. Nothing is chosen by them: the run's own best model,
predictions and report are those of the best epoch on the validation posts.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from pickle import UnpicklingError

import numpy as np
import torch
from torch import Tensor, nn

from algorithms.base import Algorithm
from datasets.batch import Batch
from datasets.loading import evaluation_batches
from datasets.readers import find
from datasets.seeds import derive_seed
from evaluation.metrics import confusion_matrix
from evaluation.predict import Predictions, predict
from evaluation.published_tables import METRICS, averages, write_classes, write_epochs, write_figures
from evaluation.report import read_metrics
from nets.prediction import Prediction
from training.assembly import Assembly, assemble, autocast_type, choose_device
from training.checkpoint import load_state, plain_state
from training.command_line import Options
from training.distributed import ALONE
from training.published_flags import PublishedRun
from training.run_folder import RunFolder

PARTS = ("val", "test")
"""Parts of the split whose figures are written, as files call them."""
TEXT_ONLY = "text_only"
"""Column of the posts that never had an image: they are a test of their own."""


class _WithLoss(nn.Module):
    """A net that keeps the loss of every batch that it answers for."""

    def __init__(self, net: nn.Module, algorithm: Algorithm, truth: Tensor) -> None:
        super().__init__()
        self.net, self.algorithm, self.truth = net, algorithm, truth
        self.losses: list[Tensor] = []

    def forward(self, batch: Batch) -> Prediction:
        """The answer of the net."""
        answer = self.net(batch)
        known = replace(batch, label=self.truth[batch.index])
        self.losses.append(self.algorithm.known_loss(self.net, known, answer.float()))
        return answer


def measure(assembly: Assembly, net: nn.Module, rows: np.ndarray) -> tuple[dict[str, float], Predictions]:
    """The published figures of `net` on labelled posts, and its answers. `loss` is the mean over batches of the size
    that training has, auxiliary losses included; image-text matching draws the same texts every time."""
    options, store = assembly.options, assembly.store
    with_loss = _WithLoss(net, assembly.algorithm, torch.from_numpy(store.label).to(assembly.device))
    batches = evaluation_batches(
        assembly.source, rows, options.training.batch_size, assembly.view_maker, assembly.device,
        options.data.num_workers,
    )  # fmt: skip
    torch.manual_seed(derive_seed(options.run.seed, "published figures"))
    answers = predict(with_loss, batches, autocast_type(options, assembly.device))
    answers = replace(answers, label=store.label[answers.rows])
    confusion = confusion_matrix(answers.label, answers.prediction, len(store.classes))
    return averages(confusion.tolist()) | {"loss": float(torch.stack(with_loss.losses).mean())}, answers


def rows_of(assembly: Assembly, part: str) -> np.ndarray:
    """Rows of the validation posts ("val"), of the test posts ("test"), or of those that are text alone ("txt").

    Raises ValueError where there is none.
    """
    if part == "val":
        return assembly.split.validation
    store, rows = assembly.store, assembly.split.test
    alone = np.zeros(len(store), dtype=bool)
    if TEXT_ONLY in store.columns:
        alone = store.column(TEXT_ONLY).astype(bool)
    rows = rows[alone[rows] == (part == "txt")]
    if not len(rows):
        raise ValueError(
            "--eval_txt_test: none of the test posts is text alone: text_data_mic.csv has none that could be read, or "
            "--testing drew none of them"
            if part == "txt"
            else "all test posts are text alone: there is none to write figures of"
        )
    return rows


class PublishedRecord:
    """Writes the files of one published run, as `watch` and `after` of main.py."""

    def __init__(self, run: PublishedRun) -> None:
        self.run = run

    def watch(self, assembly: Assembly, net: nn.Module, step: int) -> dict[str, float]:
        """Figures of validation and test posts by their tags; writes those of all epochs so far."""
        if self.run.text_test:
            rows_of(assembly, "txt")  # missed now rather than when all is trained
        found = {part: measure(assembly, net, rows_of(assembly, part))[0] for part in PARTS}
        figures = {f"{part}/{name}": value for part in PARTS for name, value in found[part].items()}
        options = assembly.options
        folder = RunFolder(Path(options.run.save_dir) / options.run.save_name)
        steps = options.training.num_train_iter
        lines = [*read_metrics(folder.metrics), {"step": step, **figures}]
        for part in PARTS:
            tags = {name: f"{part}/{name}" for name in METRICS}
            table = {
                line["step"] // steps: {name: line[tag] for name, tag in tags.items()}
                for line in lines
                if tags["loss"] in line
            }
            write_epochs(self.run.file(f"metrics_{part}.csv"), table)
        return figures

    def after(self, assembly: Assembly, folder: RunFolder, answers: Predictions) -> str:
        """Write what is asked for of the last epoch. Returns where everything is."""
        run = self.run
        if run.preds or run.metrics:
            self._write(assembly, "test", "preds.csv" if run.preds else "", "metrics.csv" if run.metrics else "")
        if run.text_test:
            self._write(assembly, "txt", "preds_txt.csv", "metrics_txt.csv")
        if run.flags.save_model:
            weights = {"weights": plain_state(assembly.algorithm), "frozen": assembly.frozen_fingerprints}
            torch.save(weights, run.file("net.pth"))
        return (
            f"figures of every epoch: {run.file('metrics_val.csv')}, {run.file('metrics_test.csv')} (files there are "
            f"of the last epoch, those in {folder.path} of the best one on the validation posts)"
        )

    def evaluate_saved(self, options: Options) -> str:
        """Write figures and classes of the saved weights on the test posts. Returns where they are.

        Raises ValueError where there are no weights, or those of another net.
        """
        path = self.run.file("net.pth")
        if not path.is_file():
            raise ValueError(
                f"--load_saved_model: there is no {path}: train with --save_model and the same flags first"
            )
        try:
            saved = torch.load(path, map_location="cpu", weights_only=True)
            weights, frozen = saved["weights"], saved["frozen"]
        except (OSError, RuntimeError, EOFError, UnpicklingError, KeyError, TypeError) as error:
            reason = (str(error) or "it is empty or cut off").splitlines()[0]
            raise ValueError(f"--load_saved_model: {path} is not what --save_model writes ({reason})") from error
        assembly = assemble(options, choose_device(options), ALONE)
        if frozen != assembly.frozen_fingerprints:
            raise ValueError(f"--load_saved_model: {path} was trained with another frozen encoder: see --img_weights")
        load_state(assembly.algorithm, weights, path)
        self._write(assembly, "test", "preds_lm.csv", "metrics_lm.csv")
        told = f"figures of {path} on the test posts: {self.run.file('metrics_lm.csv')}"
        if self.run.text_test:
            self._write(assembly, "txt", "preds_txt.csv", "metrics_txt.csv")
            told += f", on those that are text alone: {self.run.file('metrics_txt.csv')}"
        return told

    def _write(self, assembly: Assembly, part: str, preds: str, metrics: str) -> None:
        """Figures and classes of the net as it is; a file without a name is not written."""
        figures, answers = measure(assembly, assembly.net, rows_of(assembly, part))
        if metrics:
            write_figures(self.run.file(metrics), figures)
        if preds:
            ids = self._class_ids(assembly.store.classes)
            write_classes(
                self.run.file(preds), assembly.store.ids(answers.rows), ids[answers.label], ids[answers.prediction]
            )

    def _class_ids(self, classes: tuple[str, ...]) -> np.ndarray:
        """(C,) int64: the published id of each of the house's classes."""
        published = self.run.task.classes or find(self.run.task.reader).classes
        assert published is not None, "a task's reader has classes"
        return np.array([published.index(name) for name in classes])
