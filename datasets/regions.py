"""Regions of images that a detector has found beforehand: two files a post, read when a batch asks for them.

The layout is that of Sanchez Villegas et al. (Findings of EACL 2024): `features/feat_{id}` holds R vectors and
`boxes/nbox_{id}` the R boxes as left, top, right and bottom, each a share of the image's width or height. A file is a
tensor of PyTorch, with or without .pt at the end of its name, or an array of NumPy, with .npy.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from datasets.store import PostStore

STEMS = {"features": "feat_", "boxes": "nbox_"}
"""Sub-folders, and how the names of the files in them begin; the post's id follows."""
ENDINGS = ("", ".pt", ".npy")
SHOWN = 3
"""Missing files that an error names."""


class RegionFeatures:
    """The regions of a store's images as rows for a batch. Pickles as its store and folder.

    Args:
        folder: that of --region_features. Raises ValueError where a post with an image has no regions there.
        store: whose posts' ids name the files; posts without an image have none.
        most: regions of an image at most, R.
        width: features of a region and numbers of its box together.
    """

    def __init__(self, folder: Path | str, store: PostStore, most: int, width: int) -> None:
        self.folder, self.store, self.most, self.width = Path(folder), store, most, width
        self._check()

    def _check(self) -> None:
        rows = np.flatnonzero(self.store.has_image)
        missing = [
            f"{name}/{STEMS[name]}{post}"
            for post in self.store.ids(rows)
            for name in STEMS
            if self._file(name, post) is None
        ]
        if missing:
            shown = ", ".join(missing[:SHOWN]) + (", …" if len(missing) > SHOWN else "")
            raise ValueError(
                f"--region_features {self.folder}: {len(missing):,} files of the {len(rows):,} posts with an image are "
                f"not there ({shown}); each has its regions' vectors in features/feat_ID and their boxes in "
                "boxes/nbox_ID, saved by torch.save, or by numpy.save with .npy at the end of the name"
            )

    def _file(self, name: str, post: str) -> Path | None:
        stem = self.folder / name / f"{STEMS[name]}{post}"
        return next((path for path in (Path(f"{stem}{end}") for end in ENDINGS) if path.is_file()), None)

    def rows(self, rows: Sequence[int] | np.ndarray) -> Tensor:
        """(B, R · (width + 1)) float32: for each region its features, its box, and a 1; zeros where there is no more.

        Raises ValueError for a file that holds something else.
        """
        found = np.zeros((len(rows), self.most, self.width + 1), dtype=np.float32)
        for place, (row, post) in enumerate(zip(rows, self.store.ids(rows), strict=True)):
            if self.store.has_image[row]:
                vectors, boxes = (self._read(name, post) for name in STEMS)
                if len(vectors) != len(boxes) or not 0 < len(boxes) <= self.most:
                    raise ValueError(
                        f"--region_features {self.folder}: post {post} has {len(vectors)} vectors and {len(boxes)} "
                        f"boxes of regions; there must be one of each for a region, and {self.most} regions at most"
                    )
                if vectors.shape[1] + boxes.shape[1] != self.width or boxes.shape[1] != 4:
                    raise ValueError(
                        f"--region_features {self.folder}: the regions of post {post} have vectors of "
                        f"{vectors.shape[1]} and boxes of {boxes.shape[1]} numbers; the net reads {self.width - 4} "
                        "and 4"
                    )
                found[place, : len(boxes)] = np.concatenate([vectors, boxes, np.ones((len(boxes), 1))], axis=1)
        return torch.from_numpy(found.reshape(len(rows), -1))

    def _read(self, name: str, post: str) -> np.ndarray:
        """(R, …) numbers; a batch dimension of one, which detectors leave, is taken off."""
        path = self._file(name, post)
        try:
            if path is None:
                raise OSError("it is gone")
            values = np.load(path) if path.suffix == ".npy" else _tensor(path)
        except (OSError, ValueError, RuntimeError, EOFError, UnpicklingError) as error:
            where = path or f"{self.folder / name / STEMS[name]}{post}"
            reason = (str(error) or "it is empty").splitlines()[0]
            raise ValueError(
                f"{where} is no readable tensor or array ({reason}): have the detector write it again"
            ) from error
        values = values[0] if values.ndim == 3 and len(values) == 1 else values
        if values.ndim != 2 or not np.isfinite(values).all():
            raise ValueError(
                f"{path} has the shape {values.shape}, or a value that is no number; a row a region is wanted"
            )
        return values


def _tensor(path: Path) -> np.ndarray:
    """The tensor in a file; nothing else is ever made of what it holds."""
    values = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(values, Tensor):
        raise ValueError(f"it holds a {type(values).__name__}")
    return values.detach().to(torch.float32).numpy()
