"""Fine-tuning on benchmarks, fold by fold or split by split, in T4SA 2.0's protocols, files and words.

What is done is kept: a fold whose net is there, trained from the same weights on the same images in the same way, is
not trained again. So a run that was killed begins anew only the fold that it was in.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from evaluation.benchmarks import Examples
from evaluation.benchmarks.fi import FI, read_split
from evaluation.folds import FOLDS_KEY, mean_and_deviation, stratified_folds
from evaluation.image_answers import image_answers
from evaluation.two_classes import score_two_classes, two_class_accuracy, write_answers
from nets.student import ImageModel
from training.checkpoint import plain_state
from training.fine_tuning import Reached, Recipe, fine_tune, fresh_copies, masked, save_tuned, take_tuned, training_key

SPLIT_CHECKS = 200
"""Batches between two looks at the validation images of FI."""


@dataclass(frozen=True)
class Bench:
    """What computes, and where answers are written."""

    device: torch.device
    num_workers: int
    predictions: Path

    def answers(self, model: ImageModel, examples: Examples, recipe: Recipe) -> np.ndarray:
        """(N, 3) probabilities with the recipe's mask on."""
        found = image_answers(model, examples.files, recipe.batch_size, self.device, self.num_workers)
        return masked(found, recipe)


def cross_validate(
    model: ImageModel, examples: Examples, name: str, folds: int, recipe: Recipe, home: Path, bench: Bench
) -> list[float]:
    """Accuracy of each fold of the benchmark `name`, whose folder is `home`; all is printed.

    Every fold starts from the weights that `model` has. Nets are kept in `<home>/models/<name>/fold_<i>.safetensors`,
    answers in `fine_tune_<name>_<i>.csv`.
    """
    accuracies: list[float] = []
    everything = np.zeros((len(examples), 3), dtype=np.float32)
    for fold, ((train, test), fresh) in enumerate(
        zip(stratified_folds(examples.label, folds), fresh_copies(model), strict=False)
    ):
        learned, held_out = examples.take(train), examples.take(test)
        file = home / "models" / name / f"fold_{fold}.safetensors"
        about = {"trained": training_key(fresh, recipe, learned), FOLDS_KEY: str(folds)}
        if take_tuned(file, fresh, about):
            print(f"{file} is there already, trained in the same way")
        else:
            fine_tune(fresh, learned, recipe, f"{name} fold {fold}", bench.device, bench.num_workers)
            save_tuned(file, fresh, about)
        everything[test] = bench.answers(fresh, held_out, recipe)
        write_answers(bench.predictions / f"fine_tune_{name}_{fold}.csv", everything[test])
        accuracies.append(two_class_accuracy(everything[test], held_out.label))
        print("Accuracy fold", fold, ":", accuracies[-1])
    print("Accuracy obtained for", f"{name}.csv", ":", accuracies)
    _aggregate(accuracies)
    print(f"all folds together: {score_two_classes(everything, examples.label).describe()}")
    return accuracies


def tune_splits(model: ImageModel, splits: int, recipe: Recipe, root: Path, bench: Bench) -> list[float]:
    """Test accuracy of each of the first `splits` splits of FI, below the benchmarks' folder `root`; all is printed.

    Each starts from the weights that `model` has, and keeps those with the best accuracy on its validation images, in
    `FI/models/model_<split>.safetensors`; answers for its test images are in `fine_tune_FI_<split>.csv`.
    """
    accuracies: list[float] = []
    for split, fresh in zip(range(1, splits + 1), fresh_copies(model), strict=False):
        print("Reading csv files with training and validation set for split", split, "...")
        learned, validation, test = (read_split(root, split, part) for part in ("train", "val", "test"))
        file = root / FI.folder / "models" / f"model_{split}.safetensors"
        about = {"trained": training_key(fresh, recipe, learned, validation)}
        if take_tuned(file, fresh, about):
            print(f"{file} is there already, trained in the same way")
        else:
            print("Training the model fully unfreezed...")
            best = Best(fresh, validation, recipe, bench)
            fine_tune(fresh, learned, recipe, f"FI split {split}", bench.device, bench.num_workers, best.look)
            fresh.net.load_state_dict(best.state)
            save_tuned(file, fresh, about)
        answers = bench.answers(fresh, test, recipe)
        write_answers(bench.predictions / f"fine_tune_FI_{split}.csv", answers)
        accuracies.append(two_class_accuracy(answers, test.label))
        print(f"split {split}: {score_two_classes(answers, test.label).describe()}")
    print("Accuracy obtained:", accuracies)
    _aggregate(accuracies)
    return accuracies


class Best:
    """Keeps the weights with the best accuracy on the validation images, looked at every SPLIT_CHECKS batches and after
    each epoch."""

    def __init__(self, model: ImageModel, validation: Examples, recipe: Recipe, bench: Bench) -> None:
        self.model, self.validation, self.recipe, self.bench = model, validation, recipe, bench
        self.accuracy = -1.0
        self.state: dict[str, torch.Tensor] = {}

    def look(self, reached: Reached) -> None:
        """Look where it is due."""
        if not reached.epoch_ended and reached.batches % SPLIT_CHECKS:
            return
        answers = self.bench.answers(self.model, self.validation, self.recipe)
        accuracy = two_class_accuracy(answers, self.validation.label)
        if accuracy > self.accuracy:
            self.accuracy, self.state = accuracy, plain_state(self.model.net)
            when = f"{reached.epochs} epoch" if reached.epoch_ended else f"{reached.batches} batches"
            print(f"Saving model after {when} with accuracy", accuracy)


def _aggregate(accuracies: list[float]) -> None:
    mean, deviation = mean_and_deviation(accuracies)
    print("Aggregated accuracy:", mean)
    print("Standard deviation:", deviation)
