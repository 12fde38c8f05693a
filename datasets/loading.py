"""From rows of the store to batches on the device: gathered and decoded ahead, copied one batch ahead."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from datasets.augment import ViewMaker, kind_of
from datasets.batch import UNLABELLED, Batch
from datasets.features import FeatureCache
from datasets.image_files import ImageFiles
from datasets.images import decode
from datasets.order import Order
from datasets.seeds import generator
from datasets.tokens import TokenCache

if TYPE_CHECKING:
    from datasets.regions import RegionFeatures
    from datasets.store import PostStore

CENTRE = 0.5
PREFETCH = 2
"""Batches that each worker process holds ready."""


def draw_numbers(seed: int, stream: str, step: int, total: int, views: int) -> np.ndarray:
    """(1 + 2·views, total) uniform numbers for the loader's part of a global batch's views.

    Row 0 says where along the long side an image is cut; then for each view which cached image and text features.
    """
    return generator(seed, f"{stream} reading", step).random((1 + 2 * views, total))


class PostSource:
    """Reads raw batches: bytes decoded, tokens padded, cached features picked; nothing is random in here.

    What is not asked for is not read: without `image_size` and `image_features` there are no images, and `has_image`
    is false for every post; the same for texts without `tokens` and `text_features`. Features take precedence.
    """

    def __init__(
        self,
        store: PostStore,
        labels: np.ndarray,
        *,
        tokens: TokenCache | None = None,
        image_size: int = 0,
        image_features: FeatureCache | None = None,
        text_features: FeatureCache | None = None,
        paraphrases: TokenCache | None = None,
        fixed_length: bool = False,
        regions: RegionFeatures | None = None,
        hidden: tuple[np.ndarray, np.ndarray] | None = None,
    ) -> None:
        """`labels` (N,) class ids, UNLABELLED for every post whose label must not be seen.

        `hidden` (N,) bool each: posts whose image, and posts whose text, is read as if it were not there.

        `regions` stand for the images, whose pixels are then not read.

        `fixed_length` pads every text to the full length, so that compiled nets see one shape.
        """
        assert len(labels) == len(store)
        self.store = store
        self.labels = np.asarray(labels, dtype=np.int64)
        self.image_size = image_size
        self.image_features = image_features
        self.text_features = text_features
        self.tokens = tokens if text_features is None else None
        self.paraphrases = paraphrases if text_features is None else None
        self.fixed_length = fixed_length
        self.regions = regions
        self.hidden = hidden
        self._columns = self._read_columns()

    def _read_columns(self) -> tuple[np.ndarray, np.ndarray, np.ndarray | None, np.ndarray]:
        """Presence of image and text, the teacher's probabilities and the groups; made once, so worker processes share
        them."""
        has_image, has_text = self.store.has_image, self.store.has_text
        if self.hidden is not None:
            has_image, has_text = has_image & ~self.hidden[0], has_text & ~self.hidden[1]
        return has_image, has_text, self.store.teacher, np.asarray(self.store.group)  # mapped, but quicker to index

    @property
    def decodes(self) -> bool:
        """Whether images are decoded, or their regions read: then worker processes are worth it."""
        return (self.image_size > 0 or self.regions is not None) and self.image_features is None

    def __getstate__(self) -> dict[str, object]:
        return {name: value for name, value in self.__dict__.items() if name != "_columns"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._columns = self._read_columns()

    def batch(
        self,
        rows: np.ndarray,
        views: Sequence[str] = ("clean",),
        draws: np.ndarray | None = None,
        labelled: bool = True,
    ) -> dict[str, Batch]:
        """The raw views of the posts in `rows`, by name. They share their tensors, all but picked features.

        `draws` (1 + 2·views, B) from `draw_numbers`; without them images are cut at the centre and the first cached
        view is read. `labelled` false hides the labels that the source knows.
        """
        if draws is None:
            draws = np.zeros((1 + 2 * len(views), len(rows)))
            draws[0] = CENTRE
        posts = self._read(rows, draws[0], labelled)
        picks = draws[1:].reshape(len(views), 2, len(rows))
        return {view: self._view(posts, rows, view, pick) for view, pick in zip(views, picks, strict=True)}

    def _read(self, rows: np.ndarray, positions: np.ndarray, labelled: bool) -> dict[str, Any]:
        """Everything that the views share, as fields of `Batch`."""
        has_image, has_text, teacher, group = self._columns
        some_image = self.image_features is not None or self.decodes
        some_text = self.text_features is not None or self.tokens is not None
        label = self.labels[rows] if labelled else np.full(len(rows), UNLABELLED)
        nowhere = np.zeros(len(rows), dtype=bool)
        arrays = {
            "index": rows,
            "label": label,
            "group": group[rows],
            "has_image": has_image[rows] if some_image else nowhere,
            "has_text": has_text[rows] if some_text else nowhere,
        }
        posts: dict[str, Any] = {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}
        if teacher is not None:
            posts["teacher"] = torch.from_numpy(np.array(teacher[rows], dtype=np.float32))
        if self.decodes:
            posts["image"] = self._images(rows, positions) if self.regions is None else self.regions.rows(rows)
        if self.tokens is not None:
            posts["text"], posts["text_mask"] = self.tokens.rows(rows, self.fixed_length)
        if self.paraphrases is not None:
            posts["paraphrase"], posts["paraphrase_mask"] = self.paraphrases.rows(rows, self.fixed_length)
        return posts

    def _view(self, posts: dict[str, Any], rows: np.ndarray, view: str, picks: np.ndarray) -> Batch:
        changed = {}
        for name, cache, numbers in (("image", self.image_features, picks[0]), ("text", self.text_features, picks[1])):
            if cache is not None:
                changed[name] = cache.rows(rows, kind_of(view), (numbers * cache.views).astype(np.int64))
        return Batch(**{**posts, **changed})

    def _images(self, rows: np.ndarray, positions: np.ndarray) -> Tensor:
        """(B, 3, S, S) uint8; zeros for posts without an image."""
        size = self.image_size
        images = np.zeros((len(rows), 3, size, size), dtype=np.uint8)
        for place, row in enumerate(rows):
            data = self.store.image(int(row))
            if data is None:
                continue
            try:
                images[place] = decode(data, size, float(positions[place])).transpose(2, 0, 1)
            except (OSError, SyntaxError) as error:
                raise ValueError(
                    f"{self.store.path}: the image of row {row} cannot be decoded any more ({error}): "
                    "the store is damaged, ingest the posts again"
                ) from error
        return torch.from_numpy(images)


@dataclass(frozen=True)
class RawStep:
    """What the loader brings for one step: raw views of the labelled and of the unlabelled posts."""

    number: int
    labelled: dict[str, Batch]
    unlabelled: dict[str, Batch]

    def map(self, function: Any) -> RawStep:
        """Apply `function` to every tensor, once to those that several views share."""
        done: dict[int, Tensor] = {}

        def once(value: Tensor) -> Tensor:
            if id(value) not in done:
                done[id(value)] = function(value)
            return done[id(value)]

        labelled, unlabelled = (
            {name: batch.map(once) for name, batch in views.items()} for views in (self.labelled, self.unlabelled)
        )
        return RawStep(self.number, labelled, unlabelled)

    def pin_memory(self) -> RawStep:
        """Page-locked copy; the data loader calls it by this name."""
        return self.map(Tensor.pin_memory)

    def tensors(self) -> list[Tensor]:
        """Every tensor."""
        found: list[Tensor] = []
        self.map(found.append)
        return found


class _Steps(Dataset):
    """Raw steps by number, for torch's DataLoader."""

    def __init__(
        self,
        source: PostSource,
        labelled: Order | None,
        unlabelled: Order | None,
        views: tuple[Sequence[str], Sequence[str]],
        seed: int,
    ) -> None:
        self.source, self.seed = source, seed
        self.streams = ((labelled, views[0], True), (unlabelled, views[1], False))

    def __getitem__(self, step: int) -> RawStep:
        found: list[dict[str, Batch]] = []
        for order, views, labelled in self.streams:
            if order is None or not views:
                found.append({})
                continue
            draws = draw_numbers(self.seed, order.stream, step, order.batch_size, len(views))[:, order.part]
            found.append(self.source.batch(order.rows(step), views, draws, labelled))
        return RawStep(step, *found)


