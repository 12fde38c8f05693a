"""Options that the scripts which test students share. Read without importing torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class StudentOptions:
    """Where models and answers are, and what computes"""

    models_dir: Path = Path("models")
    """Folder of the published students' files, as ViT_L16.h5."""
    predictions_dir: Path = Path("predictions")
    """Folder that files of answers are written into."""
    image_net: str = ""
    """The ViT of a student's file (any timm name, or a short one) where its shapes do not tell."""
    gpu: int = 0
    """CUDA device; without CUDA the CPU is used; -1: the CPU."""
    num_workers: int = 2
    """Processes that read images; 0: none but the main one."""

    def __post_init__(self) -> None:
        self.check_from(gpu=-1, num_workers=0)

    def check_from(self, **lowest: int) -> None:
        """Raise ValueError for the first option that is lower than it may be."""
        for name, low in lowest.items():
            if getattr(self, name) < low:
                raise ValueError(f"--{name} {getattr(self, name)} must be {low} or more")


@dataclass(frozen=True)
class BenchmarkOptions(StudentOptions):
    """Where benchmarks are too"""

    benchmark_dir: Path = Path("dataset", "benchmark")
    """Folder of the benchmarks' folders, as `Twitter Testing Dataset I`."""
