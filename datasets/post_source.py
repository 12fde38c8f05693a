"""Raw batches of posts: rows of the store gathered, images decoded, tokens padded, cached features picked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from datasets.augment import kind_of
from datasets.batch import UNLABELLED, Batch
from datasets.features import FeatureCache
from datasets.images import decode
from datasets.seeds import generator
from datasets.tokens import TokenCache

if TYPE_CHECKING:
    from datasets.regions import RegionFeatures
    from datasets.store import PostStore

CENTRE = 0.5


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
