"""Fine-tuning an image net on a benchmark as T4SA 2.0's authors do (Serra et al., ECAI 2023): everything learns, RAdam
at 1e-4 without schedule or weight decay, images are not augmented."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from tqdm import tqdm

from datasets.batch import Batch
from datasets.seeds import derive_seed, generator
from evaluation.benchmarks import Examples
from evaluation.image_answers import image_batches
from nets.encoders import read_weights, weights_fingerprint
from nets.student import ImageModel, fill
from training.checkpoint import plain_state, save_weights
from training.radam import RAdam

BLOCK_DROPOUT = 0.1
"""Dropout of vit-keras after the attention, and after either layer of the MLP, of every block."""
NEUTRAL_MASK = 1e-7
"""What the probability of neutral is multiplied by where it is masked."""
ADDONS_EPS = 1e-7
"""ε of TensorFlow Addons' RectifiedAdam."""


@dataclass(frozen=True)
class Recipe:
    """How a net is fine-tuned. `mask` multiplies the probability of neutral, in training and in the answers."""

    epochs: int
    batch_size: int
    mask: float = 1.0
    lr: float = 1e-4
    seed: int = 42


@dataclass(frozen=True)
class Reached:
    """Where a fine-tuning stands: batches done, of them how many in whole epochs."""

    batches: int
    epochs: int
    epoch_ended: bool


def fine_tune(
    model: ImageModel,
    examples: Examples,
    recipe: Recipe,
    stream: str,
    device: torch.device,
    num_workers: int = 0,
    after: Callable[[Reached], None] | None = None,
) -> None:
    """Train the net of `model` on two-class examples, in place; it is left in evaluation mode.

    Cross-entropy of logits, that of neutral shifted by log(mask): just what Keras makes of probabilities that are
    multiplied by the mask. The order of the examples in an epoch and the dropout are drawn from seed and `stream`;
    theirs were not shuffled. `after` is called after every batch, and once more after the last of an epoch. Raises
    ValueError for a net that reads texts too, or has not the classes negative and positive.
    """
    if model.net.reads != ("image",):
        reads = " and ".join(model.net.reads)
        raise ValueError(f"the net {model.plan.net!r} reads {reads}: only a net of images alone is fine-tuned here")
    net, labels = model.net.to(device), _class_ids(model, examples)
    net.requires_grad_(True)
    _set_block_dropout(net, BLOCK_DROPOUT)
    shift = _shift(model, recipe.mask).to(device)
    optimiser = RAdam(net.parameters(), lr=recipe.lr, eps=ADDONS_EPS)
    torch.manual_seed(derive_seed(recipe.seed, f"{stream} dropout"))
    done = 0
    steps = math.ceil(len(examples) / recipe.batch_size)
    with tqdm(total=recipe.epochs * steps, desc=stream, unit="batch", disable=None) as bar:
        for epoch in range(recipe.epochs):
            order = generator(recipe.seed, f"{stream} order", epoch).permutation(len(examples))
            batches = image_batches(model, examples.files, order, recipe.batch_size, device, num_workers, labels)
            for batch in batches:
                net.train()
                _step(net, batch, shift, optimiser)
                done += 1
                bar.update()
                if after is not None:
                    after(Reached(done, epoch, False))
            if after is not None:
                after(Reached(done, epoch + 1, True))
    net.eval()


def _step(net: nn.Module, batch: Batch, shift: Tensor, optimiser: torch.optim.Optimizer) -> None:
    loss = cross_entropy(net(batch).logits + shift, batch.label)
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    optimiser.step()


def _class_ids(model: ImageModel, examples: Examples) -> np.ndarray:
    """(N,) the model's ids of the examples' two classes."""
    if not {"negative", "positive"} <= set(model.classes):
        raise ValueError(f"the model has the classes {', '.join(model.classes)}, not negative and positive")
    ids = np.array([model.classes.index("negative"), model.classes.index("positive")])
    return ids[examples.label]


def _shift(model: ImageModel, mask: float) -> Tensor:
    """(C,) what the mask adds to the logits."""
    return torch.tensor([math.log(mask) if name == "neutral" else 0.0 for name in model.classes])


def _set_block_dropout(net: nn.Module, share: float) -> None:
    """Dropout in the blocks of timm's ViTs, which timm makes with none."""
    for name, module in net.named_modules():
        if isinstance(module, nn.Dropout) and name.endswith(("attn.proj_drop", "mlp.drop1", "mlp.drop2")):
            module.p = share


def masked(probabilities: np.ndarray, recipe: Recipe) -> np.ndarray:
    """(N, 3) probabilities of negative, neutral and positive with the mask on."""
    return probabilities * np.array([1.0, recipe.mask, 1.0], dtype=np.float32)


def training_key(model: ImageModel, recipe: Recipe, *examples: Examples) -> str:
    """A sha256 of all that a fine-tuned net depends on: where it starts, how it learns, and on what."""
    digest = hashlib.sha256(json.dumps([asdict(recipe), model.describe(), torch.__version__]).encode())
    digest.update(weights_fingerprint(model.net).encode())
    for some in examples:
        for file in some.files:
            digest.update(f"{file.name}\n".encode())
        digest.update(some.label.astype("<i8").tobytes())
    return digest.hexdigest()


def save_tuned(path: Path, model: ImageModel, about: Mapping[str, str]) -> None:
    """Write the net of `model` as a file that `load_student` reads, with what is to be known `about` its training."""
    save_weights(path, plain_state(model.net), model.describe() | dict(about))


def take_tuned(path: Path, model: ImageModel, about: Mapping[str, str]) -> bool:
    """Whether the file `path` says all that is `about`; if so, `model` then has its weights."""
    if not path.is_file():
        return False
    state, said = read_weights(str(path), "fine-tuned model")
    if not about.items() <= said.items():
        return False
    fill(model.net, state, path)
    return True


def fresh_copies(model: ImageModel) -> Iterator[ImageModel]:
    """The model again and again, each time with the weights that it has now."""
    state = plain_state(model.net)
    while True:
        model.net.load_state_dict(state)
        yield model
