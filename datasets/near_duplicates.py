"""Near-duplicates over a whole store, and against benchmarks, by nearest neighbours among image vectors.

`image_group` (a column of the store): the first row of the post's picture. `group`, which splits go by, joins it with
equal texts and the reader's groups. `of_benchmark`: the post's picture is in a benchmark, so no split has it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from datasets.duplicates import Pairs, column_keys, digest, equal_pairs, join, known_pairs, text_keys
from datasets.image_vectors import EncoderFeatures, Looks
from datasets.neighbours import SearchOptions, Vectors, blocks, build_index, neighbours
from datasets.store import PostStore, set_columns

ORIGINAL_THRESHOLD = 0.15
MOST_PAIRS = 1 << 20
"""Pairs that are kept before they are joined to groups, so that one picture shared a million times needs no memory."""


class _Chosen:
    """Some of other vectors."""

    def __init__(self, vectors: Vectors, positions: np.ndarray) -> None:
        self._vectors, self._positions, self.width = vectors, positions, vectors.width

    def __len__(self) -> int:
        return len(self._positions)

    def at(self, positions: np.ndarray) -> np.ndarray:
        """(B, D) float32."""
        return self._vectors.at(self._positions[positions])


class _Joined:
    """Vectors of one width, one lot after the other."""

    def __init__(self, lots: Sequence[Vectors]) -> None:
        self._lots, self.width = lots, lots[0].width
        self._stops = np.cumsum([len(lot) for lot in lots])

    def __len__(self) -> int:
        return int(self._stops[-1])

    def at(self, positions: np.ndarray) -> np.ndarray:
        """(B, D) float32."""
        found = np.zeros((len(positions), self.width), np.float32)
        of_lot = np.searchsorted(self._stops, positions, side="right")
        for number in np.unique(of_lot):
            here = of_lot == number
            lot = self._lots[number]
            found[here] = lot.at(positions[here] - (self._stops[number] - len(lot)))
        return found


def equal_vectors(vectors: Vectors) -> np.ndarray:
    """(M,) int64: position of the first vector that is equal to the last bit."""
    keys = np.zeros(len(vectors), np.uint64)
    for start, block in blocks(vectors):
        for offset, row in enumerate(block):
            keys[start + offset] = int.from_bytes(hashlib.blake2b(row.tobytes(), digest_size=8).digest(), "little")
    return equal_pairs(keys, np.arange(len(keys)))[1]


def near_groups(vectors: Vectors, threshold: float, options: SearchOptions) -> np.ndarray:
    """(M,) int64: the first position that each is linked to, directly or through others.

    Two are linked where their squared distance is below `threshold` and one is among the `num_nn` nearest of the other.
    Equal ones are linked beforehand and searched once, however many they are.
    """
    first = equal_vectors(vectors)
    single = np.flatnonzero(first == np.arange(len(first)))
    if not len(single):
        return first
    chosen = _Chosen(vectors, single)
    groups = np.arange(len(single))
    found: list[Pairs] = []
    count = 0
    with TemporaryDirectory() as folder:
        index = build_index(chosen, options, Path(folder))
        for start, distances, positions in neighbours(index, chosen, options.num_nn):
            rows = np.arange(start, start + len(distances))[:, None]
            is_link = (distances < threshold) & (positions >= 0) & (positions != rows)
            left = np.broadcast_to(rows, positions.shape)[is_link]
            found.append((left, positions[is_link]))
            count += len(left)
            if count > MOST_PAIRS:
                groups = join([*found, (np.arange(len(groups)), groups)], len(groups))
                found, count = [], 0
    groups = join([*found, (np.arange(len(groups)), groups)], len(groups))
    position_among_single = np.searchsorted(single, first)
    return single[groups[position_among_single]]


def original_groups(
    blocks_of_neighbours: Iterable[tuple[int, np.ndarray, np.ndarray]], count: int, threshold: float
) -> np.ndarray:
    """(M,) int64: the representative of each of `count` images by the rule of T4SA 2.0, itself where it has none.

    In file order: the squared distances of an image's neighbours are scaled to a vector of length 1; those below
    `threshold` that were not taken before are near-duplicates of the first one, if there is more than one.
    Source: T4SA 2.0, duplicate_detection.py (Serra, 2022). Its scaling makes the threshold depend on the number of
    neighbours: K equal distances become 1 / sqrt(K), which is below 0.15 from K = 45 on.
    """
    representative = np.arange(count)
    taken = np.zeros(count, bool)
    for _, distances, positions in blocks_of_neighbours:
        known = np.where(positions >= 0, distances, 0).astype(np.float64)
        length = np.linalg.norm(known, axis=1, keepdims=True)
        near = (known / np.where(length > 0, length, 1) < threshold) & (positions >= 0)
        for row in np.flatnonzero(near.any(1)):
            if taken[positions[row, 0]]:
                continue
            members = positions[row, near[row]]
            members = members[~taken[members]]
            if len(members) > 1:
                representative[members] = members[0]
                taken[members] = True
    return representative


def image_groups(
    store: PostStore,
    vectors: Looks | EncoderFeatures,
    options: SearchOptions,
    threshold: float | None = None,
    original_rule: bool = False,
) -> np.ndarray:
    """(N,) int64: the first row of each post's picture, its own row where nothing else shows it.

    `threshold` None: that of the vectors, or of the original rule. Images without structure are compared as bytes.
    """
    if original_rule:
        with TemporaryDirectory() as folder:
            index = build_index(vectors, options, Path(folder))
            found = neighbours(index, vectors, options.num_nn)
            groups = original_groups(found, len(vectors), ORIGINAL_THRESHOLD if threshold is None else threshold)
    else:
        groups = near_groups(vectors, vectors.threshold if threshold is None else threshold, options)
    links = [(vectors.rows, vectors.rows[groups]), equal_pairs(*_flat_images(store, vectors.rows))]
    return join([*links, (np.arange(len(store)), np.arange(len(store)))], len(store))


def _flat_images(store: PostStore, compared: np.ndarray) -> Pairs:
    """Digests and rows of the images that are not among the vectors."""
    rows = np.setdiff1d(np.flatnonzero(store.has_image), compared, assume_unique=True)
    return np.fromiter((digest(store.image(int(row)) or b"") for row in rows), np.uint64, len(rows)), rows


def rows_of_benchmark(
    store: PostStore,
    vectors: Looks | EncoderFeatures,
    benchmark: PostStore,
    of_benchmark: Looks | EncoderFeatures,
    options: SearchOptions,
    threshold: float | None = None,
) -> np.ndarray:
    """(N,) bool: whether the post's picture is near one of the benchmark's, whose vectors are `of_benchmark`."""
    found = np.zeros(len(store), bool)
    limit = vectors.threshold if threshold is None else threshold
    if len(of_benchmark):
        with TemporaryDirectory() as folder:
            index = build_index(of_benchmark, options, Path(folder))
            for start, distances, _ in neighbours(index, vectors, 1):
                found[vectors.rows[start : start + len(distances)]] = distances[:, 0] < limit
    keys, rows = _flat_images(store, vectors.rows)
    found[rows] = np.isin(keys, _flat_images(benchmark, of_benchmark.rows)[0])
    return found


def write_groups(store: PostStore, image_group: np.ndarray, of_benchmark: np.ndarray) -> PostStore:
    """Write the columns into the store; `group` joins pictures, equal texts and the groups that were known."""
    group = join([(np.arange(len(store)), image_group), *known_pairs(store)], len(store))
    set_columns(store.path, image_group=image_group, of_benchmark=of_benchmark, group=group)
    return PostStore(store.path)


def groups_among(store: PostStore, rows: np.ndarray) -> np.ndarray:
    """(M,) int64: the first position in `rows` (M,) that each is linked to, by picture, text or the reader's group.

    Only through one another: two photos that only a left out post joins may be in different parts. In a whole crawl the
    tweets of several photos join most pictures that are shared often to a single group.
    """
    positions = np.full(len(store), -1)
    positions[rows] = np.arange(len(rows))
    links = [equal_pairs(*_at(text_keys(store), positions))]
    pictures = [store.column("image_group")] if "image_group" in store.columns else []
    links += [equal_pairs(column[rows], np.arange(len(rows))) for column in (store.given_group, *pictures)]
    return join(links, len(rows))


def groups_across(chosen: Sequence[tuple[PostStore, np.ndarray]], options: SearchOptions) -> np.ndarray:
    """(M,) int64: the first position among the chosen rows of several stores that each is linked to.

    Positions count the rows of the first store, then those of the next. Linked are those of one picture by its look,
    one text or one group of the reader by its name (a tweet), whichever store they are in, directly or through others.
    """
    links: list[Pairs] = []
    keys: list[list[Pairs]] = []
    looks: list[Vectors] = []
    seen: list[np.ndarray] = []
    count = 0
    for store, rows in chosen:
        position = np.full(len(store), -1)
        position[rows] = np.arange(count, count + len(rows))
        links.append((position[rows], position[rows]))
        if "image_group" in store.columns:
            links.append(equal_pairs(store.column("image_group")[rows], position[rows]))
        look = Looks(store)
        is_chosen = position[look.rows] >= 0
        looks.append(_Chosen(look, np.flatnonzero(is_chosen)))
        seen.append(position[look.rows[is_chosen]])
        lone = _flat_images(store, look.rows)
        of_kinds = text_keys(store), column_keys(store, "given_group"), lone
        keys.append([_at(pairs, position) for pairs in of_kinds])
        count += len(rows)
    for of_kind in zip(*keys, strict=True):
        key, place = (np.concatenate(side) for side in zip(*of_kind, strict=True))
        links.append(equal_pairs(key, place))
    positions = np.concatenate(seen)
    links.append((positions, positions[near_groups(_Joined(looks), Looks.threshold, options)]))
    return join(links, count)


def _at(pairs: Pairs, position: np.ndarray) -> Pairs:
    """The keys of those rows that have a position, with it instead of the row."""
    keys, rows = pairs
    there = position[rows] >= 0
    return keys[there], position[rows[there]]


def listed(image_group: np.ndarray) -> Iterator[np.ndarray]:
    """The rows of each picture that several posts show, its first row first."""
    order = np.argsort(image_group, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(image_group[order])) + 1):
        if len(rows) > 1:
            yield rows
