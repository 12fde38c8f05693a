"""Images as people's files hold them: refused for a named reason, or made upright RGB JPEGs of a small size."""

from __future__ import annotations

import io
import struct
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

MAX_PIXELS = 1 << 26
"""Pixels that an image may have by its header (67 million: 8192 x 8192); what has more is refused undecoded."""

MAX_BYTES = 64 << 20
"""Bytes that an image's file may have; a larger one is refused unread."""

MAX_ASPECT = 16
"""A stored image's long side is at most this many times the short side asked for, so that a strip stays small."""

QUALITY = 90
"""JPEG quality of stored images that had to be encoded again."""

REASONS = ("too large", "empty", "html", "bomb", "truncated", "undecodable")
"""Why an image can be refused."""

_PHOTO_FORMATS = ("JPEG", "MPO", "PNG", "GIF", "WEBP", "BMP", "TIFF", "AVIF")
Image.init()
# The other formats of Pillow are no photographs, and some of them start other programs (EPS).
FORMATS = tuple(name for name in _PHOTO_FORMATS if name in Image.OPEN)

# Pillow only warns up to twice its own limit. `_open` refuses these too, so nobody need read the warning.
warnings.filterwarnings("error", category=Image.DecompressionBombWarning)

# What Pillow and its plug-ins raise on broken files.
_DECODING_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    IndexError,
    TypeError,
    KeyError,
    EOFError,
    struct.error,
    OverflowError,
)

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What undoes each EXIF orientation but 1, which is upright."""


class ImageRefused(ValueError):
    """An image that cannot be stored; `reason` is one of REASONS."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"image refused: {reason}")
        self.reason = reason


def read_image(path: Path) -> bytes:
    """The bytes of an image's file. Raises OSError, ImageRefused where it is too large, ValueError for a path that no
    file can have."""
    if path.stat().st_size > MAX_BYTES:
        raise ImageRefused("too large")
    return path.read_bytes()


def _is_html(data: bytes) -> bool:
    """An error page that a crawler saved under an image's name."""
    return (
        data[:512]
        .lstrip(b"\xef\xbb\xbf \t\r\n")
        .lower()
        .startswith((b"<!doctype", b"<html", b"<head", b"<?xml", b"<!--"))
    )


def _is_cut(data: bytes) -> bool:
    """Whether a file of a known signature lacks the end that its format asks for."""
    if data.startswith(b"\xff\xd8"):
        return b"\xff\xd9" not in data[-64:]
    if data.startswith(b"\x89PNG"):
        return b"IEND" not in data[-64:]
    if data.startswith(b"GIF8"):
        return b"\x3b" not in data[-16:]
    if data.startswith(b"RIFF"):
        return len(data) < 8 or len(data) < struct.unpack("<I", data[4:8])[0] + 8
    return False


def _webp_pixels(data: bytes) -> int:
    """Pixels of a WebP by its header. Pillow's reader allocates them on opening, so this must come before it."""
    if len(data) < 30 or data[:4] != b"RIFF" or data[8:12] != b"WEBP":
        return 0
    kind = data[12:16]
    if kind == b"VP8X":
        return (int.from_bytes(data[24:27], "little") + 1) * (int.from_bytes(data[27:30], "little") + 1)
    if kind == b"VP8L":
        sides = int.from_bytes(data[21:25], "little")
        return ((sides & 0x3FFF) + 1) * ((sides >> 14 & 0x3FFF) + 1)
    width, height = struct.unpack("<HH", data[26:30])
    return (width & 0x3FFF) * (height & 0x3FFF)


def _open(data: bytes) -> Image.Image:
    """The image with its header read and nothing decoded. Raises ImageRefused."""
    if not data:
        raise ImageRefused("empty")
    if _is_html(data):
        raise ImageRefused("html")
    if _webp_pixels(data) > MAX_PIXELS:
        raise ImageRefused("bomb")
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ImageRefused("bomb") from None
    except _DECODING_ERRORS:
        raise ImageRefused("truncated" if _is_cut(data) else "undecodable") from None
    if image.width * image.height > MAX_PIXELS:
        raise ImageRefused("bomb")
    return image


def _orientation(image: Image.Image) -> int:
    """EXIF orientation, 1 to 8; 1 (upright) where there is none, or where the EXIF block cannot be read."""
    try:
        value = image.getexif().get(0x0112, 1)
    except _DECODING_ERRORS:
        return 1
    return value if value in _UPRIGHT else 1


