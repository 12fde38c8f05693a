"""What tests of more than one room use."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import algorithms
from training import algorithm_options as reading

WriteAlgorithm = Callable[[str, str], None]


@pytest.fixture
def write_algorithm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WriteAlgorithm]:
    """Write a file of algorithms/ (name, source) into a folder that stands for it, beside the files they share."""
    for name in ("base", "options"):
        source = Path(algorithms.__file__).with_name(f"{name}.py").read_text(encoding="utf-8")
        (tmp_path / f"{name}.py").write_text(source, encoding="utf-8")
    monkeypatch.setattr(algorithms, "__file__", str(tmp_path / "__init__.py"))
    cached = (reading.algorithm_options, reading._parse, reading._options, reading._homes, reading._shared)

    def write(name: str, source: str) -> None:
        (tmp_path / f"{name}.py").write_text(source, encoding="utf-8")
        for function in cached:
            function.cache_clear()

    yield write
    for function in cached:
        function.cache_clear()
