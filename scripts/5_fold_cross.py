"""Cross-validate a model on a benchmark, fine-tuned on the other folds: `python scripts/5_fold_cross.py -b 5agree`."""

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
class FoldOptions(BenchmarkOptions):
    """Fine-tune a model on all folds of a benchmark but one and test it on that one, for each (T4SA 2.0's protocol)"""

    benchmark: Annotated[str, tyro.conf.arg(aliases=["-b"])] = ""
    """5agree, 4agree, 3agree, FI_complete, emotion_ROI_test (also _train, _complete) or twitter_testing_2."""
    model: Annotated[str, tyro.conf.arg(aliases=["-m"])] = "boosted_model"
    """A run's folder, a student's file, or a published name; its net must read images alone."""
    batch_size: Annotated[int, tyro.conf.arg(aliases=["-batch"])] = 32
    """Images of a batch."""
    K: int = 5
    """Folds."""
    epochs: Annotated[int, tyro.conf.arg(aliases=["-e"])] = 12
    """Passes over the training images of a fold."""
    seed: int = 42
    """Seed of the order of the images and of dropout; the folds are the published ones, whatever it is."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_from(batch_size=1, K=2, epochs=1, seed=0)
        if not self.benchmark:
            raise ValueError("-b: name a benchmark")


def main(options: FoldOptions) -> None:
    """Fine-tune, answer, score. Raises ValueError for a user's mistake."""
    from evaluation.benchmarks import find
    from training.assembly import cuda_or_cpu
    from training.benchmark_tuning import Bench, cross_validate
    from training.fine_tuning import NEUTRAL_MASK, Recipe
    from training.image_models import find_model

    benchmark = find(options.benchmark)
    examples = benchmark.read(options.benchmark_dir)
    model = find_model(options.model, options.models_dir, options.image_net).model
    bench = Bench(cuda_or_cpu(options.gpu), options.num_workers, options.predictions_dir)
    recipe = Recipe(options.epochs, options.batch_size, NEUTRAL_MASK, seed=options.seed)
    home = options.benchmark_dir / benchmark.folder
    cross_validate(model, examples, benchmark.name, options.K, recipe, home, bench)


if __name__ == "__main__":
    start(FoldOptions, main)
