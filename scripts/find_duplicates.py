"""Find near-duplicate images over a whole store, and against benchmarks: `python scripts/find_duplicates.py STORE`."""

from __future__ import annotations

import csv
import sys
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Literal

import tyro

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from datasets.folders import new_file
from datasets.image_vectors import EncoderFeatures, Looks
from datasets.ingest import ingest
from datasets.near_duplicates import image_groups, listed, rows_of_benchmark, write_groups
from datasets.neighbours import SearchOptions
from datasets.posts import Post
from datasets.readers.base import require_folder
from datasets.readers.class_folders import images_below
from datasets.store import PostStore, is_store
from training.entry import start


@dataclass(frozen=True)
class DuplicateOptions:
    """Find near-duplicate images; the groups go into the store, and splits and build_t4sa.py go by them"""

    store: tyro.conf.Positional[Path]
    """Store of posts, as scripts/ingest.py makes it."""
    against: tuple[Path, ...] = ()
    """Benchmarks, each a store or a folder of images at any depth: what is near one of theirs is in no split. None
    given: what was found near one before stays so."""
    features: Path | None = None
    """Features of the store's images that training with --freeze image left in its cache; none: their look."""
    against_features: tuple[Path, ...] = ()
    """Features of each benchmark, which is then a store, by the same encoder."""
    rule: Literal["distance", "original"] = "distance"
    """Distance: linked below a distance, groups go through others. Original: that of T4SA 2.0, one representative."""
    threshold: float | None = None
    """Distance below which two are near-duplicates; none: that of the features, or 0.15 for the original rule."""
    search: Annotated[SearchOptions, tyro.conf.arg(name="")] = field(default_factory=SearchOptions)
    num_workers: int = 1
    """Threads that decode images."""
    output: Path | None = None
    """CSV to write: each picture that several posts show (`duplicated image`), and the others (`duplicates`)."""

    def __post_init__(self) -> None:
        if self.features and len(self.against_features) != len(self.against):
            raise ValueError("--features compares features with features: give --against_features for each --against")
        if self.against_features and not self.features:
            raise ValueError("--against_features without --features: give the features of the store too")
        if self.num_workers < 0:
            raise ValueError(f"--num_workers {self.num_workers} must be 0 or more")


def _vectors(store: PostStore, features: Path | None, num_workers: int) -> Looks | EncoderFeatures:
    return Looks(store, num_workers) if features is None else EncoderFeatures(store, features)


def _near_benchmarks(store: PostStore, vectors: Looks | EncoderFeatures, options: DuplicateOptions) -> np.ndarray:
    """(N,) bool: posts near an image of any benchmark; those known from before where none is given."""
    if not options.against:
        known = int(store.of_benchmark.sum())
        if known:
            print(f"{store.path}: {known:,} posts stay marked as near a benchmark's, since no --against says otherwise")
        return np.array(store.of_benchmark)
    found = np.zeros(len(store), bool)
    threshold = options.threshold if options.rule == "distance" else None
    for number, place in enumerate(options.against):
        with TemporaryDirectory() as folder:
            if is_store(place):
                benchmark = PostStore(place)
            else:
                require_folder(place)
                images = (Post(file.relative_to(place).as_posix(), image=file) for file in images_below(place))
                benchmark = ingest([(images, None)], Path(folder) / "benchmark", source=str(place))
            features = options.against_features[number] if options.features else None
            theirs = _vectors(benchmark, features, options.num_workers)
            if isinstance(theirs, EncoderFeatures) and theirs.encoder != getattr(vectors, "encoder", None):
                raise ValueError(f"--against_features {features} are of another encoder than --features")
            near = rows_of_benchmark(store, vectors, benchmark, theirs, options.search, threshold)
        print(f"{place}: {int(benchmark.has_image.sum()):,} images, near them {int(near.sum()):,} posts")
        found |= near
    if gone := int((store.of_benchmark & ~found).sum()):
        print(f"{store.path}: {gone:,} posts that were marked before are near none of these and may be drawn again")
    return found


def _write_list(file: Path, store: PostStore, groups: np.ndarray) -> None:
    """The list as T4SA 2.0 keeps it, images by path where the store has it, else by id."""
    has_path = "path" in store.columns
    with new_file(file) as partial, partial.open("w", newline="", encoding="utf-8") as opened:
        table = csv.writer(opened)
        table.writerow(["duplicated image", "duplicates"])
        for rows in listed(groups):
            names = store.strings("path" if has_path else "id", rows)
            table.writerow([names[0], names[1:]])


def main(options: DuplicateOptions) -> None:
    """Search, write the columns, say what was found. Raises ValueError for a user's mistake."""
    store = PostStore(options.store)
    vectors = _vectors(store, options.features, options.num_workers)
    groups = image_groups(store, vectors, options.search, options.threshold, options.rule == "original")
    of_benchmark = _near_benchmarks(store, vectors, options)
    write_groups(store, groups, of_benchmark)
    if options.output is not None:
        _write_list(options.output, store, groups)
    repeats = int((groups != np.arange(len(groups))).sum())
    print(f"{store.path}: {int(store.has_image.sum()):,} images, {repeats:,} of them repeat an earlier one")


if __name__ == "__main__":
    start(DuplicateOptions, main)
