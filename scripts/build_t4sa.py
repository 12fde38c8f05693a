"""Build the variants of T4SA from stores of photos: `python scripts/build_t4sa.py --t4sa2 STORE --output FOLDER`."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from datasets.store import PostStore
from datasets.text_predictions import TextPredictions
from datasets.variant_files import T4SA2, write_images, write_tables
from datasets.variants import MERGED, MERGES, NAMES, VARIANTS, Chosen, Thresholds, VariantSource, merged
from evaluation.variant_statistics import write_statistics
from training.entry import start


@dataclass(frozen=True)
class BuildOptions:
    """Build the variants of T4SA by name: tables of photos and classes, statistics and a chart"""

    output: Path = Path(".")
    """Folder below which `dataset/t4sa 1.0` and `dataset/t4sa 2.0` are written."""
    t4sa2: Path | None = None
    """Store of the crawl: bal_flat_T4SA2.0, bal_T4SA2.0, unb_T4SA2.0, and merged_T4SA with --t4sa1."""
    t4sa1: Path | None = None
    """Store of B-T4SA 1.0: B-T4SA_1.0, B-T4SA_1.0_upd, B-T4SA_1.0_upd_filt."""
    variants: tuple[str, ...] = ()
    """Variants to build; none named: all that the stores given allow."""
    predictions2: Path | None = None
    """The teacher's predictions for the crawl (TWID,NEG,NEU,POS); none: those in the store."""
    predictions1: Path | None = None
    """The teacher's predictions for B-T4SA 1.0; none: those in the store."""
    flat_threshold: float = 0.70
    """Confidence that the teacher must exceed in bal_flat_T4SA2.0 and B-T4SA_1.0_upd_filt."""
    thresholds: Thresholds = (0.70, 0.90, 0.90)
    """Confidence to exceed for negative, neutral, positive in bal_T4SA2.0 and unb_T4SA2.0."""
    seed: int = 42
    """Seed of undersampling and of the parts."""
    keep_duplicates: bool = False
    """Near-duplicate photos of the crawl stay; otherwise the first of each is kept, as find_duplicates.py grouped."""
    write_images: bool = False
    """Write the photos too, into dataset/images, as the stores keep them."""

    def __post_init__(self) -> None:
        unknown = [name for name in self.variants if name not in NAMES]
        if unknown:
            raise ValueError(f"--variants {unknown[0]}: there is none of that name; there are {', '.join(NAMES)}")
        if self.t4sa1 is None and self.t4sa2 is None:
            raise ValueError("give the store of the photos: --t4sa2 for the crawl, --t4sa1 for B-T4SA 1.0")
        for name, values in {"flat_threshold": (self.flat_threshold,), "thresholds": self.thresholds}.items():
            if not all(0 <= value < 1 for value in values):
                raise ValueError(f"--{name} must be from 0 up to but not including 1, found {values}")
        if self.seed < 0:
            raise ValueError(f"--seed {self.seed} must be 0 or more")


def _source(store: Path | None, predictions: Path | None, options: BuildOptions, keep: bool) -> VariantSource | None:
    if store is None:
        return None
    answers = None if predictions is None else TextPredictions(predictions)
    source = VariantSource(PostStore(store), answers, options.seed, keep)
    if source.near_benchmarks:
        print(f"{store}: {source.near_benchmarks:,} photos are left out, near-duplicates of a benchmark's")
    return source


def _choose(options: BuildOptions) -> dict[str, list[Chosen]]:
    """Each variant that was asked for, with its posts by store."""
    sources = {
        "t4sa1": _source(options.t4sa1, options.predictions1, options, keep=True),
        "t4sa2": _source(options.t4sa2, options.predictions2, options, options.keep_duplicates),
    }
    known = {variant.name: variant for variant in VARIANTS}
    needs = {name: {variant.source} for name, variant in known.items()}
    needs[MERGED] = {known[name].source for name in MERGES}
    wanted = options.variants or [name for name in NAMES if all(sources[source] for source in needs[name])]
    thresholds: dict[str, Thresholds | None] = {
        "own": None, "any": None, "flat": (options.flat_threshold,) * 3, "by_class": options.thresholds
    }  # fmt: skip
    chosen: dict[str, list[Chosen]] = {}
    for name in wanted:
        parts = []
        for part in MERGES if name == MERGED else (name,):
            source = sources[known[part].source]
            if source is None:
                raise ValueError(f"--variants {name} needs --{known[part].source}, the store of its photos")
            parts.append(source.choose(known[part], thresholds[known[part].labels]))
        if name == MERGED:
            union, parts = parts, merged(parts)
            lost = sum(len(before.rows) - len(after.rows) for before, after in zip(union, parts, strict=True))
            print(f"{name}: {lost:,} photos are left out, a near-duplicate of each is in another part")
        chosen[name] = parts
    return chosen


def main(options: BuildOptions) -> None:
    """Choose, write, count. Raises ValueError for a user's mistake."""
    chosen = _choose(options)
    for name, parts in chosen.items():
        files = write_tables(name, parts, options.output, options.seed)
        if options.write_images:
            write_images(parts, options.output)
        print(f"{files[0].parent}: {sum(len(part.rows) for part in parts):,} photos")
    counts = {name: np.sum([part.counts() for part in parts], axis=0) for name, parts in chosen.items()}
    files = write_statistics(counts, options.output / T4SA2 / "img")
    print(files[1].read_text(encoding="utf-8"), end="")


if __name__ == "__main__":
    start(BuildOptions, main)
