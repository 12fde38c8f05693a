"""Which posts are near-duplicates of which: the same image, nearly the same image, or the same text sent on.

A random split of tweets leaks, because pictures and texts are shared again and again. Posts that are linked, directly
or through others, get one group number, and a group never crosses a split.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from itertools import combinations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from datasets.images import FLAT, difference_hash_of
from datasets.store import PostStore
from datasets.thumbnails import Thumbnails

MAX_BITS = 3
"""Difference hashes of 64 bits that differ in no more bits than this are of nearly the same image."""

MAX_DIFFERENCE = 10.0
"""Levels of 256 by which two pictures with like hashes differ on average, at 16 x 16 pixels, to be the same one."""

PAIRS = 4096
"""Pairs of pictures that are compared at a time."""

MIN_WORDS = 4
"""Shorter texts ("good morning all") are often equal by chance."""

_BLOCKS = np.array_split(np.arange(64), MAX_BITS + 3)
_MASKS = np.array([np.bitwise_or.reduce(np.uint64(1) << block.astype(np.uint64)) for block in _BLOCKS])
"""The hash in six blocks: two hashes that differ in three bits are equal in at least three of them."""

Pairs = tuple[np.ndarray, np.ndarray]
"""Rows (M,) and the rows (M,) that they are duplicates of."""


def group_posts(store: PostStore) -> np.ndarray:
    """(N,) int64: the first row of each post's group; a post without duplicates is a group by itself."""
    return join([*image_pairs(store), *known_pairs(store)], len(store))


def known_pairs(store: PostStore) -> list[Pairs]:
    """Pairs of rows with the same text, with one group of the reader, and of a group in the store they came from."""
    every = np.arange(len(store))
    links = [equal_pairs(*text_keys(store)), (every, store.given_group)]
    if "linked_group" in store.columns:
        links.append(equal_pairs(*column_keys(store, "linked_group")))
    return links


def image_pairs(store: PostStore) -> list[Pairs]:
    """Pairs of rows whose images are byte for byte the same, or nearly the same picture."""
    hashes = image_hashes(store)
    rows = np.flatnonzero(store.has_image)
    flat = rows[hashes[rows] == FLAT]
    structured = rows[hashes[rows] != FLAT]
    left, right = near_pairs(hashes[structured])
    left, right = structured[left], structured[right]
    looks = Thumbnails(store) if len(left) else None
    same = np.zeros(0, bool) if looks is None else same_picture(looks, left, right)
    # Those of one hash are compared with the first of them only: equal ones among the others are found by their look.
    alike = np.unique(np.concatenate([left, right]))
    equal = [] if looks is None else [equal_pairs(_look_keys(looks, alike), alike)]
    digests = np.fromiter((digest(store.image(int(row)) or b"") for row in flat), np.uint64, len(flat))
    return [equal_pairs(digests, flat), *equal, (left[same], right[same])]


def _look_keys(looks: Thumbnails, rows: np.ndarray) -> np.ndarray:
    """(M,) uint64 digest of the thumbnail of each of `rows` (M,)."""
    keys = np.zeros(len(rows), np.uint64)
    for start in range(0, len(rows), PAIRS):
        some = looks[rows[start : start + PAIRS]]
        keys[start : start + len(some)] = [digest(look.tobytes()) for look in some]
    return keys


def join(links: list[Pairs], count: int) -> np.ndarray:
    """(N,) int64: for each of `count` rows the first row that it is linked to, directly or through others."""
    left = np.concatenate([pair[0] for pair in links])
    right = np.concatenate([pair[1] for pair in links])
    graph = coo_array((np.ones(len(left), np.int8), (left, right)), shape=(count, count))
    _, component = connected_components(graph, directed=False)
    _, first = np.unique(component, return_index=True)
    return first[component].astype(np.int64)


def equal_pairs(keys: np.ndarray, rows: np.ndarray) -> Pairs:
    """Each of `rows` (M,) with the first row of the same key (M,)."""
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    return rows, rows[first[inverse]]


