from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datasets.images import (
    FLAT,
    ImageRefused,
    decode,
    difference_hash,
    difference_hash_of,
    inspect,
    shrink,
    shrink_and_compare,
    thumbnail,
)
from tests.datasets.pictures import BAD, GOOD, encoded, rotated, scene, upright

ROOT = Path(__file__).parents[2]


def opened(jpeg: bytes) -> np.ndarray:
    image = Image.open(io.BytesIO(jpeg))
    assert (image.format, image.mode) == ("JPEG", "RGB")
    return np.asarray(image).astype(int)


@pytest.mark.parametrize("name", GOOD)
def test_a_good_image_becomes_an_rgb_jpeg_that_decodes(name):
    assert inspect(GOOD[name]) is None
    opened(shrink(GOOD[name]))
    for size in (1, 7, 64):
        square = decode(shrink(GOOD[name]), size)
        assert square.shape == (size, size, 3)
        assert square.dtype == np.uint8


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("name", BAD)
def test_a_bad_image_is_refused_with_its_reason(name):
    data, reason = BAD[name]
    assert inspect(data) == reason
    with pytest.raises(ImageRefused, match=reason):
        shrink(data)


def test_every_cut_of_a_file_is_refused():
    whole = encoded(scene(), progressive=True)
    for kind in (whole, encoded(scene(), "PNG"), GOOD["webp with alpha"], encoded(scene(), "GIF")):
        for share in (0.02, 0.3, 0.9):
            assert inspect(kind[: max(4, int(share * len(kind)))]) in ("truncated", "undecodable")


def test_pixels_survive():
    expected = np.asarray(scene()).astype(int)
    for name in ("ok", "progressive", "png"):
        assert np.abs(opened(shrink(GOOD[name])) - expected).mean() < 6, name
    assert np.abs(opened(shrink(GOOD["cmyk"])) - expected).mean() < 12
    grey = np.asarray(scene().convert("L")).astype(int)[..., None]
    assert np.abs(opened(shrink(GOOD["gray"])) - grey).mean() < 6


def test_exif_rotation_is_applied_once():
    turned = opened(shrink(rotated()))
    assert turned.shape == (24, 40, 3)
    assert np.abs(turned - np.asarray(upright())).mean() < 12
    assert shrink(shrink(rotated())) == shrink(rotated())


def test_transparency_lies_on_white_and_the_first_frame_counts():
    pixels = opened(shrink(GOOD["webp with alpha"]))
    assert np.abs(pixels[10, 5] - (255, 0, 0)).max() < 20
    assert pixels[10, 35].min() > 235
    assert np.abs(opened(shrink(GOOD["animated gif"]))[15, 20] - (0, 255, 0)).max() < 20
    assert opened(shrink(GOOD["palette with transparency"])).min() > 235
    assert np.abs(opened(shrink(GOOD["16 bit"])) - 128).max() < 4


def test_a_small_upright_rgb_jpeg_is_kept_byte_for_byte_and_nothing_else():
    assert shrink(GOOD["ok"]) == GOOD["ok"]
    assert shrink(GOOD["progressive"]) == GOOD["progressive"]
    for name in ("gray", "cmyk", "exif rotation"):
        assert shrink(GOOD[name]) != GOOD[name]


@pytest.mark.parametrize(
    ("size", "expected"),
    [((400, 300), (341, 256)), ((256, 900), (256, 900)), ((3000, 2000), (384, 256)), ((8, 9000), (4, 4096))],
)
def test_short_side_and_strips_are_bounded(size, expected):
    stored = Image.open(io.BytesIO(shrink(encoded(Image.new("RGB", size, "teal")))))
    assert stored.size == expected


def test_draft_decoding_shrinks_to_the_same_picture():
    large = scene(2048, 1536)
    plain = np.asarray(large.resize((341, 256), Image.Resampling.BICUBIC)).astype(int)
    assert np.abs(opened(shrink(encoded(large, quality=95))) - plain).mean() < 3


def test_decode_cuts_the_square_at_the_position():
    """Three squares side by side: red, green, blue."""
    row = np.zeros((32, 96, 3), np.uint8)
    for third in range(3):
        row[:, 32 * third : 32 * third + 32, third] = 255
    wide = encoded(Image.fromarray(row), quality=95, subsampling=0)
    tall = encoded(Image.fromarray(row.transpose(1, 0, 2)), quality=95, subsampling=0)
    for jpeg in (wide, tall):
        for position, channel in ((0.0, 0), (0.5, 1), (1.0, 2)):
            for size in (8, 32, 50):
                colour = decode(jpeg, size, position).reshape(-1, 3).mean(0)
                assert colour[channel] > 240, (position, size, colour)
                assert np.delete(colour, channel).max() < 15


def test_difference_hash():
    """Brighter to the right in every pixel: all bits set; to the left: none, yet not flat by chance of equal pixels."""
    ramp = np.tile(np.arange(0, 252, 28, dtype=np.uint8), (8, 1))
    assert difference_hash(Image.fromarray(ramp)) == -1
    step = ramp.copy()
    step[0, 1] = 0  # first pixel no longer darker than its neighbour: the first bit of the first byte
    assert difference_hash(Image.fromarray(step)).to_bytes(8, "little", signed=True)[0] == 0x7F
    assert difference_hash(Image.new("RGB", (50, 50), "teal")) == FLAT


def test_difference_hash_outlives_scaling_and_compression():
    first = difference_hash(scene(300, 300))
    assert shrink_and_compare(encoded(scene(300, 300))).hash != FLAT
    for other in (encoded(scene(300, 300), quality=40), shrink(encoded(scene(1000, 1000)))):
        assert (np.uint64(first % 2**64) ^ np.uint64(difference_hash_of(other) % 2**64)).bit_count() <= 3
    small, large = thumbnail(encoded(scene(300, 300))), thumbnail(shrink(encoded(scene(900, 900))))
    assert np.abs(small.astype(int) - large).mean() < 3


def test_a_bomb_is_refused_by_its_header_within_little_memory():
    program = f"""
import resource, sys
sys.path.insert(0, {str(ROOT)!r})
from datasets.images import inspect
from tests.datasets.pictures import BAD
pages = int(open("/proc/self/statm").read().split()[0])
limit = pages * resource.getpagesize() + (100 << 20)
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
for name in BAD:
    if "bomb" in name:
        assert inspect(BAD[name][0]) == "bomb", name
print("refused")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout == "refused\n", done.stderr
