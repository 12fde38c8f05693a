from __future__ import annotations

import dataclasses
from typing import Any, get_type_hints

import pytest

import algorithms
from training.algorithm_options import algorithm_options
from training.command_line import flags_of


def described(options: type) -> list[tuple[str, Any, Any, tuple[str, ...]]]:
    """Name, type, default and spellings of each option, in order."""
    hints = get_type_hints(options)
    spellings = {flag.name: flag.spellings for flag in flags_of("algorithm", options)}
    return [(part.name, hints[part.name], part.default, spellings[part.name]) for part in dataclasses.fields(options)]


@pytest.mark.parametrize("name", algorithms.names())
def test_what_is_read_equals_what_an_import_gives(name):
    read, imported = algorithm_options(name), algorithms.find(name).Options
    assert described(read) == described(imported)
    assert dataclasses.asdict(read()) == dataclasses.asdict(imported())
    assert (read.__doc__ or "").strip() == (imported.__doc__ or "").strip()


@pytest.mark.parametrize("name", algorithms.names())
def test_every_option_says_what_it_does(name):
    for field, hint in get_type_hints(algorithm_options(name), include_extras=True).items():
        assert any(getattr(extra, "help", None) for extra in hint.__metadata__), f"{name}: {field} has no help"


HEAD = """from __future__ import annotations
from dataclasses import dataclass
import nothing_like_it
from algorithms.base import Algorithm
"""


def test_options_of_a_class_are_inherited_through_files(write_algorithm):
    parent = (
        '    name = "parent"\n    @dataclass(frozen=True)\n    class Options:\n        """P"""\n        a: int = 1\n'
    )
    write_algorithm("parent", f"{HEAD}class Parent(Algorithm):\n{parent}")
    child = '    name: ClassVar[str] = "child"\n    @dataclass(frozen=True)\n    class Options(Parent.Options):\n'
    imports = f"{HEAD}from typing import ClassVar\nfrom algorithms.parent import Parent\n"
    write_algorithm(
        "child", f'{imports}class Child(Parent):\n{child}        b: float = 2.0\n        """How\n        much."""\n'
    )
    write_algorithm("heir", f'{HEAD}from algorithms.child import Child\nclass Heir(Child):\n    name = "heir"\n')
    assert dataclasses.asdict(algorithm_options("heir")()) == {"a": 1, "b": 2.0}
    hint = get_type_hints(algorithm_options("heir"), include_extras=True)["b"]
    assert hint.__metadata__[0].help == "How\nmuch."


def test_an_algorithm_without_options_has_none(write_algorithm):
    write_algorithm("bare", f'{HEAD}class Bare(Algorithm):\n    name = "bare"\n')
    assert dataclasses.fields(algorithm_options("bare")) == ()


def test_checks_of_shared_options_work(write_algorithm):
    source = "from algorithms.options import PseudoLabelOptions\n"
    body = (
        '    name = "x"\n    @dataclass(frozen=True)\n    class Options(PseudoLabelOptions):\n        more: int = 0\n'
    )
    write_algorithm("x", f"{HEAD}{source}class X(Algorithm):\n{body}")
    assert algorithm_options("x")(threshold=0.5, more=2).threshold == 0.5
    with pytest.raises(ValueError, match="--threshold -1"):
        algorithm_options("x")(threshold=-1)


def test_names_that_only_an_import_would_give_are_refused(write_algorithm):
    body = '    name = "x"\n    @dataclass(frozen=True)\n    class Options:\n        a: int = nothing_like_it.A\n'
    write_algorithm("x", f"{HEAD}class X(Algorithm):\n{body}")
    with pytest.raises(ValueError, match=r"algorithms/x\.py: the class X\.Options .*nothing_like_it"):
        algorithm_options("x")


def test_a_file_without_an_algorithm_of_its_name_is_refused(write_algorithm):
    write_algorithm("x", f'{HEAD}class X(Algorithm):\n    name = "y"\n')
    with pytest.raises(ValueError, match="no class with name = 'x'"):
        algorithm_options("x")
