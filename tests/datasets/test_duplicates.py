from __future__ import annotations

import time

import numpy as np
import pyarrow as pa
from PIL import Image

from datasets.duplicates import MAX_BITS, equal_pairs, group_posts, join, near_pairs, normalise_texts
from datasets.images import shrink, shrink_and_compare
from datasets.store import PostStore, StoreWriter
from tests.datasets.pictures import encoded, scene


def test_near_pairs_are_exactly_those_within_three_bits():
    """Against all pairs: hashes with 0 to 6 bits flipped from a few, so that every distance occurs."""
    generator = np.random.default_rng(0)
    hashes = generator.integers(-(2**63), 2**63, 40)
    for flips in range(7):
        bits = np.array([generator.choice(64, flips, replace=False) for _ in range(40)], np.uint64).reshape(40, flips)
        flipped = np.bitwise_xor.reduce(np.uint64(1) << bits, axis=1, initial=np.uint64(0))
        hashes = np.concatenate([hashes, (hashes[:40].view(np.uint64) ^ flipped).view(np.int64)])
    unsigned = hashes.view(np.uint64)
    distance = np.bitwise_count(unsigned[:, None] ^ unsigned[None])
    assert set(range(7)) <= set(np.unique(distance).tolist())
    left, right = near_pairs(hashes)
    assert (distance[left, right] <= MAX_BITS).all()
    found = join([(left, right)], len(hashes))
    every = join([np.nonzero(distance <= MAX_BITS)], len(hashes))
    assert np.array_equal(found, every)
    assert 40 < len(np.unique(every)) < len(hashes)


def test_near_pairs_of_many_hashes_are_quick():
    """200,000 hashes with 48 bits to tell them apart: the upper bits of smooth images are nearly always the same."""
    generator = np.random.default_rng(0)
    hashes = generator.integers(0, 2**48, 200_000)
    started = time.perf_counter()
    left, _ = near_pairs(np.concatenate([hashes, hashes[:1000] ^ 0b10101]))
    assert 1000 <= len(left) < 1100
    assert time.perf_counter() - started < 10


def test_join_goes_through_others():
    rows = np.array([0, 5, 2]), np.array([3, 3, 4])
    assert join([rows], 7).tolist() == [0, 1, 2, 0, 2, 0, 6]


def test_equal_pairs_link_to_the_first():
    rows, firsts = equal_pairs(np.array([7, 8, 7, 7]), np.array([10, 11, 12, 13]))
    assert rows.tolist() == [10, 11, 12, 13]
    assert firsts.tolist() == [10, 11, 10, 10]


def test_normalised_texts():
    texts = [
        "RT @someone: Such a  lovely DAY http://t.co/abc",
        "such a lovely day",
        "@you Such a lovely day www.x.com/1",
        "too short text",
        "@a @b http://t.co/1 one two three",
        "smart RT @someone stays in",
        None,
        "ÉTÉ très très chaud",
    ]
    day = "such a lovely day"
    expected = [day, day, day, None, None, "smart rt stays in", None, "été très très chaud"]
    assert normalise_texts(pa.array(texts)).to_pylist() == expected


def write(path, posts, hashed: bool) -> PostStore:
    with StoreWriter(path, ("negative",)) as writer:
        for number, (text, image, group) in enumerate(posts):
            look = None if image is None else shrink_and_compare(image)
            known = {"image_hash": look.hash, "thumbnail": look.thumbnail} if look and hashed else {}
            writer.add(str(number), text=text, image=look and look.jpeg, group=group, **known)
    return PostStore(path)


def test_groups(tmp_path):
    flat = encoded(Image.new("RGB", (40, 40), "teal"))
    other_flat = encoded(Image.new("RGB", (40, 40), "navy"))
    picture = scene(300, 300, seed=1)
    posts = [
        ("a text all of its own", encoded(picture), None),
        (None, shrink(encoded(picture.resize((900, 900)))), None),  # 0 again, larger
        ("RT @x: this text is sent on", encoded(scene(300, 300, seed=2)), None),
        ("this text is sent on http://t.co/1", None, None),  # as 2
        (None, flat, None),
        (None, other_flat, None),  # flat too, but another one
        (None, flat, None),  # as 4
        ("good day", None, "said"),
        ("bad day", None, "said"),  # the reader says: as 7
        ("good day", None, None),  # short: no duplicate of 7
        ("this text is sent on", encoded(picture, quality=60), None),  # joins 0 and 2
    ]
    expected = [0, 0, 0, 0, 4, 5, 4, 7, 7, 9, 0]
    assert group_posts(write(tmp_path / "hashed", posts, hashed=True)).tolist() == expected
    assert group_posts(write(tmp_path / "not", posts, hashed=False)).tolist() == expected


def test_like_hashes_of_unlike_pictures_are_no_duplicates(tmp_path):
    """The same steps of brightness in other colours: equal hashes, other pictures."""
    ramp = np.tile(np.arange(0, 252, 28, dtype=np.uint8).repeat(8), (64, 1))
    zero = np.zeros_like(ramp)
    red, blue = (np.stack(planes, -1) for planes in ((ramp, zero, zero), (zero, zero, ramp)))
    images = [encoded(Image.fromarray(pixels), quality=95) for pixels in (red, blue, red)]
    images[2] = encoded(Image.fromarray(red), quality=80)
    images += [encoded(Image.fromarray(blue), quality=80), images[1]]
    assert shrink_and_compare(images[0]).hash == shrink_and_compare(images[1]).hash != 0
    store = write(tmp_path / "s", [(None, image, None) for image in images], hashed=True)
    assert group_posts(store).tolist() == [0, 1, 0, 3, 1]  # equal ones are found though their hash is another's


def test_a_pair_is_found_once():
    """Hashes of a few bits agree in many blocks; were each pair found in every one, a picture that thousands share
    would fill the memory."""
    hashes = np.array([0, 1, 2, 1 << 20, 1 << 63, 0, 7], np.uint64).view(np.int64)
    left, right = np.sort(near_pairs(hashes), axis=0)
    expected = {(0, 5), (0, 6), (1, 6), (2, 6)} | {(low, high) for high in range(5) for low in range(high)}
    assert sorted(zip(left.tolist(), right.tolist(), strict=True)) == sorted(expected)
