"""Test a model on a published benchmark: `python scripts/test_benchmark.py -m MODEL -b 5agree`."""

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
class ModelTestOptions(BenchmarkOptions):
    """Accuracy of a model on a benchmark of two classes (neutral is dropped), its answers written as CSV"""

    model: Annotated[str, tyro.conf.arg(aliases=["-m"])] = ""
    """A run's folder, a student's file (.h5 of Keras, .safetensors, .pth), or a published name: boosted_model, ViT_L16,
    ViT_L32, ViT_B16, ViT_B32, merged_T4SA, bal_flat_T4SA2.0, bal_T4SA2.0, unb_T4SA2.0, B-T4SA_1.0_upd_filt,
    B-T4SA_1.0_upd, B-T4SA_1.0."""
    benchmark: Annotated[str, tyro.conf.arg(aliases=["-b"])] = ""
    """5agree, 4agree, 3agree, FI_complete, emotion_ROI_test (also _train, _complete) or twitter_testing_2."""
    dir: str = ""
    """The benchmark's folder below --benchmark_dir, where it is not the published one; only with --model."""
    five_fold: bool = False
    """Test the nets that 5_fold_cross.py left, each on its fold, instead of --model."""
    FI_split: bool = False
    """Test the nets that fine_tune_FI.py left, each on its split's test images, instead of --model."""
    against: Path | None = None
    """File of another model's answers for the same benchmark: McNemar's exact test of the two."""
    calibrated: bool = False
    """Print the figures once more with positive beginning where a run's validation posts say that it does best."""
    batch_size: Annotated[int, tyro.conf.arg(aliases=["-batch"])] = 32
    """Images of a batch."""
    seed: int = 0
    """Seed of the bootstrap."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_from(batch_size=1, seed=0)
        if self.five_fold and self.FI_split:
            raise ValueError("--five_fold and --FI_split are two tests: give one of them")
        if not self.benchmark and not self.FI_split:
            raise ValueError("-b: name a benchmark")
        if not self.model and not (self.five_fold or self.FI_split):
            raise ValueError("-m: name a model")
        if self.five_fold or self.FI_split:
            self._refuse_unread()

    def _refuse_unread(self) -> None:
        """Raise ValueError for an option that the test of fine-tuned nets does not read."""
        test = "--five_fold" if self.five_fold else "--FI_split"
        unread = {
            "model": "-m", "against": "--against", "calibrated": "--calibrated", "dir": "--dir", "seed": "--seed",
            "models_dir": "--models_dir", "predictions_dir": "--predictions_dir",
            **({"benchmark": "-b"} if self.FI_split else {}),
        }  # fmt: skip
        given = [flag for name, flag in unread.items() if getattr(self, name) != getattr(type(self), name)]
        if given:
            raise ValueError(f"{test} tests what fine-tuning left, where it was left: leave out {' and '.join(given)}")


def main(options: ModelTestOptions) -> None:
    """Answer, write, score. Raises ValueError for a user's mistake."""
    if options.five_fold or options.FI_split:
        _test_tuned(options)
        return
    from evaluation.benchmarks import find

    examples = find(options.benchmark).read(options.benchmark_dir, options.dir)
    from evaluation.image_answers import image_answers  # these wait for torch, a missing benchmark need not
    from evaluation.two_classes import (
        compare_two_classes,
        read_answers,
        score_two_classes,
        two_class_accuracy,
        write_answers,
    )
    from training.assembly import cuda_or_cpu
    from training.image_models import find_model

    other = None if options.against is None else read_answers(options.against, len(examples))
    named = find_model(options.model, options.models_dir, options.image_net)
    if options.calibrated and named.offset is None:
        raise ValueError(
            f"--calibrated: {options.model} has no offset; a run has one whose validation posts are positive and "
            "negative (where it was trained before there were any: python main.py --save_name NAME --eval_only)"
        )
    device = cuda_or_cpu(options.gpu)
    answers = image_answers(named.model, examples.files, options.batch_size, device, options.num_workers)
    file = write_answers(options.predictions_dir / f"{named.name}_{options.benchmark}.csv", answers)
    print(two_class_accuracy(answers, examples.label))
    print(score_two_classes(answers, examples.label, options.seed).describe())
    if options.calibrated and named.offset is not None:
        found = score_two_classes(answers, examples.label, options.seed, named.offset.offset)
        print(
            f"calibrated (log p(positive) - log p(negative) above {named.offset.offset:.3f}, by {named.offset.posts:,} "
            f"validation posts): {found.describe()}"
        )
    if other is not None:
        test = compare_two_classes(answers, other, examples.label)
        print(
            f"against {options.against}: {test.first} images that only {named.name} got right, {test.second} that "
            f"only the other did; McNemar's exact test: p = {test.p:.3g}"
        )
    print(file)


def _test_tuned(options: ModelTestOptions) -> None:
    """The same of the nets that fine-tuning left."""
    from evaluation.benchmarks import find
    from evaluation.folds import answer_folds, saved_folds, saved_splits
    from training.assembly import cuda_or_cpu

    home = options.benchmark_dir
    saved = saved_splits(home) if options.FI_split else saved_folds(find(options.benchmark), home)
    answer_folds(saved, options.batch_size, cuda_or_cpu(options.gpu), options.num_workers, options.image_net)


if __name__ == "__main__":
    start(ModelTestOptions, main)
