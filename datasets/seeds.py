"""Every random draw of the house is a function of (seed, stream, step), so no generator state is ever saved."""

from __future__ import annotations

import hashlib

import numpy as np


def derive_seed(seed: int, stream: str, *steps: int) -> int:
    """A 63-bit seed for one draw; the same on every machine.

    `stream` names what is drawn ("labelled order", "strong view", "dropout"), `steps` say when (epoch, step, rank).
    """
    key = ":".join([str(seed), stream, *map(str, steps)]).encode()
    return int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "little") >> 1


def generator(seed: int, stream: str, *steps: int) -> np.random.Generator:
    """A private NumPy generator for one draw."""
    return np.random.default_rng(derive_seed(seed, stream, *steps))
