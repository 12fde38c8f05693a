"""The images of the synthetic world: a scene, clutter, and motifs that express a sentiment.

What an image says is carried by its motifs and, less surely, by the colours of the scene. How loudly it says so (its
strength) is carried by the motif's size and contrast, and by a second motif of the same mind.
"""

from __future__ import annotations

import io
import math
from functools import cache

import numpy as np
from PIL import Image, ImageDraw

from datasets.synthetic_draws import between, chance, pick, pick_tail
from datasets.synthetic_motifs import MOTIFS, Colour, Pen, blend

_JPEG_QUALITY = 90
_COARSE = 12  # cells of the background before it is enlarged

# Sky at the top, sky at the horizon, ground: gloomy, matter-of-fact and bright scenes.
_PALETTES: tuple[tuple[tuple[Colour, Colour, Colour], ...], ...] = (
    (
        ((72, 80, 98), (122, 122, 134), (80, 76, 72)),
        ((64, 60, 88), (116, 92, 112), (72, 66, 74)),
        ((90, 84, 80), (130, 118, 104), (86, 70, 54)),
        ((84, 98, 98), (120, 130, 120), (70, 82, 70)),
    ),
    (
        ((176, 190, 200), (214, 216, 212), (158, 156, 146)),
        ((196, 192, 182), (224, 220, 208), (172, 160, 142)),
        ((150, 170, 190), (200, 206, 210), (130, 146, 120)),
        ((206, 206, 210), (230, 230, 230), (150, 150, 156)),
    ),
    (
        ((70, 160, 240), (180, 225, 250), (100, 190, 90)),
        ((250, 170, 110), (255, 225, 150), (190, 150, 80)),
        ((120, 200, 240), (250, 235, 190), (235, 210, 140)),
        ((190, 150, 235), (255, 205, 220), (130, 190, 110)),
    ),
)


def draw_image(rng: np.random.Generator, label: int, strength: float, noise: float, size: int) -> Image.Image:
    """A square RGB image of `size` pixels that expresses class `label` (0 negative, 1 neutral, 2 positive).

    `strength` (0 to 1) is how clearly. `noise` (0 to 1) is how often colours mislead, motifs are hidden or vaguely
    drawn, and how much clutter and grain lies over them.
    """
    side = size * 2 if size <= 128 else size  # small images are drawn twice as large, so that edges are smooth
    mood = label if chance(rng, 0.75 - 0.5 * noise) else int(rng.random() * 3)
    image, paper = _scene(rng, mood, side)
    draw = ImageDraw.Draw(image)
    clear = min(1.0, max(0.0, strength + 0.3 * noise * float(rng.standard_normal())))
    _clutter(rng, draw, side, round(between(rng, 0.0, 1.0) * 10 * noise))
    hidden = chance(rng, 0.5 * noise * (1.0 - clear))
    x = between(rng, 0.32, 0.68)
    if not hidden:
        y = between(rng, 0.35, 0.65)
        _motif(rng, draw, side, paper, (x, y), between(rng, 0.12, 0.15) + 0.2 * clear, label, clear, noise)
        if chance(rng, 0.15 + 0.4 * clear):
            aside = (x + 0.42) % 1.0 * 0.7 + 0.15, between(rng, 0.2, 0.85)
            _motif(rng, draw, side, paper, aside, between(rng, 0.1, 0.15), label, clear, noise)
    if chance(rng, 0.5 * noise):
        aside = (x + 0.5) % 1.0, between(rng, 0.15, 0.85)
        _motif(rng, draw, side, paper, aside, between(rng, 0.07, 0.11), int(rng.random() * 3), 0.3, noise)
    if side != size:
        image = image.reduce(2)
    return _grain(rng, image, noise)


