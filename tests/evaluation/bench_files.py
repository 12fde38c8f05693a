"""Benchmarks in their published layouts, made here: dark photos are negative, bright ones positive."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image


def photo(positive: bool, seed: int, width: int = 40, height: int = 30) -> Image.Image:
    """Noise around a dark or a bright grey."""
    noise = np.random.default_rng(seed).integers(-40, 40, (height, width, 3))
    return Image.fromarray((np.full(3, 190 if positive else 60) + noise).astype(np.uint8))


def write_benchmark(
    home: Path, table: str, count: int = 12, positive: int = 1, folder: str = "", seed: int = 0
) -> list[tuple[str, int]]:
    """Write `count` images, every third negative, and their table `<table>.csv`; its rows."""
    rows = []
    for number in range(count):
        path = f"{folder}{table.replace('/', '_')}_{number}.png"
        file = home / "images" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        photo(number % 3 > 0, seed + number).save(file)
        rows.append((path, positive if number % 3 else 0))
    (home / f"{table}.csv").parent.mkdir(parents=True, exist_ok=True)
    lines = ["path,class", *(f"{path},{label}" for path, label in rows)]
    (home / f"{table}.csv").write_text("\n".join(lines) + "\n")
    return rows
