"""A variant's tables and photos in the folders and formats of T4SA's authors, which readers/t4sa_variant.py reads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from datasets.folders import new_file
from datasets.readers.t4sa_variant import HEADER, SEPARATORS
from datasets.seeds import generator
from datasets.store import PostStore
from datasets.tweets import is_inside
from datasets.variants import CHUNK, PARTS, Chosen

T4SA1, T4SA2 = Path("dataset", "t4sa 1.0"), Path("dataset", "t4sa 2.0")
IMAGES = "images"
_OF_T4SA1 = {
    "B-T4SA_1.0": (Path("original dataset", "b-t4sa 1.0"), ".txt"),
    "B-T4SA_1.0_upd": (Path("dataset with new labels", "b-t4sa1.0 updated"), ".tsv"),
    "B-T4SA_1.0_upd_filt": (Path("dataset with new labels", "b-t4sa1.0 updated and filtered"), ".tsv"),
}


def tables_of(name: str, root: Path) -> list[Path]:
    """The files of a variant below `root`: train, validation, test."""
    if name in _OF_T4SA1:
        folder, suffix = _OF_T4SA1[name]
        return [root / T4SA1 / folder / f"b-t4sa_{part}{suffix}" for part in PARTS]
    return [root / T4SA2 / name / f"{name}_{part}.csv" for part in PARTS]


def image_paths(store: PostStore, rows: np.ndarray) -> list[str]:
    """Path of each row's photo: the store's column `path`, or else its id. Raises ValueError for one that leaves."""
    names = store.strings("path", rows) if "path" in store.columns else [""] * len(rows)
    ids = store.ids(rows)
    paths = [name or f"{identifier}.jpg" for name, identifier in zip(names, ids, strict=True)]
    unsafe = [path for path in paths if not is_inside(path) or "\n" in path]
    if unsafe:
        raise ValueError(
            f"{store.path} has {unsafe[0]!r} as the path of a photo, which leaves the folder of the photos"
        )
    return paths


def write_tables(name: str, chosen: Sequence[Chosen], root: Path, seed: int) -> list[Path]:
    """Write a variant's three tables, each in an order drawn from `seed`; what is there is replaced. The files."""
    files = tables_of(name, root)
    for number, file in enumerate(files):
        separator = SEPARATORS[file.suffix]
        with new_file(file) as partial, partial.open("w", encoding="utf-8", newline="") as opened:
            opened.write(f"{HEADER}\n" if file.suffix == ".csv" else "")
            for path, label in _shuffled(chosen, number, seed):
                opened.write(f"{path}{separator}{label}\n")
    return files


def _shuffled(chosen: Sequence[Chosen], part: int, seed: int) -> Iterator[tuple[str, int]]:
    """Path and class id of each post of a part: training without shuffling, as the authors', needs mixed classes."""
    source = np.concatenate([np.full((some.part == part).sum(), number) for number, some in enumerate(chosen)])
    position = np.concatenate([np.flatnonzero(some.part == part) for some in chosen])
    order = generator(seed, "order of the table", part).permutation(len(source))
    for start in range(0, len(order), CHUNK):
        paths = np.empty(len(order[start : start + CHUNK]), object)
        labels = np.empty(len(paths), np.int64)
        for number, some in enumerate(chosen):
            here = source[order[start : start + CHUNK]] == number
            of_store = position[order[start : start + CHUNK][here]]
            paths[here] = image_paths(some.store, some.rows[of_store])
            labels[here] = some.label[of_store]
        yield from zip(paths.tolist(), labels.tolist(), strict=True)


def write_images(chosen: Sequence[Chosen], root: Path) -> Path:
    """Write the photos, as the stores keep them, where the tables' reader finds them; those there are left."""
    folder = root / T4SA2.parent / IMAGES
    for some in chosen:
        for start in range(0, len(some.rows), CHUNK):
            rows = some.rows[start : start + CHUNK]
            for row, path in zip(rows, image_paths(some.store, rows), strict=True):
                file = folder / path
                if not file.exists():
                    with new_file(file) as partial:
                        partial.write_bytes(some.store.image(int(row)) or b"")
    return folder
