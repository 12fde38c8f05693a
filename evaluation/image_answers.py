"""What a net that reads images answers for files of images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from datasets.augment import ViewMaker
from datasets.batch import UNLABELLED, Batch
from datasets.image_files import ImageFiles
from datasets.loading import evaluation_batches
from evaluation.predict import predict
from nets.student import CLASSES, ImageModel


def image_batches(
    model: ImageModel,
    files: Sequence[Path],
    order: np.ndarray,
    batch_size: int,
    device: torch.device,
    num_workers: int = 0,
    labels: np.ndarray | None = None,
) -> Iterator[Batch]:
    """The images at the places in `order`, in batches as `model` reads them; `labels` (N,) are its class ids.

    Raises ValueError for a net that reads no image.
    """
    if model.plan.image is None:
        raise ValueError(f"the net {model.plan.net!r} reads no image, and a benchmark has nothing else")
    labels = np.full(len(files), UNLABELLED) if labels is None else labels
    source = ImageFiles(files, labels, model.plan.image["size"], model.squeezed)
    view_maker = ViewMaker(model.plan.image["mean"], model.plan.image["std"], device=device)
    return evaluation_batches(source, order, batch_size, view_maker, device, num_workers)


def image_answers(
    model: ImageModel, files: Sequence[Path], batch_size: int, device: torch.device, num_workers: int = 0
) -> np.ndarray:
    """(N, 3) float32 probabilities of negative, neutral and positive, in the order of the files.

    That of neutral is 0 where the model has no such class. Raises ValueError where it lacks another one, or an image
    cannot be read.
    """
    columns = [model.classes.index(name) if name in model.classes else -1 for name in CLASSES]
    if columns[0] < 0 or columns[2] < 0:
        raise ValueError(f"the model has the classes {', '.join(model.classes)}, not negative and positive")
    order = np.arange(len(files))
    batches = image_batches(model, files, order, batch_size, device, num_workers)
    answers = predict(model.net.to(device), batches).probabilities
    return np.concatenate([answers, np.zeros_like(answers[:, :1])], axis=1)[:, columns]
