"""What tests of more than one room use."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import algorithms
from tests.runs import TINY, Forker
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


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A --cache_dir that all runs of the tests share, so that the tiny world is drawn once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def forker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forker]:
    """Runs of main.py in processes of their own, without the wait for imports."""
    made = Forker(tmp_path_factory.mktemp("forker"))
    yield made
    made.close()


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, cache: Path, forker: Forker) -> Path:
    """The folder of a finished run of scrd on the tiny world. Not to be changed."""
    folder = tmp_path_factory.mktemp("finished")
    done = forker.run(*TINY, "--cache_dir", cache, "--save_dir", folder, "--save_name", "scrd")
    assert done.code == 0, done.out + done.err
    return folder / "scrd"
