"""Image files for the tests, drawn here: the table of good and bad ones."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from PIL import Image


def scene(width: int = 40, height: int = 30, seed: int = 0) -> Image.Image:
    """A smooth picture with structure: its pixels change slowly, so JPEG keeps them."""
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 5, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def encoded(image: Image.Image, kind: str = "JPEG", **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def upright() -> Image.Image:
    """Red above, blue below."""
    pixels = np.zeros((24, 40, 3), np.uint8)
    pixels[:12, :, 0], pixels[12:, :, 2] = 255, 255
    return Image.fromarray(pixels)


def rotated() -> bytes:
    """`upright` stored lying on its side, with the EXIF note to turn it by 90 degrees clockwise."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(upright().transpose(Image.Transpose.ROTATE_90), exif=exif, quality=95)


def transparent() -> bytes:
    """WebP: left half opaque red, right half transparent black."""
    pixels = np.zeros((20, 40, 4), np.uint8)
    pixels[:, :20] = (255, 0, 0, 255)
    return encoded(Image.fromarray(pixels, "RGBA"), "WEBP", lossless=True)


def animation() -> bytes:
    """GIF: first frame green, second blue."""
    frames = [Image.new("RGB", (40, 30), colour) for colour in ("#00ff00", "blue")]
    return encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims to be so large; a few bytes of it are there."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(100_000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def webp_header(width: int, height: int) -> bytes:
    """A small WebP whose header claims to be so large."""
    data = bytearray(transparent())
    if data[12:16] == b"VP8L":
        sides = int.from_bytes(data[21:25], "little") & ~0xFFFFFFF | (width - 1) | (height - 1) << 14
        data[21:25] = sides.to_bytes(4, "little")
    else:
        data[24:27], data[27:30] = (width - 1).to_bytes(3, "little"), (height - 1).to_bytes(3, "little")
    return bytes(data)


GOOD = {
    "ok": encoded(scene(), quality=95),
    "progressive": encoded(scene(), progressive=True, quality=95),
    "gray": encoded(scene().convert("L")),
    "cmyk": encoded(scene().convert("CMYK")),
    "exif rotation": rotated(),
    "png": encoded(scene(), "PNG"),
    "webp with alpha": transparent(),
    "animated gif": animation(),
    "1x1": encoded(Image.new("RGB", (1, 1), "red"), "PNG"),
    "16 bit": encoded(Image.fromarray(np.full((8, 8), 0x8000, np.uint16)), "PNG"),
    "palette with transparency": encoded(Image.new("P", (8, 8), 0), "PNG", transparency=0),
    "strip": encoded(Image.new("RGB", (8, 9000), "red"), "PNG"),
}

LARGE = encoded(scene(400, 300), quality=95)
BAD = {
    "truncated half": (LARGE[: len(LARGE) // 2], "truncated"),
    "truncated header": (LARGE[:100], "truncated"),
    "truncated png": (encoded(scene(), "PNG")[:-200], "truncated"),
    "html as jpg": (b"\n<!DOCTYPE html><html><body>404</body></html>", "html"),
    "empty": (b"", "empty"),
    "noise": (bytes(range(256)), "undecodable"),
    "png bomb": (png_header(30_000, 30_000), "bomb"),
    "png bomb that Pillow only warns of": (png_header(10_000, 10_000), "bomb"),
    "webp bomb": (webp_header(16_000, 16_000), "bomb"),
}