def encode_jpeg(image: Image.Image, quality: int = _JPEG_QUALITY) -> bytes:
    """The image as JPEG bytes."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def near_duplicate(rng: np.random.Generator, jpeg: bytes) -> bytes:
    """The image posted again: moved by less than a hundredth, a little brighter or darker, recompressed."""
    with Image.open(io.BytesIO(jpeg)) as image:
        image.load()
    width, height = image.size
    left, top = between(rng, 0.0, 0.01) * width, between(rng, 0.0, 0.01) * height
    box = (left, top, left + 0.99 * width, top + 0.99 * height)
    moved = image.resize((width, height), Image.Resampling.BILINEAR, box=box)
    gain = between(rng, 0.95, 1.04)
    brighter = moved.point([min(255, round(gain * value)) for value in range(256)] * 3)
    return encode_jpeg(brighter, quality=int(between(rng, 70, 88)))


def _scene(rng: np.random.Generator, mood: int, side: int) -> tuple[Image.Image, Colour]:
    """Sky over ground, enlarged from a few cells of jittered colour, and the mean colour, towards which motifs fade."""
    top, low, ground = np.asarray(pick(rng, _PALETTES[mood]), dtype=np.float64)
    horizon = int(between(rng, 0.55, 0.85) * _COARSE)
    cells = np.empty((_COARSE, _COARSE, 3))
    cells[:horizon] = (top + (low - top) * np.linspace(0.0, 1.0, horizon)[:, None])[:, None]
    cells[horizon:] = ground
    cells *= 1.0 + 0.12 * rng.standard_normal(3)  # tint of the light
    cells += 14.0 * rng.standard_normal((_COARSE, _COARSE, 1))  # clouds and unevenness
    coarse = Image.fromarray(cells.clip(0, 255).astype(np.uint8))
    red, green, blue = (int(value) for value in cells.mean((0, 1)).clip(0, 255))
    return coarse.resize((side, side), Image.Resampling.BICUBIC), (red, green, blue)


def _motif(
    rng: np.random.Generator,
    draw: ImageDraw.ImageDraw,
    side: int,
    paper: Colour,
    place: tuple[float, float],
    radius: float,
    label: int,
    clear: float,
    noise: float,
) -> None:
    """One motif at `place` (shares of the side), as large, contrasted and unambiguous as it is clear."""
    valence = (label - 1) * (0.5 + 0.5 * clear) + 0.4 * noise * float(rng.standard_normal())
    pen = Pen(
        draw,
        x=place[0] * side,
        y=place[1] * side,
        scale=radius * side,
        tilt=between(rng, -0.25, 0.25),
        fade=0.65 * (1.0 - clear) * between(rng, 0.6, 1.0),
        paper=paper,
    )
    pick_tail(rng, MOTIFS, 2.8)(pen, min(1.0, max(-1.0, valence)), rng)


def _clutter(rng: np.random.Generator, draw: ImageDraw.ImageDraw, side: int, pieces: int) -> None:
    """Boxes, discs and bars that mean nothing."""
    for _ in range(pieces):
        x, y, r = between(rng, 0, side), between(rng, 0, side), between(rng, 0.03, 0.12) * side
        red, green, blue = (int(value) for value in rng.integers(20, 236, 3))
        colour = blend((red, green, blue), (128, 128, 128), 0.3)
        kind = rng.random()
        if kind < 0.4:
            draw.rectangle((x - r, y - r, x + r, y + r * between(rng, 0.3, 1.5)), fill=colour)
        elif kind < 0.7:
            draw.ellipse((x - r, y - r, x + r, y + r), fill=colour)
        else:
            angle = between(rng, 0.0, math.pi)
            dx, dy = 2 * r * math.cos(angle), 2 * r * math.sin(angle)
            draw.line((x - dx, y - dy, x + dx, y + dy), fill=colour, width=max(1, round(0.02 * side)))


@cache
def _noise_plates(size: int) -> np.ndarray:
    """A fixed plate of grain, read at an offset by every image: (2 size, 2 size, 3) float32, unit variance."""
    rng = np.random.default_rng(size)
    return rng.standard_normal((2 * size, 2 * size, 3)).astype(np.float32)


def _grain(rng: np.random.Generator, image: Image.Image, noise: float) -> Image.Image:
    """Uneven light, which makes every image unlike the others even when scaled down, and the grain of a poor camera."""
    size = image.size[0]
    light = rng.standard_normal((9, 9)) * (12.0 + 10.0 * noise)
    shade = Image.fromarray(light.astype(np.float32)).resize((size, size), Image.Resampling.BICUBIC)
    row, column = (int(value) for value in rng.integers(0, size, 2))
    grain = _noise_plates(size)[row : row + size, column : column + size]
    pixels = np.asarray(image, dtype=np.float32) + np.asarray(shade)[:, :, None] + (2.0 + 20.0 * noise) * grain
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
