"""FI: Flickr and Instagram images of eight emotions (You et al., AAAI 2016). Amusement, awe, contentment and excitement
are positive, whose number is 2 here. Five splits into training, validation and test are published with it."""

from __future__ import annotations

from pathlib import Path

from evaluation.benchmarks.base import Benchmark, Examples

FI = Benchmark("FI_complete", "FI", "Flickr and Instagram, You et al. 2016", positive=2)
BENCHMARKS = (FI,)
SPLITS = (1, 2, 3, 4, 5)


def read_split(root: Path, split: int, part: str) -> Examples:
    """The `part` ("train", "val" or "test") of one of SPLITS: `FI/split_<split>/FI_<part>.csv`."""
    return FI.read(root, table=f"split_{split}/FI_{part}")
