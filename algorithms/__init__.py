"""How a net learns: one file an algorithm. `find` looks into the folder, so a new algorithm needs only its file."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from algorithms.base import Algorithm

SHARED = {"__init__", "base", "embeddings", "gather", "mixing", "options", "pseudo_labels"}
"""Files of this folder that are no algorithm."""


def names() -> list[str]:
    """The algorithms that there are: the file names, read without importing any."""
    return sorted(path.stem for path in Path(__file__).parent.glob("*.py") if path.stem not in SHARED)


def find(name: str) -> type[Algorithm]:
    """The class of the algorithm called `name`.

    Raises ValueError for a name that no file has, or a file that does not hold exactly one algorithm of its own name.
    """
    from algorithms.base import Algorithm

    if name not in names():
        raise ValueError(f"--algorithm {name}: there is none of that name; there are {', '.join(names())}")
    module = importlib.import_module(f"algorithms.{name}")
    found = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Algorithm) and value.__module__ == module.__name__
    ]
    if len(found) != 1 or found[0].name != name:
        raise ValueError(f"algorithms/{name}.py must hold one Algorithm whose name is {name!r}, it holds {found}")
    return found[0]
