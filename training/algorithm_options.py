"""The options of an algorithm, read from its file without importing it.

An algorithm's file imports torch, which takes seconds; `--help` must answer in half of one. So the file is parsed, and
only its nested class `Options` is executed, with the few names that a dataclass of options needs. A test holds that the
result equals the class that an import gives.
"""

from __future__ import annotations

import ast
import inspect
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any

import tyro

import algorithms

LIGHT = {"dataclasses", "typing", "collections.abc", "math", "tyro"}
"""Modules whose names the class `Options` may use, besides those of algorithms/options.py."""


@cache
def algorithm_options(name: str) -> type:
    """The dataclass `Options` of the algorithm called `name`.

    Raises ValueError for an algorithm that there is not, or a file whose options cannot be read this way.
    """
    there = algorithms.names()
    if name not in there:
        raise ValueError(f"--algorithm {name}: there is none of that name; there are {', '.join(there)}")
    for node in _parse(name):
        if isinstance(node, ast.ClassDef) and _name_variable(node) == name:
            return _options(name, node.name)
    raise ValueError(f"algorithms/{name}.py has no class with name = {name!r}")


@cache
def _parse(module: str) -> tuple[ast.stmt, ...]:
    """The statements of a file of algorithms/."""
    path = Path(algorithms.__file__).with_name(f"{module}.py")
    return tuple(ast.parse(path.read_text(encoding="utf-8"), str(path)).body)


def _name_variable(node: ast.ClassDef) -> str | None:
    """The string that the class variable `name` is set to."""
    for line in node.body:
        target = line.targets[0] if isinstance(line, ast.Assign) else getattr(line, "target", None)
        value = getattr(line, "value", None)
        if isinstance(target, ast.Name) and target.id == "name" and isinstance(value, ast.Constant):
            return str(value.value)
    return None


@cache
def _options(module: str, class_name: str) -> type:
    """`Options` of a class of algorithms/<module>.py: its own, or that of the first base class that has one."""
    owner = next(node for node in _parse(module) if isinstance(node, ast.ClassDef) and node.name == class_name)
    homes = _homes(module)
    for node in owner.body:
        if isinstance(node, ast.ClassDef) and node.name == "Options":
            return _execute(module, owner, node)
    for base in owner.bases:
        if isinstance(base, ast.Name) and base.id in homes:
            return _options(*homes[base.id])
    raise ValueError(f"algorithms/{module}.py: the class {owner.name} has no Options")


@cache
def _homes(module: str) -> dict[str, tuple[str, str]]:
    """Where the classes that a file knows are written: name → (module of algorithms/, name there)."""
    homes = {}
    for node in _parse(module):
        if isinstance(node, ast.ClassDef):
            homes[node.name] = (module, node.name)
        elif isinstance(node, ast.ImportFrom):
            package, _, other = (node.module or "").partition(".")
            if package == "algorithms" and other and "." not in other:
                homes |= {alias.asname or alias.name: (other, alias.name) for alias in node.names}
    return homes


def _execute(module: str, owner: ast.ClassDef, node: ast.ClassDef) -> type:
    """The class that the statement `node` inside the class `owner` makes."""
    names: dict[str, Any] = {}
    for word in (used.id for used in ast.walk(node) if isinstance(used, ast.Name)):
        home = _homes(module).get(word)
        if home is not None:  # a base class: PseudoLabelOptions, or Other in Other.Options
            names[word] = _shared()[home[1]] if home[0] == "options" else SimpleNamespace(Options=_options(*home))
    try:
        return _run(module, [node], names)["Options"]
    except NameError as error:
        raise ValueError(
            f"algorithms/{module}.py: the class {owner.name}.Options is read without importing the file, so it may use "
            f"names of {', '.join(sorted(LIGHT))} and algorithms.options only ({error})"
        ) from error


@cache
def _shared() -> dict[str, Any]:
    """The classes of algorithms/options.py; run as the others are, for an import would lose their help."""
    return _run("options", [line for line in _parse("options") if isinstance(line, ast.ClassDef)], {})


def _run(module: str, classes: list[ast.ClassDef], names: dict[str, Any]) -> dict[str, Any]:
    """The names after the file's light imports and these class statements."""
    imports = filter(_is_light, _parse(module))
    tree = ast.Module([*imports, *map(_with_help, classes)], type_ignores=[])
    names = {**names, "__name__": f"algorithms.{module}", "_Annotated": Annotated, "_arg": tyro.conf.arg}
    # dont_inherit: annotations must be evaluated here, as no module has the names that they need later
    exec(compile(ast.fix_missing_locations(tree), f"algorithms/{module}.py", "exec", dont_inherit=True), names)
    return names


def _is_light(line: ast.stmt) -> bool:
    """Whether a statement imports from light modules alone."""
    if isinstance(line, ast.ImportFrom):
        return line.module in LIGHT
    return isinstance(line, ast.Import) and {alias.name for alias in line.names} <= LIGHT


def _with_help(node: ast.ClassDef) -> ast.ClassDef:
    """The class with the string under each field moved into its annotation: tyro finds such strings in files only."""
    body: list[ast.stmt] = []
    for line in node.body:
        text = line.value.value if isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant) else None
        if isinstance(text, str) and body and isinstance(body[-1], ast.AnnAssign):
            above = body[-1]
            argument = ast.keyword("help", ast.Constant(inspect.cleandoc(text)))
            pair = [above.annotation, ast.Call(ast.Name("_arg", ast.Load()), [], [argument])]
            annotation = ast.Subscript(ast.Name("_Annotated", ast.Load()), ast.Tuple(pair, ast.Load()), ast.Load())
            body[-1] = ast.AnnAssign(above.target, annotation, above.value, above.simple)
        else:
            body.append(line)
    kept = {part: getattr(node, part) for part in node._fields if part != "body"}
    return ast.ClassDef(**kept, body=body)
