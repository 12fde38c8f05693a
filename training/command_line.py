"""The command line of main.py, built by tyro from the dataclasses of options. Imports no torch: `--help` is quick.

What tyro does not do is done before it: flags of the seeds that never did anything, `--amp True`, a file of options,
and errors that name the algorithm to which a flag belongs.
"""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, make_dataclass
from pathlib import Path
from typing import Annotated, Any, NoReturn, get_type_hints

import tyro
import yaml

import algorithms
from datasets.options import DataOptions, WorldOptions
from nets.options import NetOptions
from training.algorithm_options import algorithm_options
from training.options import RunOptions, TrainingOptions

DEAD = {
    "--hard_label", "--T", "--noise_th", "--ldl_ratio", "--alpha", "--dynamic_th", "--dis_ce", "--update_m",
    "--low_dim", "--lam_c", "--lam_d", "--net_from_name", "--depth", "--widen_factor", "--leaky_slope", "--c",
    "--add_ulb", "--train_sampler",
}  # fmt: skip
"""Flags of SCRD's command line that nothing ever read, or that had one possible value."""

RELEASED = "scrd_released"
"""The algorithm that `--algorithm scrd --scrd_variant released` stands for."""

HELP = ("-h", "--help")

CONFIG_HELP = "YAML file of options, a flat mapping of flags to values; the command line wins over it."
SHARED: dict[str, type] = {
    "run": RunOptions,
    "data": DataOptions,
    "world": WorldOptions,
    "net": NetOptions,
    "training": TrainingOptions,
}


@dataclass(frozen=True)
class Options:
    """Everything that a run was asked for. `algorithm` is the algorithm's own `Options`, read from its file."""

    run: RunOptions
    data: DataOptions
    world: WorldOptions
    net: NetOptions
    training: TrainingOptions
    algorithm: Any


@dataclass(frozen=True)
class Flag:
    """One option on the command line."""

    name: str  # without dashes: the field of its dataclass
    group: str  # the field of `Options` that holds it
    spellings: tuple[str, ...]  # "--num_labels", "-nl"
    is_bool: bool


def flags_of(group: str, options: type) -> list[Flag]:
    """The flags of one dataclass of options."""
    hints = get_type_hints(options, include_extras=True)
    found = []
    for part in fields(options):
        extras = getattr(hints[part.name], "__metadata__", ())
        aliases = [alias for extra in extras for alias in getattr(extra, "aliases", None) or ()]
        is_bool = getattr(hints[part.name], "__origin__", hints[part.name]) is bool
        found.append(Flag(part.name, group, (f"--{part.name}", *aliases), is_bool))
    return found


def flags(algorithm: str) -> list[Flag]:
    """The flags that there are with this algorithm, `--config` and `--help` apart."""
    groups = {**SHARED, "algorithm": algorithm_options(algorithm)}
    return [flag for group, options in groups.items() for flag in flags_of(group, options)]


def parse(argv: Sequence[str], under: Path | str | None = None, prog: str = "main.py") -> Options:
    """Read a command line, without the program's name.

    A value on the command line wins over one in the file of `--config`, that one over one in the file `under` (such as
    a run's options.yaml), and that one over a default. Of a file written for another algorithm than the one asked for,
    that algorithm's own options do not count. A user's mistake ends the program with exit code 2.
    """
    try:
        given = _split(argv)
        config = next((values[-1] for spelling, values in reversed(given) if spelling == "--config" and values), None)
        files = [Path(path) for path in (under, config) if path]
        read = [item for path in files for item in _read(path)]
        written_for = {values[-1] for spelling, values in read if spelling == "--algorithm"}
        algorithm = _bring_together(read, given)
        if others := written_for - {algorithm}:
            read = _without_those_of_others(read, algorithm)
            named = f"{' and '.join(map(str, files))}: what is an option of {', '.join(sorted(others))} alone"
            print(f"note: {named} does not count with --algorithm {algorithm}", file=sys.stderr)
        wants_help = any(spelling in HELP for spelling, _ in given)
        arguments = _arguments(read if wants_help else read + given, algorithm)
        line = _line(algorithm)
    except ValueError as error:
        _refuse(prog, str(error))

    def read_by_tyro(words: Sequence[str], usual: Any = tyro.MISSING_NONPROP) -> Any:
        """What tyro makes of `words`, over the values `usual`; its errors and its help end the program."""
        return tyro.cli(
            line,
            prog=prog,
            description=_description(algorithm),
            args=words,
            default=usual,
            use_underscores=True,
            config=(tyro.conf.OmitArgPrefixes,),
        )

    try:
        answer = read_by_tyro(arguments)
        if wants_help:
            read_by_tyro(["--help"], answer)
    except SystemExit as stop:
        if stop.code and files:
            print(f"(options were read from {' and '.join(map(str, files))} too)", file=sys.stderr)
        raise
    return Options(**{part.name: getattr(answer, part.name) for part in fields(Options)})


