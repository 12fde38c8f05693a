"""Test a published student on the test images of its own data set: `python scripts/test_github.py --model ViT_L16`."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from evaluation.benchmark_options import StudentOptions
from training.entry import start


@dataclass(frozen=True)
class VariantTestOptions(StudentOptions):
    """Accuracy of a model in three classes on the test images of a variant of T4SA"""

    model: Annotated[str, tyro.conf.arg(aliases=["-m"])] = "boosted_model"
    """A published name, a run's folder or a student's file."""
    variant: str = ""
    """Variant of T4SA (bal_T4SA2.0, merged_T4SA …); empty: the published model's own."""
    root: Path = Path(".")
    """Folder with `dataset/t4sa 1.0` and `dataset/t4sa 2.0`, as scripts/build_t4sa.py leaves them."""
    batch_size: Annotated[int, tyro.conf.arg(aliases=["-batch"])] = 256
    """Images of a batch."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_from(batch_size=1)


def main(options: VariantTestOptions) -> None:
    """Answer, write, score. Raises ValueError for a user's mistake."""
    import numpy as np

    from datasets.folders import new_result
    from datasets.variants import MERGED, NAMES
    from evaluation.image_answers import image_answers
    from evaluation.metrics import score
    from evaluation.three_classes import read_test_images
    from evaluation.two_classes import write_answers
    from nets.student import CLASSES, PUBLISHED
    from training.assembly import cuda_or_cpu
    from training.image_models import find_model

    own = options.model if options.model in NAMES else MERGED if options.model in PUBLISHED else ""
    variant = options.variant or own
    print("Reading csv test file...")
    files, label = read_test_images(variant, options.root)
    print(f"Loading the model '{options.model}'")
    named = find_model(options.model, options.models_dir, options.image_net)
    print("Predicting with the model, it can take a while...")
    device = cuda_or_cpu(options.gpu)
    answers = image_answers(named.model, files, options.batch_size, device, options.num_workers)
    figures = score(answers, label, CLASSES)
    print(f"Model accuracy: {figures['accuracy']}")
    print(f"macro-F1 {100 * figures['macro_f1']:.1f}; {figures['n']:,} images")
    written = write_answers(options.predictions_dir / f"{named.name}_test.csv", answers)
    with new_result(written.with_suffix(".npy")) as partial, partial.open("wb") as file:
        np.save(file, answers)
    print(written)


if __name__ == "__main__":
    start(VariantTestOptions, main)
