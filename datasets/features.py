"""Features of a frozen encoder: computed once for several views of every post, read back by row ever after."""

from __future__ import annotations

import errno
import json
import math
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from datasets.folders import claim, new_folder

VIEWS = ("clean", "weak", "strong")


def _shapes(posts: int, dim: int, views: int) -> dict[str, tuple[int, ...]]:
    return {"clean": (posts, dim), "weak": (views, posts, dim), "strong": (views, posts, dim)}


@contextmanager
def create_features(
    folder: Path | str,
    posts: int,
    dim: int,
    views: int,
    dtype: str = "float16",
    about: Mapping[str, object] | None = None,
) -> Iterator[dict[str, np.ndarray]]:
    """Writable arrays by view, mapped from files, all zeros: clean (N, D), weak and strong (K, N, D).

    The cache is at `folder` once the block has ended well, and not at all otherwise. `about` (fingerprints, names:
    whatever JSON holds) is kept beside the arrays. Zeros are what a post without the modality has.
    Raises ValueError where the disk has no room for all of it, before anything is computed.
    """
    assert views >= 0 and dtype in ("float16", "float32")
    with new_folder(Path(folder)) as temporary:
        arrays: dict[str, np.ndarray] = {}
        shapes = _shapes(posts, dim, views)
        if sum(map(math.prod, shapes.values())) * np.dtype(dtype).itemsize > shutil.disk_usage(temporary).free:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        for name, shape in shapes.items():
            file = temporary / f"{name}.npy"
            arrays[name] = np.lib.format.open_memmap(file, mode="w+", dtype=dtype, shape=shape)
            claim(file)
        yield arrays
        (temporary / "about.json").write_text(json.dumps({} if about is None else dict(about), indent=1))


class FeatureCache:
    """Features that `create_features` wrote. Pickles as its path, so worker processes share the mapped files."""

    def __init__(self, folder: Path | str) -> None:
        """Raises ValueError where `folder` holds no complete features."""
        self.path = Path(folder)
        self._open()

    @staticmethod
    def there(folder: Path | str) -> bool:
        """Whether `folder` holds complete features."""
        return (Path(folder) / "about.json").is_file()

    def _open(self) -> None:
        try:
            self.about: dict[str, object] = json.loads((self.path / "about.json").read_text())
            # Plain arrays over the mapped files: indexing numpy.memmap itself costs several times as much.
            arrays = {name: np.asarray(np.load(self.path / f"{name}.npy", mmap_mode="r")) for name in VIEWS}
        except (OSError, ValueError) as error:
            raise ValueError(f"{self.path} holds no complete features ({error}); delete it") from error
        self.clean, self.weak, self.strong = (arrays[name] for name in VIEWS)

    def __getstate__(self) -> dict[str, object]:
        return {"path": self.path}

    def __setstate__(self, state: dict[str, Path]) -> None:
        self.path = state["path"]
        self._open()

    def __len__(self) -> int:
        """Posts."""
        return len(self.clean)

    @property
    def dim(self) -> int:
        """Features of a post."""
        return self.clean.shape[1]

    @property
    def views(self) -> int:
        """How many weak, and how many strong, views there are of a post."""
        return len(self.weak)

    def rows(self, rows: np.ndarray, view: str, pick: np.ndarray | None = None) -> Tensor:
        """Features (B, D) float32 of the posts in `rows`.

        `view` is "clean", "weak" or "strong"; `pick` (B,) int says which of the K weak or strong views each post shows.
        """
        assert view in VIEWS and (view == "clean" or pick is not None)
        found = self.clean[rows] if view == "clean" else getattr(self, view)[pick, rows]
        return torch.from_numpy(found).to(torch.float32)