def flat_options(options: Options) -> dict[str, Any]:
    """Every option's value by its flag."""
    return {name: value for group in asdict(options).values() for name, value in group.items()}


def save_options(options: Options, path: Path | str) -> None:
    """Write every option, defaults too, as a flat YAML mapping that `--config` and `load_options` read."""
    text = yaml.safe_dump(flat_options(options), sort_keys=False, allow_unicode=True)
    Path(path).write_text(text, encoding="utf-8")


def load_options(path: Path | str) -> Options:
    """The options that `save_options` wrote. Ends the program like `parse` where the file is no such file."""
    return parse([], under=path)


def _refuse(prog: str, sentence: str) -> NoReturn:
    """End the program as argparse does for a user's mistake."""
    print(f"{prog}: {sentence}", file=sys.stderr)
    raise SystemExit(2)


def _split(argv: Sequence[str]) -> list[tuple[str, list[str]]]:
    """The flags, each with the values after it; hyphens inside a long flag become underscores."""
    given: list[tuple[str, list[str]]] = []
    for token in argv:
        if not re.match(r"--?[A-Za-z]", token):
            if not given:
                raise ValueError(f"{token!r} stands before the first flag; every option is a flag, see --help")
            given[-1][1].append(token)
            continue
        spelling, equals, value = token.partition("=")
        if spelling.startswith("--"):
            spelling = "--" + spelling[2:].replace("-", "_")
        given.append((spelling, [value] if equals else []))
    return given


def _read(path: Path) -> list[tuple[str, list[str]]]:
    """The flags and values of a YAML file."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ValueError(f"the options in {path} cannot be read: {' '.join(str(error).split())}") from error
    if not isinstance(content or {}, Mapping):
        raise ValueError(f"{path} must hold a flat mapping of flags to values, such as 'num_labels: 600'")
    given = []
    for key, value in (content or {}).items():
        values = value if isinstance(value, list) else [value]
        if value is None or any(isinstance(part, (Mapping, list)) for part in values):
            raise ValueError(f"{path}: {key} must have one plain value, it has {value!r}")
        if key in ("config", "help"):
            raise ValueError(f"{path}: {key} works on the command line only")
        given.append((f"--{key}", [str(part) for part in values]))
    return given


def _arguments(given: Sequence[tuple[str, list[str]]], algorithm: str) -> list[str]:
    """What tyro reads: every flag once, under its own name, with its last value."""
    there = flags(algorithm)
    table = {spelling: flag for flag in there for spelling in flag.spellings}
    table |= {f"--no_{flag.name}": flag for flag in there if flag.is_bool}
    table["--config"] = Flag("config", "", ("--config",), False)
    chosen: dict[str, list[str]] = {}
    for spelling, values in given:
        flag = table.get(spelling)
        if flag is not None:
            chosen.pop(flag.name, None)
            chosen[flag.name] = [_switch(flag, spelling, values)] if flag.is_bool else _assign(flag.name, values)
        elif spelling in DEAD:
            instead = "; a file of options is read by --config" if spelling == "--c" else ""
            print(f"warning: {spelling} never did anything in SCRD; it is ignored{instead}", file=sys.stderr)
        else:
            raise ValueError(_unknown(spelling, algorithm, table))
    return [argument for arguments in chosen.values() for argument in arguments]


def _bring_together(read: list[tuple[str, list[str]]], given: list[tuple[str, list[str]]]) -> str:
    """The algorithm that the flags `read` from files and those `given` on the command line ask for.

    What files say of it counts only where the command line names none, and is taken out of `read` where it does; of
    which SCRD it is they may still say. The released one is an algorithm with a file and options of its own, that two
    flags name; `given` then gets both.
    """
    named = next((values[-1:] for spelling, values in reversed(given) if spelling == "--algorithm"), None)
    if named is not None:
        told = ("--algorithm",) if named == ["scrd"] else ("--algorithm", "--scrd_variant")
        read[:] = [item for item in read if item[0] not in told]
    last = {spelling: values[-1] if values else "" for spelling, values in read + given}
    algorithm, variant = last.get("--algorithm", RunOptions.algorithm), last.get("--scrd_variant")
    if variant == "released" and algorithm not in ("scrd", RELEASED):
        raise ValueError(f"--scrd_variant released is one of --algorithm scrd, the algorithm here is {algorithm}")
    if variant == "reconstructed" and algorithm == RELEASED:
        raise ValueError(f"--scrd_variant reconstructed is --algorithm scrd, not {RELEASED}; give one of the two")
    if variant == "released" or (variant is None and algorithm == RELEASED):
        given += [("--algorithm", [RELEASED]), ("--scrd_variant", ["released"])]
        return RELEASED
    return algorithm


def _without_those_of_others(read: list[tuple[str, list[str]]], algorithm: str) -> list[tuple[str, list[str]]]:
    """The flags read from files but for options of other algorithms than `algorithm`."""
    own = {spelling for flag in flags(algorithm) for spelling in flag.spellings}
    return [item for item in read if item[0] in own or not _owners(item[0])]


def _switch(flag: Flag, spelling: str, values: Sequence[str]) -> str:
    """A boolean flag in tyro's way, `--amp` or `--no_amp`, from `--amp`, `--amp True`, `--amp False` or `--no_amp`."""
    word = " ".join(values).lower()
    if word not in ("", "true", "1", "yes", "false", "0", "no"):
        raise ValueError(f"{spelling} is True or False, not {' '.join(values)!r}")
    is_on = (word in ("", "true", "1", "yes")) != (spelling == f"--no_{flag.name}")
    return f"--{flag.name}" if is_on else f"--no_{flag.name}"