def near_pairs(hashes: np.ndarray) -> Pairs:
    """Pairs of positions whose 64-bit hashes (M,) int64 differ in at most MAX_BITS bits.

    Equal hashes are paired with the first of them only, which links them all. Hashes that agree in some three of the
    six blocks are compared with each other, and no others: exact, never M x M. A pair is kept where these three are the
    first in which it agrees, so once.
    """
    values, first, inverse = np.unique(hashes.view(np.uint64), return_index=True, return_inverse=True)
    equal = np.flatnonzero(first[inverse] != np.arange(len(hashes)))
    found = [(equal, first[inverse[equal]])]
    for blocks in combinations(range(len(_MASKS)), len(_MASKS) - MAX_BITS):
        keys = values & np.bitwise_or.reduce(_MASKS[list(blocks)])
        passed_over = [mask for number, mask in enumerate(_MASKS[: blocks[-1]]) if number not in blocks]
        order = np.argsort(keys, kind="stable")
        keys = keys[order]
        here = np.arange(len(keys))
        step = 0
        while len(here):
            step += 1
            here = here[: np.searchsorted(here, len(keys) - step)]
            here = here[keys[here] == keys[here + step]]
            left, right = order[here], order[here + step]
            differ = values[left] ^ values[right]
            near = np.bitwise_count(differ) <= MAX_BITS
            for mask in passed_over:
                near &= (differ & mask) != 0
            found.append((first[left[near]], first[right[near]]))
    left, right = (np.concatenate(side) for side in zip(*found, strict=True))
    return left, right


def same_picture(looks: Thumbnails, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """(M,) bool: whether the images of rows `left` (M,) and `right` (M,) look the same at 16 x 16 pixels.

    Small objects on white and dark scenes have like hashes by chance: of four pairs of MVSA-Single that differ in three
    bits, three are not the same picture.
    """
    near = np.zeros(len(left), bool)
    for start in range(0, len(left), PAIRS):
        part = slice(start, start + PAIRS)
        near[part] = np.abs(looks[left[part]].astype(np.int16) - looks[right[part]]).mean((1, 2, 3)) <= MAX_DIFFERENCE
    return near


def image_hashes(store: PostStore) -> np.ndarray:
    """(N,) int64 difference hash of each image, 0 where there is none; computed where ingest did not."""
    column = pa.chunked_array(store.chunks("image_hash"))
    known = pc.is_valid(column).to_numpy().astype(bool)
    hashes = pc.fill_null(column, 0).to_numpy().copy()
    for row in np.flatnonzero(store.has_image & ~known):
        hashes[row] = difference_hash_of(store.image(int(row)) or b"")
    return hashes


def digest(content: bytes) -> int:
    """64 bits that are the same for equal contents only, as far as chance allows."""
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little")


def normalise_texts(texts: pa.Array) -> pa.Array:
    """Texts as they compare: lower case, without "RT @x:", mentions and links; null under MIN_WORDS words."""
    for pattern, replacement in (
        (r"(?i)^\s*rt\s+@\w+\s*:?", " "),
        (r"(?i)\b(?:https?://|www\.)\S+", " "),
        (r"@\w+", " "),
        (r"\s+", " "),
    ):
        texts = pc.replace_substring_regex(texts, pattern, replacement)
    texts = pc.utf8_lower(pc.utf8_trim_whitespace(texts))
    long_enough = pc.greater_equal(pc.count_substring(texts, " "), MIN_WORDS - 1)
    return pc.if_else(long_enough, texts, pa.scalar(None, texts.type))


def text_keys(store: PostStore) -> Pairs:
    """64-bit digests (M,) of the normalised texts that are long enough, and their rows (M,)."""
    return _keys(map(normalise_texts, store.chunks("text")))


def column_keys(store: PostStore, name: str) -> Pairs:
    """64-bit digests (M,) of what there is in a column, as words that are not blank, and their rows (M,)."""
    words = (chunk.cast(pa.string()) for chunk in store.chunks(name))
    return _keys(pc.if_else(pc.equal(some, ""), pa.scalar(None, pa.string()), some) for some in words)


def _keys(chunks: Iterable[pa.Array]) -> Pairs:
    keys, rows, start = [], [], 0
    for texts in chunks:
        rows.append(start + np.flatnonzero(pc.is_valid(texts).to_numpy(zero_copy_only=False)))
        known = texts.drop_null().to_pylist()
        keys.append(np.fromiter((digest(text.encode()) for text in known), np.uint64, len(known)))
        start += len(texts)
    return np.concatenate(keys), np.concatenate(rows)
