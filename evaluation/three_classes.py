"""The test images of a variant of T4SA, in three classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from datasets.readers import ReaderOptions
from datasets.readers.t4sa_variant import T4saVariant
from datasets.variant_files import tables_of
from datasets.variants import NAMES
from evaluation.benchmarks.base import require_files


def read_test_images(variant: str, root: Path) -> tuple[list[Path], np.ndarray]:
    """Files and (N,) class ids, 0 negative, 1 neutral, 2 positive, of the variant's test table below `root`.

    Raises ValueError for a variant that there is not, and where its table or an image is missing.
    """
    if variant not in NAMES:
        raise ValueError(f"--variant {variant or '(none)'}: name the test images; there are {', '.join(NAMES)}")
    table = tables_of(variant, root)[-1]
    if not table.is_file():
        raise ValueError(f"--variant {variant}: there is no {table}; scripts/build_t4sa.py writes it below --root")
    files, label = [], []
    for post in T4saVariant().read(table.parent, ReaderOptions()):
        if post.split == "test":
            assert isinstance(post.image, Path) and post.label is not None
            files.append(post.image)
            label.append(T4saVariant.classes.index(post.label))
    require_files(table, files)
    return files, np.array(label, dtype=np.int64)
