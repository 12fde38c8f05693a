"""The folds of T4SA 2.0's cross-validation, and the nets that fine-tuning left, each tested on its own images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from sklearn.model_selection import StratifiedKFold

from evaluation.benchmarks import Benchmark, Examples
from evaluation.benchmarks.fi import FI, SPLITS, read_split
from evaluation.image_answers import image_answers
from evaluation.two_classes import two_class_accuracy
from nets.encoders import weights_metadata
from nets.student import load_student

SEED = 42
"""That of the published folds."""
FOLDS = 5
"""Folds that are published."""
FOLDS_KEY = "folds"
"""Metadata of a fold's net: into how many folds its benchmark was cut."""


def stratified_folds(label: np.ndarray, folds: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rows of training and test for each fold, ascending: scikit-learn's stratified ones, shuffled by SEED.

    Raises ValueError where a class has fewer images than there are folds.
    """
    least = int(np.bincount(label, minlength=2).min())
    if not 2 <= folds <= least:
        raise ValueError(f"--K {folds}: the rarer class has {least} images, so there can be 2 to {least} folds")
    split = StratifiedKFold(n_splits=folds, shuffle=True, random_state=SEED)
    yield from split.split(np.zeros(len(label)), label)


@dataclass(frozen=True)
class SavedFold:
    """A fine-tuned net's file, and the images that it is tested on."""

    number: int
    file: Path
    test: Examples


def saved_folds(benchmark: Benchmark, root: Path) -> list[SavedFold]:
    """What scripts/5_fold_cross.py left for a benchmark, in its folder below `root`.

    Raises ValueError where a net is missing or is not one of FOLDS folds: it may have learned from the images that it
    would be tested on. A file of Keras does not say, and is taken for a published one.
    """
    examples = benchmark.read(root)
    models = root / benchmark.folder / "models" / benchmark.name
    files = [_saved_model(models, f"fold_{fold}") for fold in range(FOLDS)]
    for file in files:
        said = weights_metadata(file).get(FOLDS_KEY) if file.suffix == ".safetensors" else str(FOLDS)
        if said != str(FOLDS):
            raise ValueError(
                f"{file} is of {said or 'an unknown number of'} folds, and --five_fold tests nets of {FOLDS}: train "
                f"them with scripts/5_fold_cross.py -b {benchmark.name} --K {FOLDS}"
            )
    tests = [examples.take(test) for _, test in stratified_folds(examples.label, FOLDS)]
    return [SavedFold(fold, file, test) for fold, (file, test) in enumerate(zip(files, tests, strict=True))]


def saved_splits(root: Path) -> Iterator[SavedFold]:
    """What scripts/fine_tune_FI.py left below `root`."""
    for split in SPLITS:
        file = _saved_model(root / FI.folder / "models", f"model_{split}")
        yield SavedFold(split, file, read_split(root, split, "test"))


def _saved_model(folder: Path, name: str) -> Path:
    """The file of a fold's or a split's net, ours or one that Keras wrote. Raises ValueError where there is neither."""
    for path in (folder / f"{name}.safetensors", folder / f"{name}.h5"):
        if path.is_file():
            return path
    raise ValueError(
        f"there is no {folder / name}.safetensors (or .h5): scripts/5_fold_cross.py or scripts/fine_tune_FI.py makes it"
    )


def answer_folds(
    saved: Iterable[SavedFold], batch_size: int, device: torch.device, num_workers: int, image_net: str = ""
) -> list[float]:
    """Accuracy of each saved net on its own images; all is printed in the words of T4SA 2.0's script."""
    accuracies = []
    for fold in saved:
        model = load_student(fold.file, image_net)
        answers = image_answers(model, fold.test.files, batch_size, device, num_workers)
        accuracies.append(two_class_accuracy(answers, fold.test.label))
        print("Accuracy fold", fold.number, ":", accuracies[-1])
    mean, deviation = mean_and_deviation(accuracies)
    print("Mean accuracy:", mean)
    print("Standard deviation:", deviation)
    return accuracies


def mean_and_deviation(accuracies: Sequence[float]) -> tuple[float, float]:
    """Mean and population standard deviation, which divides by the number of folds."""
    return float(np.mean(accuracies)), float(np.std(accuracies))