def _assign(name: str, values: Sequence[str]) -> list[str]:
    """A flag with its values; one value is joined with `=`, so that it may be empty or start with a hyphen."""
    return [f"--{name}={values[0]}"] if len(values) == 1 else [f"--{name}", *values]


def _unknown(spelling: str, algorithm: str, known: Mapping[str, Flag]) -> str:
    """The sentence about a flag that there is not."""
    owners = _owners(spelling)
    if owners:
        return f"{spelling} is an option of --algorithm {', '.join(owners)}; the algorithm here is {algorithm}"
    bare = spelling.lstrip("-")
    candidates = [other for other in known if not other.startswith("--no_") or bare.startswith("no")]
    longer = [other for other in candidates if other.lstrip("-").startswith(bare)] if len(bare) > 2 else []
    near = list(dict.fromkeys(longer + difflib.get_close_matches(spelling, candidates, n=3, cutoff=0.6)))[:3]
    advice = f"did you mean {' or '.join(near)}?" if near else "--help lists the flags that there are"
    return f"there is no flag {spelling}; {advice}"


def _owners(spelling: str) -> list[str]:
    """The algorithms that have an option of this spelling."""
    return [
        name
        for name in algorithms.names()
        if any(spelling in flag.spellings for flag in flags_of("algorithm", algorithm_options(name)))
    ]


def _line(algorithm: str) -> type:
    """The whole command line as one dataclass."""
    config = Annotated[str, tyro.conf.arg(help=CONFIG_HELP)]
    parts: list[tuple[str, Any, Any]] = [("config", config, field(default=""))]
    for group, options in {**SHARED, "algorithm": algorithm_options(algorithm)}.items():
        parts.append((group, options, field(default=options())))
    return make_dataclass("Line", parts, frozen=True)


def _description(algorithm: str) -> str:
    """The text above the list of options."""
    others = ", ".join(name for name in algorithms.names() if name != algorithm)
    return (
        "Learn the sentiment of posts (image, text or both) from a few labels and many unlabelled posts. With no data "
        f"given: on a synthetic world. The options of {algorithm} itself come last; those of another algorithm "
        f"({others}) are shown by --algorithm NAME --help."
    )