def _as_rgb(image: Image.Image) -> Image.Image:
    """Any mode as RGB: transparency on white, 16-bit grey scaled down."""
    if image.mode.startswith("I"):
        image = Image.fromarray((np.asarray(image).clip(0, 65535) >> 8).astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGB", image.size, "white")
        white.paste(image, mask=image.getchannel("A"))
        return white
    return image.convert("RGB")


def _load(data: bytes, short_side: int) -> tuple[Image.Image, bool]:
    """The upright RGB image, its short side at most `short_side`, and whether `data` already is just that as a JPEG."""
    image = _open(data)
    orientation = _orientation(image)
    as_it_is = image.format == "JPEG" and image.mode == "RGB" and orientation == 1
    width, height = image.size
    scale = min(1.0, short_side / min(width, height), MAX_ASPECT * short_side / max(width, height))
    try:
        if scale < 0.5:
            # A JPEG can be decoded at a half, a quarter or an eighth: the smallest that is twice the size asked for.
            image.draft(None, (int(2 * scale * width), int(2 * scale * height)))
        image.load()
        rgb = _as_rgb(image)
        if scale < 1:
            size = max(1, round(scale * width)), max(1, round(scale * height))
            rgb = rgb.resize(size, Image.Resampling.BICUBIC, reducing_gap=3.0)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ImageRefused("bomb") from None
    except _DECODING_ERRORS:
        raise ImageRefused("truncated" if _is_cut(data) else "undecodable") from None
    if orientation in _UPRIGHT:
        rgb = rgb.transpose(_UPRIGHT[orientation])
    return rgb, as_it_is and scale == 1


def inspect(data: bytes) -> str | None:
    """Why the image would be refused (one of REASONS), None where it is good. Decodes it."""
    try:
        _load(data, short_side=256)
    except ImageRefused as refused:
        return refused.reason
    return None


@dataclass(frozen=True)
class Shrunk:
    """An image as it is stored, and what pictures are compared by."""

    jpeg: bytes
    hash: int
    """See `difference_hash`."""
    thumbnail: bytes
    """Levels of the image squeezed to 16 x 16 pixels, RGB."""


def shrink_and_compare(data: bytes, short_side: int = 256) -> Shrunk:
    """What `shrink` gives, and what the image is compared by, for one decoding. Raises ImageRefused."""
    image, as_it_is = _load(data, short_side)
    if not as_it_is:
        file = io.BytesIO()
        image.save(file, "JPEG", quality=QUALITY)
        data = file.getvalue()
    return Shrunk(data, difference_hash(image), _squeezed(image).tobytes())


def shrink(data: bytes, short_side: int = 256) -> bytes:
    """The image as a small JPEG: upright, RGB, its short side at most `short_side` pixels.

    EXIF rotation is applied, an animation gives its first frame, CMYK is converted, transparency lies on white. A JPEG
    that is all that already is kept byte for byte. Raises ImageRefused with the reason.
    """
    return shrink_and_compare(data, short_side).jpeg


def open_rgb(data: bytes) -> np.ndarray:
    """An image of any kind people have as (H, W, 3) uint8: upright, the first frame, transparency on white.

    Raises ImageRefused with the reason.
    """
    return np.asarray(_load(data, short_side=MAX_PIXELS)[0])


def decode(jpeg: bytes, size: int, position: float = 0.5) -> np.ndarray:
    """A stored image as (size, size, 3) uint8: the short side becomes `size`, the long side is cut to a square.

    `position` says where along the long side: 0 left or top, 0.5 centre, 1 right or bottom.
    """
    image = Image.open(io.BytesIO(jpeg), formats=("JPEG",))
    image.draft("RGB", (size, size))
    side = min(image.size)
    left, top = round((image.width - side) * position), round((image.height - side) * position)
    if image.mode != "RGB":
        image = image.convert("RGB")  # type: ignore[assignment]
    if image.size != (side, side):
        image = image.crop((left, top, left + side, top + side))  # type: ignore[assignment]
    if side != size:
        image = image.resize((size, size), Image.Resampling.BILINEAR)  # type: ignore[assignment]
    return np.asarray(image)


FLAT = 0
"""Hash of an image without structure; it is like every other such image, and so says nothing about duplicates."""


def difference_hash(image: Image.Image) -> int:
    """64-bit difference hash, signed: bit by bit, whether the grey image of 9 x 8 pixels grows brighter to the right.

    FLAT where the whole image spans less than 16 of 256 levels. Source: N. Krawetz, "Kind of Like That" (2013).
    """
    grey = np.asarray(image.convert("L").resize((9, 8), Image.Resampling.BOX), dtype=np.int16)
    if np.ptp(grey) < 16:
        return FLAT
    bits = np.packbits(grey[:, 1:] > grey[:, :-1])
    return int.from_bytes(bits.tobytes(), "little", signed=True)


def difference_hash_of(jpeg: bytes) -> int:
    """`difference_hash` of a stored image."""
    image = Image.open(io.BytesIO(jpeg), formats=("JPEG",))
    image.draft("L", (72, 64))
    return difference_hash(image)


THUMBNAIL_SIZE = 16
"""Pixels of a thumbnail's side."""


def _squeezed(image: Image.Image) -> Image.Image:
    return image.resize((THUMBNAIL_SIZE, THUMBNAIL_SIZE), Image.Resampling.BOX)


def thumbnail(jpeg: bytes) -> np.ndarray:
    """A stored image squeezed to (16, 16, 3) uint8, to compare pictures by."""
    image = Image.open(io.BytesIO(jpeg), formats=("JPEG",))
    image.draft("RGB", (4 * THUMBNAIL_SIZE, 4 * THUMBNAIL_SIZE))
    return np.asarray(_squeezed(image.convert("RGB")))
