"""Published layouts of posts, one a file: a new file with a `Reader` in it is all that a new layout needs."""

from __future__ import annotations

import importlib
from functools import cache
from pathlib import Path

from datasets.readers.base import Reader, ReaderOptions

__all__ = ["Reader", "ReaderOptions", "find", "readers", "recognise"]

SHARED = {"__init__", "base", "mvsa", "published", "tabular", "targets"}
"""Files of this folder that hold no layout."""


def _in_module(stem: str) -> list[type[Reader]]:
    """The readers that the file `stem`.py defines itself."""
    module = importlib.import_module(f"datasets.readers.{stem}")
    return [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Reader) and value.__module__ == module.__name__
    ]


def collect(stems: list[str]) -> dict[str, type[Reader]]:
    """Readers by name. Raises ValueError where two have one name, or a file has none; a failing import raises."""
    found: dict[str, type[Reader]] = {}
    for stem in stems:
        layouts = _in_module(stem)
        if not layouts:
            raise ValueError(
                f"datasets/readers/{stem}.py holds no Reader; shared code is listed in SHARED of __init__.py"
            )
        for layout in layouts:
            if layout.name in found:
                raise ValueError(f"{layout} and {found[layout.name]} are both called {layout.name!r}: rename one")
            found[layout.name] = layout
    return found


@cache
def readers() -> dict[str, type[Reader]]:
    """Every reader of this folder by its name."""
    return collect(sorted(path.stem for path in Path(__file__).parent.glob("*.py") if path.stem not in SHARED))


def find(name: str) -> type[Reader]:
    """The reader called `name`. Raises ValueError, which lists the layouts known, for any other name."""
    if name not in readers():
        known = "; ".join(f"{name}: {layout.needs}" for name, layout in readers().items())
        raise ValueError(f"--dataset {name}: no layout has that name; there are: {known}")
    return readers()[name]


def recognise(path: Path | str) -> type[Reader]:
    """The one reader that recognises the layout of `path`.

    Raises ValueError where nothing is there, where no reader recognises it (saying what posts of one's own look like),
    or where several do.
    """
    path = Path(path)
    if not path.exists():
        raise ValueError(f"{path} does not exist: check --data_dir, --train_data_dir and --test_data_dir")
    found = [layout for layout in readers().values() if layout.recognises(path)]
    found = [layout for layout in found if not layout.generic] or found
    if not found:
        own = "; or ".join(layout.needs for layout in readers().values() if layout.generic)
        published = ", ".join(name for name, layout in readers().items() if not layout.generic)
        raise ValueError(
            f"{path} has no layout that is known. Give posts of your own as {own}. Published layouts, which --dataset "
            f"chooses: {published}"
        )
    if len(found) > 1:
        names = " and ".join(layout.name for layout in found)
        raise ValueError(f"{path} could be read as {names}: say which with --dataset")
    return found[0]
