"""Files of weights as vit-keras and Keras write them, and what such a net answers, by NumPy alone."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
from scipy.special import erf

WIDTH, DEPTH, HEADS, MLP, PATCH, SIZE = 64, 6, 2, 192, 16, 32
"""timm's test_vit, on 32 pixels."""
NET = "test_vit"
_ATTENTION = "MultiHeadDotProductAttention_1"

Weights = dict[str, np.ndarray]


def keras_weights(seed: int = 0) -> Weights:
    """The weights of a student, random, by the names that vit-keras and Keras give them."""
    draw = np.random.default_rng(seed)

    def random(*shape: int) -> np.ndarray:
        return draw.normal(0, 0.2, shape).astype(np.float32)

    weights = {
        "embedding/kernel:0": random(PATCH, PATCH, 3, WIDTH),
        "embedding/bias:0": random(WIDTH),
        "class_token/cls:0": random(1, 1, WIDTH),
        "Transformer/posembed_input/pos_embedding:0": random(1, (SIZE // PATCH) ** 2 + 1, WIDTH),
    }
    for block in range(DEPTH):
        name = f"Transformer/encoderblock_{block}"
        for part in ("query", "key", "value", "out"):
            weights[f"{name}/{_ATTENTION}/{part}/kernel:0"] = random(WIDTH, WIDTH)
            weights[f"{name}/{_ATTENTION}/{part}/bias:0"] = random(WIDTH)
        for part, shape in (("Dense_0", (WIDTH, MLP)), ("Dense_1", (MLP, WIDTH))):
            weights[f"{name}/{part}/kernel:0"] = random(*shape)
            weights[f"{name}/{part}/bias:0"] = random(shape[1])
        for part in ("LayerNorm_0", "LayerNorm_2"):
            weights[f"{name}/{part}/gamma:0"] = 1 + random(WIDTH)
            weights[f"{name}/{part}/beta:0"] = random(WIDTH)
    weights["Transformer/encoder_norm/gamma:0"] = 1 + random(WIDTH)
    weights["Transformer/encoder_norm/beta:0"] = random(WIDTH)
    for part, shape in (("dense_9", (WIDTH, 32)), ("dense_10", (32, 3))):
        weights[f"{part}/kernel:0"] = random(*shape)
        weights[f"{part}/bias:0"] = random(shape[1])
    return weights


def write_keras(path: Path, weights: Weights, nested: bool = False, root: str = "model_weights/") -> Path:
    """Write `weights` as Keras' `save` does (root "": `save_weights`), with the state of an optimiser beside them.

    `nested`: as a model that holds the whole student as one layer, as the published folds are.
    """
    with h5py.File(path, "w") as file:
        for name, value in weights.items():
            head = name.split("/")[0]
            layer = "vision_transformer" if nested else head if head.startswith("dense") else "vit-b32"
            file[f"{root}{layer}/{name}"] = value
        if root:
            file["optimizer_weights/RectifiedAdam/iter:0"] = np.int64(7)
            file["optimizer_weights/RectifiedAdam/dense_9/kernel/m:0"] = np.zeros((WIDTH, 32), np.float32)
    return path


def keras_answers(weights: Weights, images: np.ndarray) -> np.ndarray:
    """(B, 3) probabilities for (B, S, S, 3) images that are scaled already: vit-keras' layers one after the other."""

    def norm(value: np.ndarray, name: str) -> np.ndarray:
        mean, variance = value.mean(-1, keepdims=True), value.var(-1, keepdims=True)
        return (value - mean) / np.sqrt(variance + 1e-6) * weights[f"{name}/gamma:0"] + weights[f"{name}/beta:0"]

    def dense(value: np.ndarray, name: str) -> np.ndarray:
        return value @ weights[f"{name}/kernel:0"] + weights[f"{name}/bias:0"]

    def softmax(value: np.ndarray) -> np.ndarray:
        value = np.exp(value - value.max(-1, keepdims=True))
        return value / value.sum(-1, keepdims=True)

    batch, side = len(images), SIZE // PATCH
    patches = images.astype(np.float64).reshape(batch, side, PATCH, side, PATCH, 3).transpose(0, 1, 3, 2, 4, 5)
    tokens = patches.reshape(batch, side * side, -1) @ weights["embedding/kernel:0"].reshape(-1, WIDTH)
    tokens = tokens + weights["embedding/bias:0"]
    first = np.broadcast_to(weights["class_token/cls:0"], (batch, 1, WIDTH))
    x = np.concatenate([first, tokens], 1) + weights["Transformer/posembed_input/pos_embedding:0"]
    for block in range(DEPTH):
        name = f"Transformer/encoderblock_{block}"
        y = norm(x, f"{name}/LayerNorm_0")
        q, k, v = (
            dense(y, f"{name}/{_ATTENTION}/{part}").reshape(batch, -1, HEADS, WIDTH // HEADS).transpose(0, 2, 1, 3)
            for part in ("query", "key", "value")
        )
        seen = softmax(q @ k.transpose(0, 1, 3, 2) / np.sqrt(WIDTH // HEADS)) @ v
        x = x + dense(seen.transpose(0, 2, 1, 3).reshape(batch, -1, WIDTH), f"{name}/{_ATTENTION}/out")
        y = dense(norm(x, f"{name}/LayerNorm_2"), f"{name}/Dense_0")
        x = x + dense(y * (1 + erf(y / np.sqrt(2))) / 2, f"{name}/Dense_1")
    x = norm(x, "Transformer/encoder_norm")[:, 0]
    y = dense(x, "dense_9")
    y = y * (1 + np.tanh(np.sqrt(2 / np.pi) * (y + 0.044715 * y**3))) / 2
    return softmax(dense(y, "dense_10"))