class _Batches(Dataset):
    """Raw clean batches of given rows, for torch's DataLoader."""

    def __init__(self, source: PostSource | ImageFiles, batches: Sequence[np.ndarray]) -> None:
        self.source, self.batches = source, batches

    def __getitem__(self, number: int) -> RawStep:
        return RawStep(number, {"clean": self.source.batch(self.batches[number])["clean"]}, {})


class _Sentences(Dataset):
    """Another dataset, its ValueErrors handed over as values: torch would re-raise them with the worker's traceback."""

    def __init__(self, data: Dataset) -> None:
        self.data = data

    def __getitem__(self, number: int) -> RawStep | ValueError:
        try:
            return self.data[number]
        except ValueError as error:
            return ValueError(*error.args)


def _start_worker(_: int) -> None:
    """Leave Ctrl-C and SIGTERM to the main process, which ends a run at a step's end and needs its data until then."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


@contextmanager
def _quiet_fork() -> Iterator[None]:
    """Have the tokenizers library not warn about the fork: workers only read ids that are there already."""
    name = "TOKENIZERS_PARALLELISM"
    before = os.environ.get(name)
    os.environ[name] = "false"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def _read(data: Dataset, numbers: range, num_workers: int, device: torch.device) -> Iterator[RawStep]:
    """data[number] for all `numbers`, by worker processes where asked for; pinned where the device is CUDA."""
    pinned = device.type == "cuda"
    if num_workers == 0:
        for number in numbers:
            raw = data[number]
            yield raw.pin_memory() if pinned else raw
        return
    loader = DataLoader(
        _Sentences(data),
        batch_size=None,
        sampler=numbers,
        num_workers=num_workers,
        prefetch_factor=PREFETCH,
        pin_memory=pinned,
        worker_init_fn=_start_worker,
        generator=torch.Generator(),  # else starting it would draw from the global one
    )
    with _quiet_fork():
        steps = iter(loader)
    for raw in steps:
        if isinstance(raw, ValueError):
            raise raw
        yield raw


def _copied(steps: Iterable[RawStep], device: torch.device) -> Iterator[RawStep]:
    """The same on `device`. On CUDA a step is copied on a side stream while the one before is being computed."""
    if device.type != "cuda":
        yield from steps
        return
    side = torch.cuda.Stream(device)
    ready: RawStep | None = None
    for raw in steps:
        with torch.cuda.stream(side):
            coming = raw.map(lambda value: value.to(device, non_blocking=True))
        if ready is not None:
            yield ready
        # The memory belongs to the side stream: it must not be given away before the main stream has read it.
        main = torch.cuda.current_stream(device)
        main.wait_stream(side)
        for value in coming.tensors():
            value.record_stream(main)
        ready = coming
    if ready is not None:
        yield ready


class TrainingLoader:
    """Iterates (step, labelled views, unlabelled views), on the device, for the steps `start` to `stop` - 1.

    What a step brings is a function of the step alone: not of where the loader starts, of the number of worker
    processes or of the number of training processes. A source that decodes no images is read without worker processes.
    """

    def __init__(
        self,
        source: PostSource,
        labelled: Order,
        unlabelled: Order | None,
        labelled_views: Sequence[str],
        unlabelled_views: Sequence[str],
        view_maker: ViewMaker,
        start: int,
        stop: int,
        seed: int,
        num_workers: int = 0,
        device: torch.device | str = "cpu",
    ) -> None:
        if num_workers < 0:
            raise ValueError(f"--num_workers {num_workers}: give 0 or more")
        self.data = _Steps(source, labelled, unlabelled, (labelled_views, unlabelled_views), seed)
        self.orders = (labelled, unlabelled)
        self.view_maker = view_maker
        self.steps = range(start, stop)
        self.seed = seed
        self.num_workers = num_workers if source.decodes else 0
        self.device = torch.device(device)

    def __len__(self) -> int:
        return len(self.steps)

    def __iter__(self) -> Iterator[tuple[int, dict[str, Batch], dict[str, Batch]]]:
        for raw in _copied(_read(self.data, self.steps, self.num_workers, self.device), self.device):
            labelled, unlabelled = (
                self.view_maker(views, self.seed, raw.number, order.stream, order.part, order.batch_size, training=True)
                if order is not None and views
                else {}
                for order, views in zip(self.orders, (raw.labelled, raw.unlabelled), strict=True)
            )
            yield raw.number, labelled, unlabelled


def evaluation_batches(
    source: PostSource | ImageFiles,
    rows: np.ndarray,
    batch_size: int,
    view_maker: ViewMaker,
    device: torch.device | str = "cpu",
    num_workers: int = 0,
) -> Iterator[Batch]:
    """The clean view of the posts in `rows`, each once; `Batch.index` tells which post is where.

    Posts are sorted by the length of their text, so that little padding is computed; images are cut at the centre.
    Image files keep the order of `rows`.
    """
    if batch_size < 1:
        raise ValueError(f"--eval_batch_size {batch_size}: give 1 or more")
    rows = np.asarray(rows, dtype=np.int64)
    if source.tokens is not None:
        rows = rows[np.argsort(source.tokens.count(rows), kind="stable")]
    batches = [rows[start : start + batch_size] for start in range(0, len(rows), batch_size)]
    device = torch.device(device)
    workers = min(num_workers, len(batches)) if source.decodes else 0
    for raw in _copied(_read(_Batches(source, batches), range(len(batches)), workers, device), device):
        yield view_maker(raw.labelled, 0, 0, "evaluation")["clean"]
