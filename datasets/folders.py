"""Cache folders that are either complete or not there."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR}
"""What the disk, not the program, has against writing."""


def _sync(path: Path) -> None:
    """Have the disk hold what was written to a file or a folder."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


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
        for file in temporary.iterdir():
            _sync(file)
        try:
            temporary.rename(path)
        except OSError:
            if not path.is_dir():
                raise
        _sync(path.parent)
    except OSError as error:
        if error.errno not in DISK_ERRORS:
            raise
        raise ValueError(
            f"cannot write {path}: {error.strerror or error}; make room there or choose another --cache_dir"
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


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
