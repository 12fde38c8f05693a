"""Fine-tune a model on the five splits of FI and test it: `python scripts/fine_tune_FI.py`."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from evaluation.benchmark_options import BenchmarkOptions
from training.entry import start


@dataclass(frozen=True)
class FIOptions(BenchmarkOptions):
    """Fine-tune a model on each published split of FI, keep the best on validation, test it (T4SA 2.0's protocol)"""

    model: Annotated[str, tyro.conf.arg(aliases=["-m"])] = "boosted_model"
    """A run's folder, a student's file, or a published name; its net must read images alone."""
    batch_size: Annotated[int, tyro.conf.arg(aliases=["-batch"])] = 32
    """Images of a batch."""
    epochs: int = 5
    """Passes over the training images of a split."""
    split: int = 5
    """Splits to go through, from the first on."""
    seed: int = 42
    """Seed of the order of the images and of dropout."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_from(batch_size=1, epochs=1, split=1, seed=0)
        if self.split > 5:
            raise ValueError(f"--split {self.split}: FI has five splits")


def main(options: FIOptions) -> None:
    """Fine-tune, answer, score. Raises ValueError for a user's mistake."""
    from training.assembly import cuda_or_cpu
    from training.benchmark_tuning import Bench, tune_splits
    from training.fine_tuning import Recipe
    from training.image_models import find_model

    model = find_model(options.model, options.models_dir, options.image_net).model
    bench = Bench(cuda_or_cpu(options.gpu), options.num_workers, options.predictions_dir)
    recipe = Recipe(options.epochs, options.batch_size, seed=options.seed)
    tune_splits(model, options.split, recipe, options.benchmark_dir, bench)


if __name__ == "__main__":
    start(FIOptions, main)
