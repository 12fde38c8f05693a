"""Folders and files that are either complete or not there."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

DISK_ERRORS = {
    errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EISDIR,
}  # fmt: skip
"""What the disk, not the program, has against writing."""


class KeptError(ValueError):
    """A user's mistake after which an unfinished folder stays as it is, since it belongs to something else."""


def _sync(path: Path) -> None:
    """Have the disk hold what was written to a file or a folder."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _publish(temporary: Path, path: Path) -> None:
    """Give a whole folder its name. Where another process was first, its folder stays."""
    for file in temporary.iterdir():
        _sync(file)
    try:
        temporary.rename(path)
    except OSError:
        if not path.is_dir():
            raise
    _sync(path.parent)


def _refusal(path: Path, error: OSError) -> ValueError:
    """What a person is told where the disk has something against writing; any other error is raised as it is."""
    if error.errno not in DISK_ERRORS:
        raise error
    reason = error.strerror or error
    return ValueError(f"cannot write {path}: {reason}; make room there or choose another --cache_dir")


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A temporary folder beside `path` to write into; it takes that name once the block has ended well.

    Where another process was first, its folder stays: caches are keyed by what is in them, so both hold the same.
    Raises ValueError where the disk refuses; what was written so far is removed.
    """
    temporary = path.with_name(f".{path.name}-{uuid4().hex[:8]}")
    try:
        temporary.mkdir(parents=True)
        yield temporary
        _publish(temporary, path)
    except OSError as error:
        raise _refusal(path, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def claim(file: Path) -> None:
    """Have the disk give all the room of an array's file of zeros that nothing was written to yet.

    A mapped file is sparse until written, and a disk that fills up then kills the process. Raises OSError where there
    is no room.
    """
    size = file.stat().st_size
    with open(file, "rb+") as handle:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(handle.fileno(), 0, size)
            return
        import numpy as np  # here alone: what only writes files starts sooner without it

        np.lib.format.read_magic(handle)  # macOS has no such call: there the zeros are written
        np.lib.format.read_array_header_1_0(handle)
        while rest := size - handle.tell():
            handle.write(bytes(min(rest, 2**20)))
        handle.flush()
        os.fsync(handle.fileno())


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """A temporary file beside `path` to write; it takes that name once the block has ended well.

    What a killed process left is written over. The folder is made where it is not there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".partial")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def writing(what: Path | str, advice: str = "") -> Iterator[None]:
    """Around the writing of what a person asked for. Raises ValueError, which ends in the `advice`, where the disk
    refuses."""
    try:
        yield
    except OSError as error:
        raise ValueError(f"{what} cannot be written: {error.strerror or error}{advice}") from error


@contextmanager
def new_result(path: Path, advice: str = "") -> Iterator[Path]:
    """`new_file` for what a person asked for; raises as `writing` does."""
    with writing(path, advice), new_file(path) as temporary:
        yield temporary


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Only one process at a time makes the cache folder `path`; what a killed one left is cleared away.

    Raises ValueError where the folder that `path` is in cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT)
    except OSError as error:
        raise ValueError(f"--cache_dir: {path.parent} cannot be written ({error.strerror})") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for left in path.parent.glob(f".{path.name}-*"):
            shutil.rmtree(left, ignore_errors=True)
        yield
    finally:
        os.close(lock)


def unfinished(path: Path) -> Path:
    """Where `resumable_folder` keeps what is to become `path`."""
    return path.with_name(f".{path.name}.unfinished")


@contextmanager
def resumable_folder(path: Path) -> Iterator[Path]:
    """Like `new_folder`, but what a killed or interrupted process wrote is there again when it is started anew.

    An error removes it, as in `new_folder`, unless it is a KeptError. Raises ValueError where another process writes
    the same folder now.
    """
    temporary = unfinished(path)
    try:
        temporary.mkdir(parents=True, exist_ok=True)
        lock = os.open(temporary, os.O_RDONLY)
    except OSError as error:
        raise _refusal(path, error) from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(
                f"{path} is being written by another process: wait for it or name another folder"
            ) from None
        try:
            yield temporary
            _publish(temporary, path)
            shutil.rmtree(temporary, ignore_errors=True)  # there only where another process was first
        except Exception as error:
            if not isinstance(error, KeptError):
                shutil.rmtree(temporary, ignore_errors=True)
            if isinstance(error, OSError):
                raise _refusal(path, error) from error
            raise
    finally:
        os.close(lock)
