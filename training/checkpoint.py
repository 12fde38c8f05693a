"""Checkpoints that survive a crash at any moment, and files of weights.

A checkpoint is a folder `step-00000120`: `net.safetensors` and `ema.safetensors` (weights), `state.pt` (optimiser,
algorithm, counters: tensors, numbers, strings, lists and dicts only, read with `weights_only=True`) and `meta.json`
(step, what must match on resume, what is good to know, size and checksum of each file). It is written under another
name, synced to the disk and then renamed, so it is there whole or not at all. The last two are kept.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import shutil
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from datasets.folders import alone

KEPT = 2
_TEMPORARY = ".tmp-"
_PREFIX = "step-"
_UNREADABLE = (OSError, RuntimeError, ValueError, KeyError, EOFError, pickle.UnpicklingError, SafetensorError)


class CheckpointError(ValueError):
    """A checkpoint cannot be written, cannot be read, or belongs to another run."""


@dataclass(frozen=True)
class Checkpoint:
    """What was saved after `step` steps; all tensors on the CPU."""

    path: Path
    step: int
    net: dict[str, Tensor]
    ema: dict[str, Tensor]
    state: dict[str, Any]
    meta: dict[str, Any]  # what must be the same on resume: net, classes, data and split fingerprints, seed, ...
    note: dict[str, Any]  # what is good to know: options, versions


def plain_state(module: nn.Module, leave_out: str = "") -> dict[str, Tensor]:
    """The module's state on the CPU, each tensor with memory of its own, names free of what torch.compile puts in;
    without what has a name that begins with `leave_out`."""
    state = {name.replace("_orig_mod.", ""): value for name, value in module.state_dict().items()}
    return {
        name: value.detach().to("cpu", copy=True).contiguous()
        for name, value in state.items()
        if not leave_out or not name.startswith(leave_out)
    }


def load_state(module: nn.Module, state: Mapping[str, Tensor], source: Path | str) -> None:
    """Put `state`, as `plain_state` gives it, into `module`. Raises CheckpointError where names or shapes differ."""
    own = {name.replace("_orig_mod.", ""): value for name, value in module.state_dict().items()}
    problems = [f"it lacks {name}" for name in own if name not in state]
    problems += [f"it has {name}, which the net has not" for name in state if name not in own]
    problems += [
        f"{name} has shape {tuple(state[name].shape)}, the net's {tuple(value.shape)}"
        for name, value in own.items()
        if name in state and state[name].shape != value.shape
    ]
    if problems:
        more = f" and {len(problems) - 3} differences more" if len(problems) > 3 else ""
        raise CheckpointError(f"{source} holds the weights of another net: {'; '.join(problems[:3])}{more}")
    with torch.no_grad():
        for name, value in own.items():
            value.copy_(state[name])


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write(path: Path, data: bytes) -> None:
    with open(path, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def save_weights(path: Path, state: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> None:
    """Write `state` to the safetensors file `path`: the old file stays until the new one is whole.

    Raises CheckpointError where it cannot be written.
    """
    data = safetensors.torch.save(dict(state), dict(metadata or {}))
    temporary = path.with_name(_TEMPORARY + path.name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(temporary, data)
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise CheckpointError(
            f"cannot write the weights to {path}: {error.strerror}; what was there is intact"
        ) from error


def share_weights(kept: Path, path: Path, state: Callable[[], Mapping[str, Tensor]]) -> None:
    """Have the file `path` be the file of weights `kept`, under a second name, so that the disk holds it once; `state`
    gives them where `kept` is not there yet. Neither file is ever written in place, so both may be removed. Where the
    file system has no second names, or `path` lies on another one, `path` is a file of its own.

    Raises CheckpointError where a file cannot be written.
    """
    with alone(kept):
        if not kept.is_file():
            save_weights(kept, state())
    temporary = path.with_name(_TEMPORARY + path.name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.unlink(missing_ok=True)
        os.link(kept, temporary)
        os.replace(temporary, path)
        temporary.unlink(missing_ok=True)  # renaming one name of a file to another of it does nothing
    except OSError:
        save_weights(path, state())


def load_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file. Raises CheckpointError where it cannot be read."""
    try:
        return safetensors.torch.load_file(path)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"cannot read the weights in {path}: {error}") from error


def checkpoints(folder: Path) -> list[Path]:
    """The checkpoints in `folder`, oldest first."""
    found = [path for path in folder.glob(f"{_PREFIX}*") if path.is_dir() and path.name[len(_PREFIX) :].isdigit()]
    return sorted(found, key=lambda path: int(path.name[len(_PREFIX) :]))


