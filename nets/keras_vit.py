"""The published weights of T4SA 2.0: a Keras file of vit-keras' ViT with its head, read as the weights of a T4saNet.

Names and shapes are those of vit-keras 0.1 (github.com/faustomorales/vit-keras, layers.py and vit.py) inside a Keras
Sequential with Dense(32, GELU) and Dense(3, softmax). Nothing is approximated: both nets normalise with ε = 1e-6, add
position embeddings after the class token, and use the exact GELU in the blocks (vit-keras does so since 0.1; in the
head it is computed by tanh, see nets/t4sa.py). timm keeps query, key and value in one matrix.
"""

from __future__ import annotations

import re
from pathlib import Path

import h5py
import numpy as np
import torch
from torch import Tensor

ENCODER = "encoders.live.image.net."
"""Where a PostNet keeps the weights of its image encoder."""
_OUTSIDE = {
    "embedding/bias": "patch_embed.proj.bias",
    "encoder_norm/gamma": "norm.weight",
    "encoder_norm/beta": "norm.bias",
}
_ALONE = {"cls": "cls_token", "pos_embedding": "pos_embed"}
_IN_BLOCK = {
    "LayerNorm_0/gamma": "norm1.weight",
    "LayerNorm_0/beta": "norm1.bias",
    "LayerNorm_2/gamma": "norm2.weight",
    "LayerNorm_2/beta": "norm2.bias",
    "out/kernel": "attn.proj.weight",
    "out/bias": "attn.proj.bias",
    "Dense_0/kernel": "mlp.fc1.weight",
    "Dense_0/bias": "mlp.fc1.bias",
    "Dense_1/kernel": "mlp.fc2.weight",
    "Dense_1/bias": "mlp.fc2.bias",
}
_ATTENTION = ("query", "key", "value")
_BLOCK = re.compile(r"encoderblock_(\d+)/")
_HEAD = re.compile(r"dense(?:_(\d+))?/(kernel|bias)$")


def read_keras_student(path: Path) -> dict[str, Tensor]:
    """The weights in a Keras .h5 file (of `save` or of `save_weights`) by their names in a T4saNet.

    Raises ValueError for a file that cannot be read, and for one of another net.
    """
    found = _datasets(path)
    state: dict[str, Tensor] = {}
    attention: dict[str, dict[str, np.ndarray]] = {}
    head: dict[int, dict[str, np.ndarray]] = {}
    for name, value in found.items():
        last = "/".join(name.split("/")[-2:])
        block, layer = _BLOCK.search(name), _HEAD.match(last)
        if block and last.startswith(_ATTENTION):
            part, kind = last.split("/")
            attention.setdefault(f"blocks.{block[1]}.attn.qkv.{_kind(kind)}", {})[part] = value
        elif block and last in _IN_BLOCK:
            state[f"{ENCODER}blocks.{block[1]}.{_IN_BLOCK[last]}"] = _tensor(value)
        elif last == "embedding/kernel":  # (P, P, 3, D) to (D, 3, P, P)
            state[f"{ENCODER}patch_embed.proj.weight"] = torch.from_numpy(value.transpose(3, 2, 0, 1).copy())
        elif last in _OUTSIDE or last.split("/")[-1] in _ALONE:
            state[ENCODER + (_OUTSIDE.get(last) or _ALONE[last.split("/")[-1]])] = _tensor(value)
        elif layer:
            head.setdefault(int(layer[1] or 0), {})[layer[2]] = value
        else:
            raise ValueError(f"{path}: {name} is no weight of a ViT of vit-keras with a head of two dense layers")
    for name, parts in attention.items():
        if set(parts) != set(_ATTENTION):
            raise ValueError(f"{path}: {name} lacks one of query, key and value")
        state[f"{ENCODER}{name}"] = torch.cat([_tensor(parts[part]) for part in _ATTENTION])
    if len(head) != 2:
        raise ValueError(f"{path} has {len(head)} dense layers after the ViT, a student of T4SA 2.0 has 2")
    for place, number in zip(("hidden.0", "classify"), sorted(head), strict=True):
        for kind, value in head[number].items():
            state[f"{place}.{_kind(kind)}"] = _tensor(value)
    return state


def _datasets(path: Path) -> dict[str, np.ndarray]:
    """Every float32 array of the file by its path, without `:0` at the end; the optimiser's are left out."""
    found: dict[str, np.ndarray] = {}

    def take(name: str, item: h5py.Dataset | h5py.Group) -> None:
        if isinstance(item, h5py.Dataset) and not name.startswith("optimizer_weights"):
            found[name.removesuffix(":0")] = np.asarray(item, dtype=np.float32)

    try:
        with h5py.File(path, "r") as file:
            file.visititems(take)
    except (OSError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: not a readable Keras file of weights ({str(error).splitlines()[0]})") from error
    return found


def _kind(keras: str) -> str:
    return "weight" if keras == "kernel" else "bias"


def _tensor(value: np.ndarray) -> Tensor:
    """A dense layer's kernel is (in, out) in Keras and (out, in) in torch; all else is the same."""
    return torch.from_numpy(np.ascontiguousarray(value.T if value.ndim == 2 else value)).clone()
