"""What images are compared by: their look at 8 x 8 pixels, or the features of an encoder."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from datasets.store import PostStore
from datasets.thumbnails import Thumbnails

FLAT = 4.0
"""Standard deviation, of 256 levels, below which a picture has too little structure to be compared by its look."""


class Looks:
    """Images by their look: 8 x 8 x 3 levels, less their mean, of length 1: a change of light does not matter.

    `rows` (M,) are those of the store whose image has structure. Distances are squared L2, 0 to 4, that is twice one
    minus the correlation. THRESHOLD lies where neither the synthetic world's near-duplicates (0.012 at most, other
    pictures from 0.080) nor MVSA-Single's have anything: 178 pairs below 0.01, none from 0.01 to 0.05, and above 0.05
    pairs of unlike pictures.
    """

    threshold = 0.03
    width = 192

    def __init__(self, store: PostStore, num_workers: int = 0) -> None:
        self._small = Thumbnails(store, num_workers)
        rows = np.flatnonzero(store.has_image)
        has_structure = [self._deviation(rows[start : start + 4096]) >= FLAT for start in range(0, len(rows), 4096)]
        self.rows = rows[np.concatenate([np.zeros(0, bool), *has_structure])]

    def _levels(self, rows: np.ndarray) -> np.ndarray:
        """(B, 192) float32, the mean taken off."""
        small = self._small[rows].reshape(len(rows), 8, 2, 8, 2, 3).mean((2, 4), dtype=np.float32)
        levels = small.reshape(len(rows), self.width)
        return levels - levels.mean(1, keepdims=True)

    def _deviation(self, rows: np.ndarray) -> np.ndarray:
        return self._levels(rows).std(1)

    def __len__(self) -> int:
        return len(self.rows)

    def at(self, positions: np.ndarray) -> np.ndarray:
        """(B, 192) float32 of these positions (B,) in `rows`."""
        levels = self._levels(self.rows[positions])
        return levels / np.linalg.norm(levels, axis=1, keepdims=True)


class EncoderFeatures:
    """Images by the features of a frozen encoder, of length 1, as training with --freeze image left them in its cache.

    Raises ValueError where the folder has the features of other posts, or of texts.
    """

    threshold = 0.1
    """Squared L2 distance, here a cosine of 0.95. No published value: encoders differ, look at the list it gives."""

    def __init__(self, store: PostStore, folder: Path | str) -> None:
        from datasets.features import FeatureCache  # imports torch, which what compares looks does without

        cache = FeatureCache(folder)
        if cache.about.get("posts") != store.fingerprint_of("image") or cache.about.get("modality") != "image":
            raise ValueError(
                f"{folder} holds no features of the images of {store.path}: train on it with --freeze image"
            )
        self._clean = cache.clean
        self.rows = np.flatnonzero(store.has_image)
        self.encoder = cache.about.get("weights")
        """Fingerprint of the encoder: only features of the same one can be compared."""

    @property
    def width(self) -> int:
        """D."""
        return self._clean.shape[1]

    def __len__(self) -> int:
        return len(self.rows)

    def at(self, positions: np.ndarray) -> np.ndarray:
        """(B, D) float32 of these positions (B,) in `rows`."""
        found = self._clean[self.rows[positions]].astype(np.float32)
        return found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12)