def save_checkpoint(
    folder: Path,
    step: int,
    net: Mapping[str, Tensor],
    ema: Mapping[str, Tensor],
    state: Mapping[str, Any],
    meta: Mapping[str, Any],
    note: Mapping[str, Any],
) -> Path:
    """Write the checkpoint of `step` into `folder` and remove all but the last two. Returns its path.

    `net` and `ema` as `plain_state` gives them; `meta` and `note` must fit JSON. Raises CheckpointError, with the
    checkpoints before it intact, where it cannot be written (no space left, no permission).
    """
    packed_state = io.BytesIO()
    torch.save(dict(state), packed_state)
    files = {
        "net.safetensors": safetensors.torch.save(dict(net)),
        "ema.safetensors": safetensors.torch.save(dict(ema)),
        "state.pt": packed_state.getvalue(),
    }
    sums = {name: [len(data), zlib.crc32(data)] for name, data in files.items()}
    about = {"step": step, "meta": dict(meta), "note": dict(note), "files": sums}
    files["meta.json"] = json.dumps(about, indent=1).encode()
    path = folder / f"{_PREFIX}{step:08d}"
    temporary = folder / f"{_TEMPORARY}{path.name}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for rest in folder.glob(f"{_TEMPORARY}*"):  # of a process killed while it wrote
            shutil.rmtree(rest)
        temporary.mkdir()
        for name, data in files.items():
            _write(temporary / name, data)
        _sync_folder(temporary)
        _put_in_place(temporary, path)
        _sync_folder(folder)
        _tidy(folder, path)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise CheckpointError(
            f"cannot write the checkpoint of step {step} to {folder}: {error.strerror}; the checkpoints before it are "
            "intact: make room and go on with --resume"
        ) from error
    return path


def _tidy(folder: Path, newest: Path) -> None:
    """Keep the last two up to `newest`; those of later steps were passed over when the run went on, and go too."""
    there = checkpoints(folder)
    place = there.index(newest)
    for path in [*there[: max(0, place + 1 - KEPT)], *there[place + 1 :]]:
        shutil.rmtree(path)


def _put_in_place(temporary: Path, path: Path) -> None:
    """Rename; a checkpoint of the same step (an unreadable one that was passed over) makes way."""
    if path.exists():
        shutil.rmtree(path)
    os.rename(temporary, path)


def _read(path: Path) -> Checkpoint:
    """Read one checkpoint. Raises one of `_UNREADABLE` where a file is missing, cut off, changed or not allowed."""
    about = json.loads((path / "meta.json").read_bytes())
    files = {}
    for name, (size, checksum) in about["files"].items():
        data = (path / name).read_bytes()
        if len(data) != size:
            raise ValueError(f"{name} has {len(data)} bytes, {size} were written")
        if zlib.crc32(data) != checksum:
            raise ValueError(f"{name} is not what was written: its checksum differs")
        files[name] = data
    return Checkpoint(
        path=path,
        step=about["step"],
        net=safetensors.torch.load(files["net.safetensors"]),
        ema=safetensors.torch.load(files["ema.safetensors"]),
        state=torch.load(io.BytesIO(files["state.pt"]), map_location="cpu", weights_only=True),
        meta=about["meta"],
        note=about["note"],
    )


def _candidates(path: Path) -> list[Path]:
    """The checkpoints meant by `path`, newest first: itself, or those in it or in its `checkpoints` folder."""
    if path.name.startswith(_PREFIX) and path.is_dir():
        return [path]
    inner = path / "checkpoints"
    return checkpoints(inner if inner.is_dir() else path)[::-1]


def _differences(found: Mapping[str, Any], wanted: Mapping[str, Any], within: str = "") -> Iterator[str]:
    """Each difference in words; a long value (a fingerprint) is cut."""
    for name in dict.fromkeys([*wanted, *found]):
        was, now = found.get(name, "not there"), wanted.get(name, "not there")
        if isinstance(was, Mapping) and isinstance(now, Mapping):
            yield from _differences(was, now, f"{within}{name}: ")
        elif was != now:
            yield f"{within}{name} was {_short(was)}, now it is {_short(now)}"


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def load_checkpoint(
    path: Path, expect: Mapping[str, Any] | None = None, say: Callable[[str], None] = print
) -> Checkpoint | None:
    """The newest checkpoint of `path` (a run's folder, its `checkpoints` folder, or one checkpoint) that can be read.

    One that cannot be read is named through `say`, and the one before it is used. None where there is no checkpoint at
    all. Raises CheckpointError where none can be read, or where what was saved as `meta` is not `expect`: a run goes on
    with the same net, data, split and classes or not at all.
    """
    candidates = _candidates(path)
    for place, candidate in enumerate(candidates):
        try:
            checkpoint = _read(candidate)
        except _UNREADABLE as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            say(f"unreadable checkpoint {candidate}: {reason}")
            continue
        if place:
            say(f"going on from {checkpoint.path.name}, the newest checkpoint that can be read")
        if expect is not None:
            _check(checkpoint, expect)
        return checkpoint
    if candidates:
        raise CheckpointError(
            f"none of the {len(candidates)} checkpoints of {path} can be read: start anew with --overwrite"
        )
    return None


def _check(checkpoint: Checkpoint, expect: Mapping[str, Any]) -> None:
    """Raise CheckpointError where the checkpoint's meta is not `expect`, naming every difference."""
    wanted = json.loads(json.dumps(dict(expect)))  # as it reads after a way through JSON: tuples are lists
    differences = list(_differences(checkpoint.meta, wanted))
    if differences:
        raise CheckpointError(
            f"cannot go on from {checkpoint.path}: {'; '.join(differences)}. Give the run the options it was started "
            "with, or another --save_name"
        )
