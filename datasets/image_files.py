"""Image files as batches, without a post store between: for benchmarks, whose tables name files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from datasets.batch import Batch
from datasets.images import ImageRefused, decode, open_rgb, read_image, shrink


class ImageFiles:
    """A source for `evaluation_batches`: raw batches of image files, which keep the order they are asked for in.

    Args:
        files: the images.
        labels: (N,) class ids.
        size: pixels of the square.
        squeezed: the whole image is made a square, as tf.image.resize does it: each pixel is interpolated between four,
            nothing is averaged. Otherwise the image is read as posts are: made small, the square in its centre taken.
    """

    tokens = None
    decodes = True

    def __init__(self, files: Sequence[Path], labels: np.ndarray, size: int, squeezed: bool) -> None:
        assert len(files) == len(labels)
        self.files = files
        self.labels = np.asarray(labels, dtype=np.int64)
        self.size = size
        self.squeezed = squeezed

    def batch(self, rows: np.ndarray) -> dict[str, Batch]:
        """The raw view of the images in `rows`, called clean: (B, 3, S, S), 0 to 255. Posts have no text.

        Raises ValueError for a file that is no image.
        """
        count = len(rows)
        no_text = torch.zeros(count, 1, dtype=torch.int64)
        image = torch.stack([self._image(self.files[row]) for row in rows])
        batch = Batch(
            index=torch.from_numpy(np.array(rows, dtype=np.int64)),
            label=torch.from_numpy(self.labels[rows]),
            has_image=torch.ones(count, dtype=torch.bool),
            has_text=torch.zeros(count, dtype=torch.bool),
            image=image,
            text=no_text,
            text_mask=no_text.bool(),
        )
        return {"clean": batch}

    def _image(self, file: Path) -> Tensor:
        try:
            data = read_image(file)
            if not self.squeezed:
                return torch.from_numpy(np.array(decode(shrink(data), self.size).transpose(2, 0, 1)))
            pixels = torch.from_numpy(np.array(open_rgb(data).transpose(2, 0, 1), dtype=np.float32))
        except OSError as error:
            raise ValueError(f"{file} cannot be read: {error.strerror or error}") from error
        except ImageRefused as error:
            raise ValueError(f"{file} is not an image that can be read ({error.reason})") from error
        square = (self.size, self.size)
        return interpolate(pixels.unsqueeze(0), size=square, mode="bilinear", align_corners=False)[0]
