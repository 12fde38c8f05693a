"""Which posts are near-duplicates of which: the same image, nearly the same image, or the same text sent on.

A random split of tweets leaks, because pictures and texts are shared again and again. Posts that are linked, directly
or through others, get one group number, and a group never crosses a split.
"""

from __future__ import annotations

import hashlib
from itertools import combinations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from datasets.images import FLAT, difference_hash_of, thumbnail
from datasets.store import PostStore

MAX_BITS = 3
"""Difference hashes of 64 bits that differ in no more bits than this are of nearly the same image."""

MAX_DIFFERENCE = 10.0
"""Levels of 256 by which two pictures with like hashes differ on average, at 16 x 16 pixels, to be the same one."""

MIN_WORDS = 4
"""Shorter texts ("good morning all") are often equal by chance."""

_BLOCKS = np.array_split(np.arange(64), MAX_BITS + 3)
"""The hash in six blocks: two hashes that differ in three bits are equal in at least three of them."""

Pairs = tuple[np.ndarray, np.ndarray]
"""Rows (M,) and the rows (M,) that they are duplicates of."""


def group_posts(store: PostStore) -> np.ndarray:
    """(N,) int64: the first row of each post's group; a post without duplicates is a group by itself."""
    links = [*image_pairs(store), equal_pairs(*text_keys(store)), (np.arange(len(store)), store.given_group)]
    return join(links, len(store))


def image_pairs(store: PostStore) -> list[Pairs]:
    """Pairs of rows whose images are byte for byte the same, or nearly the same picture."""
    hashes = image_hashes(store)
    rows = np.flatnonzero(store.has_image)
    flat = rows[hashes[rows] == FLAT]
    structured = rows[hashes[rows] != FLAT]
    left, right = near_pairs(hashes[structured])
    left, right = structured[left], structured[right]
    # Equal files have equal hashes: nothing but the candidates and the images without structure is compared as bytes.
    compared = np.unique(np.concatenate([flat, left, right]))
    digests = np.fromiter((digest(store.image(int(row)) or b"") for row in compared), np.uint64, len(compared))
    differ = digests[np.searchsorted(compared, left)] != digests[np.searchsorted(compared, right)]
    left, right = left[differ], right[differ]
    same = same_picture(store, left, right)
    return [equal_pairs(digests, compared), (left[same], right[same])]


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
    six blocks are compared with each other, and no others: exact, never M x M.
    """
    values, first, inverse = np.unique(hashes.view(np.uint64), return_index=True, return_inverse=True)
    found = [(np.arange(len(hashes)), first[inverse])]
    for blocks in combinations(_BLOCKS, len(_BLOCKS) - MAX_BITS):
        mask = np.bitwise_or.reduce(np.uint64(1) << np.concatenate(blocks).astype(np.uint64))
        keys = values & mask
        order = np.argsort(keys, kind="stable")
        keys = keys[order]
        here = np.arange(len(keys))
        step = 0
        while len(here):
            step += 1
            here = here[: np.searchsorted(here, len(keys) - step)]
            here = here[keys[here] == keys[here + step]]
            left, right = order[here], order[here + step]
            near = np.bitwise_count(values[left] ^ values[right]) <= MAX_BITS
            found.append((first[left[near]], first[right[near]]))
    pairs = np.unique(np.stack([np.concatenate(side) for side in zip(*found, strict=True)], axis=1), axis=0)
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    return pairs[:, 0], pairs[:, 1]


def same_picture(store: PostStore, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """(M,) bool: whether the images of rows `left` (M,) and `right` (M,) look the same at 16 x 16 pixels.

    Small objects on white and dark scenes have like hashes by chance: of four pairs of MVSA-Single that differ in three
    bits, three are not the same picture.
    """
    rows, positions = np.unique(np.concatenate([left, right]), return_inverse=True)
    small = np.zeros((len(rows), 16, 16, 3), np.uint8)
    for position, row in enumerate(rows):
        small[position] = thumbnail(store.image(int(row)) or b"")
    near = np.zeros(len(left), bool)
    for start in range(0, len(left), 4096):
        part = slice(start, start + 4096)
        a, b = small[positions[: len(left)][part]], small[positions[len(left) :][part]]
        near[part] = np.abs(a.astype(np.int16) - b).mean((1, 2, 3)) <= MAX_DIFFERENCE
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
    keys, rows, start = [], [], 0
    for chunk in store.chunks("text"):
        texts = normalise_texts(chunk)
        rows.append(start + np.flatnonzero(pc.is_valid(texts).to_numpy(zero_copy_only=False)))
        known = texts.drop_null().to_pylist()
        keys.append(np.fromiter((digest(text.encode()) for text in known), np.uint64, len(known)))
        start += len(chunk)
    return np.concatenate(keys), np.concatenate(rows)
