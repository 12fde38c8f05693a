"""The confusion matrix as a small picture for TensorBoard, drawn by Pillow: it is drawn at every evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

import numpy as np
from PIL import Image, ImageDraw, ImageFont

CELL, TOP, GAP = 96, 48, 8
"""Pixels of a cell's side where the names are short, of the height of the names of the predicted classes, and beside a
name."""
CORNER = "true \\ predicted"
DARKEST = (8, 48, 107)
"""Colour of a cell that has all the posts of its row; one that has none is white."""


def confusion_picture(confusion: Sequence[Sequence[int]] | np.ndarray, classes: Sequence[str]) -> np.ndarray:
    """(H, W, 3) uint8 from (C, C) counts: a row for each true class, shares of the row and counts in the cells.

    A cell is a square of CELL pixels, or as wide as the longest name of a class with GAP on either side.
    """
    counts = np.asarray(confusion, dtype=np.float64)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    font = ImageFont.load_default(14)
    longest = ceil(max(map(font.getlength, classes)))
    left = max(ceil(font.getlength(CORNER)), longest) + 2 * GAP
    cell = max(CELL, longest + 2 * GAP)
    side = cell * len(classes)
    image = Image.new("RGB", (left + side, TOP + side), "white")
    draw = ImageDraw.Draw(image)
    draw.text((left - GAP, TOP / 2), CORNER, fill="black", font=font, anchor="rm")
    for place, name in enumerate(classes):
        middle = place * cell + cell / 2
        draw.text((left + middle, TOP / 2), name, fill="black", font=font, anchor="mm")
        draw.text((left - GAP, TOP + middle), name, fill="black", font=font, anchor="rm")
    for (row, column), share in np.ndenumerate(shares):
        x, y = left + column * cell, TOP + row * cell
        fill = tuple(round(255 + share * (dark - 255)) for dark in DARKEST)
        draw.rectangle((x, y, x + cell - 1, y + cell - 1), fill=fill)
        shade = "white" if share > 0.5 else "black"
        text = f"{share:.2f}\n{counts[row, column]:.0f}"
        draw.multiline_text((x + cell / 2, y + cell / 2), text, fill=shade, font=font, anchor="mm", align="center")
    return np.asarray(image)
