"""What a benchmark is: a table of image files and two classes, in a folder of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from datasets.text import decode_text
from datasets.tweets import is_inside

HEADER = "path,class"
NEGATIVE, POSITIVE = 0, 1
"""Classes of every benchmark once it is read, whatever numbers its table has."""


def require_files(table: Path, files: Sequence[Path]) -> None:
    """Raise ValueError where one of the `files` that `table` names is not there."""
    missing = [file for file in files if not file.is_file()]
    if missing:
        raise ValueError(
            f"{table} names {len(files):,} images, {len(missing):,} of them are not there, as {missing[0]}"
        )


@dataclass(frozen=True)
class Examples:
    """N images with their classes, in the order of the table."""

    files: tuple[Path, ...]
    label: np.ndarray  # (N,) int64: NEGATIVE or POSITIVE

    def __len__(self) -> int:
        return len(self.files)

    def take(self, rows: np.ndarray) -> Examples:
        """Those at these places."""
        return Examples(tuple(self.files[row] for row in rows), self.label[rows])


@dataclass(frozen=True)
class Benchmark:
    """A published benchmark of two classes as T4SA 2.0's authors lay it out (Serra et al., ECAI 2023).

    `<folder>/<table>.csv` has the header path,class; the paths are below `<folder>/images`.
    """

    name: str
    """The word for -b, and the name of its table."""
    folder: str
    """Its folder below --benchmark_dir."""
    about: str
    """Whose images these are."""
    positive: int = 1
    """The number that its table has for positive; negative is 0."""

    def read(self, root: Path, folder: str = "", table: str = "") -> Examples:
        """The examples below `root`, in `folder` and `table` (`<table>.csv`) where they are not the benchmark's own.

        Raises ValueError where a table or an image is missing, and for a malformed row.
        """
        home = root / (folder or self.folder)
        file, images = home / f"{table or self.name}.csv", home / "images"
        if not file.is_file():
            raise ValueError(
                f"-b {self.name} ({self.about}): there is no {file}; put it there, a table with the header {HEADER} "
                f"and the classes {self.positive} positive and 0 negative, and the images that it names into {images}"
            )
        rows = list(self._rows(file))
        if not rows:
            raise ValueError(f"{file} has no row below its header {HEADER}")
        files = tuple(images / path for path, _ in rows)
        require_files(file, files)
        return Examples(files, np.array([label for _, label in rows], dtype=np.int64))

    def _rows(self, file: Path) -> Iterator[tuple[str, int]]:
        """Path and class of each row."""
        classes = {"0": NEGATIVE, str(self.positive): POSITIVE}
        with file.open("rb") as raw:
            header = decode_text(raw.readline()).strip()
            if header != HEADER:
                raise ValueError(f"{file} should begin with the header {HEADER}, found {header[:80]!r}")
            for number, line in enumerate(raw, start=2):
                row = decode_text(line).strip()
                if not row:
                    continue
                path, _, label = row.rpartition(",")
                path, label = path.strip('"'), label.removesuffix(".0")
                if not is_inside(path) or label not in classes:
                    raise ValueError(
                        f"{file}, line {number}, should be a path and the class {self.positive} (positive) or 0 "
                        f"(negative), found {row[:80]!r}"
                    )
                yield path, classes[label]
