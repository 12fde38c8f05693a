"""Nearest neighbours among the features of millions of images, with faiss, in blocks: memory does not grow with them.

Few vectors are searched exactly. Many are put into inverted lists (Johnson, Douze and Jegou, Billion-scale similarity
search with GPUs, 2019), in half precision, which moves the squared distance of unit vectors by less than 0.0001, and in
a file where they are large. A GPU is used where faiss was built for one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import faiss
import numpy as np

from datasets.seeds import generator

EXACT = 20_000
"""Vectors up to which every one is compared with every other."""
IN_MEMORY = 1 << 30
"""Bytes of vectors up to which the inverted lists are kept in memory."""
BLOCK = 4096
"""Vectors handled at a time."""
TRAINED_ON = 64
"""Vectors drawn for each inverted list to find its centre."""


class Vectors(Protocol):
    """M feature vectors that are read block by block."""

    def __len__(self) -> int: ...

    @property
    def width(self) -> int:
        """D, the features of a vector."""

    def at(self, positions: np.ndarray) -> np.ndarray:
        """(B, D) float32 of these positions (B,)."""


@dataclass(frozen=True)
class SearchOptions:
    """Search of near-duplicates"""

    num_nn: int = 100
    """Neighbours looked at for each image."""
    n_list: int = 0
    """Inverted lists of the index; 0: four times the square root of the images. T4SA 2.0 had 1000."""
    n_probe: int = 10
    """Inverted lists searched for each image."""

    def __post_init__(self) -> None:
        for name, low in {"num_nn": 1, "n_list": 0, "n_probe": 1}.items():
            if getattr(self, name) < low:
                raise ValueError(f"--{name} {getattr(self, name)} must be {low} or more")


def blocks(vectors: Vectors) -> Iterator[tuple[int, np.ndarray]]:
    """Start and (B, D) float32 of each block."""
    for start in range(0, len(vectors), BLOCK):
        yield start, np.ascontiguousarray(vectors.at(np.arange(start, min(start + BLOCK, len(vectors)))), np.float32)


def build_index(vectors: Vectors, options: SearchOptions, folder: Path) -> Any:
    """A faiss index of all vectors, by squared L2 distance. Large ones have their lists in a file in `folder`."""
    if len(vectors) <= EXACT and not options.n_list:
        index = faiss.IndexFlatL2(vectors.width)
    else:
        index = _inverted_lists(vectors, options, folder)
    for _, block in blocks(vectors):
        index.add(block)
    return index


def _inverted_lists(vectors: Vectors, options: SearchOptions, folder: Path) -> Any:
    lists = min(options.n_list or round(4 * len(vectors) ** 0.5), len(vectors))
    centres, half = faiss.IndexFlatL2(vectors.width), faiss.ScalarQuantizer.QT_fp16
    index: Any = faiss.IndexIVFScalarQuantizer(centres, vectors.width, lists, half, faiss.METRIC_L2, False)
    index.nprobe = options.n_probe
    on_gpu = getattr(faiss, "get_num_gpus", int)() > 0
    if on_gpu:
        resources = faiss.StandardGpuResources()
        index = faiss.index_cpu_to_gpu(resources, 0, index)
        _keep(index, resources)
    index.train(_sample(vectors, TRAINED_ON * lists))
    if not on_gpu and len(vectors) * index.code_size > IN_MEMORY:
        in_file = faiss.OnDiskInvertedLists(index.nlist, index.code_size, str(folder / "inverted_lists"))
        index.replace_invlists(in_file)
        _keep(index, in_file)
    return index


def _keep(index: Any, part: Any) -> None:
    """Have a part that C++ only points to live as long as the index, in the way of faiss's own wrappers."""
    index.referenced_objects = [*getattr(index, "referenced_objects", []), part]


def _sample(vectors: Vectors, count: int) -> np.ndarray:
    """(about `count`, D) vectors drawn from all blocks alike, or all of them where there are fewer."""
    each = max(1, round(min(1.0, count / len(vectors)) * BLOCK))  # of a block
    sample = np.empty((-(-len(vectors) // BLOCK) * each, vectors.width), np.float32)
    end = 0
    for start, block in blocks(vectors):
        some = np.sort(generator(0, "training of the index", start).permutation(len(block))[:each])
        sample[end : end + len(some)] = block[some]
        end += len(some)
    return sample[:end]


def neighbours(index: Any, vectors: Vectors, count: int) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """For each block its start, squared distances (B, K) and positions (B, K) of the nearest, nearest first.

    K is `count` or all there are. Where too few are found, the position is -1 and the distance beyond all others.
    """
    for start, block in blocks(vectors):
        distances, positions = index.search(block, min(count, index.ntotal))
        yield start, np.maximum(distances, 0), positions
