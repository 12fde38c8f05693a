"""Nets that read an image, from a file: the published students of T4SA 2.0, and what fine-tuning makes of them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from torch import Tensor

from nets.build import PLAN_FILE, Plan, net_of
from nets.encoders import IMAGE_NAMES, ImageEncoder, read_weights
from nets.keras_vit import ENCODER, read_keras_student
from nets.options import NetOptions
from nets.post_net import Encoders, PostNet
from nets.t4sa import T4saNet

SUFFIXES = (".h5", ".safetensors", ".pth")
"""Kinds of files that hold a student."""
CLASSES = ("negative", "neutral", "positive")
"""Those of the published students, in the order of their answers."""
PUBLISHED = {
    "boosted_model": "vit_l16",
    "ViT_L16": "vit_l16",
    "ViT_L32": "vit_l32",
    "ViT_B16": "vit_b16",
    "ViT_B32": "vit_b32",
    "merged_T4SA": "vit_b32",
    "bal_flat_T4SA2.0": "vit_b32",
    "bal_T4SA2.0": "vit_b32",
    "unb_T4SA2.0": "vit_b32",
    "B-T4SA_1.0_upd_filt": "vit_b32",
    "B-T4SA_1.0_upd": "vit_b32",
    "B-T4SA_1.0": "vit_b32",
}
"""The published students by name (Serra et al., ECAI 2023), and their image encoder."""
TWINS = {
    "boosted_model": "ViT_L16",
    "ViT_L16": "boosted_model",
    "merged_T4SA": "ViT_B32",
    "ViT_B32": "merged_T4SA",
}
"""Two names for one net: the same encoder trained on the same images, of which some releases hold one name only."""
SCALED_TO_ONE = "vit_b32"
"""The published ViT-B/32 read pixels from 0 to 1; the other students, as vit-keras' own weights, from -1 to 1."""
_SHAPES = {(768, 32): "vit_b32", (768, 16): "vit_b16", (1024, 32): "vit_l32", (1024, 16): "vit_l16"}
"""The image encoder by the width of its tokens and the pixels of its patches."""


@dataclass(frozen=True)
class ImageModel:
    """A net that answers for images, and how it reads them."""

    net: PostNet  # whole, in evaluation mode
    plan: Plan
    classes: tuple[str, ...]
    squeezed: bool
    """The whole image squeezed to the square, as the published students see it; otherwise the square in its centre."""

    def describe(self) -> dict[str, str]:
        """What `load_student` needs to know of a file with the weights of this net: the file's metadata."""
        about = {"plan": asdict(self.plan), "classes": self.classes, "squeezed": self.squeezed}
        return {name: json.dumps(value) for name, value in about.items()}


def load_student(path: Path, image_net: str = "") -> ImageModel:
    """The student in a file: .h5 (Keras), or .safetensors or .pth with the weights of a T4saNet.

    A file that fine-tuning wrote says itself what net it is of. For any other one the shapes tell which ViT it is, or
    `image_net` does. Raises ValueError for a file that cannot be read or is of another net.
    """
    if path.suffix not in SUFFIXES:
        raise ValueError(f"-m {path}: a student's file is one of {', '.join(SUFFIXES)}")
    if path.suffix == ".h5":
        if not path.is_file():
            raise ValueError(f"-m {path}: there is no such file")
        state, said = read_keras_student(path), dict[str, str]()
    else:
        state, said = read_weights(str(path), "-m")
    squeezed, classes = True, CLASSES
    if "plan" in said:
        plan = Plan(**json.loads(said["plan"]))
        net = net_of(plan)
        squeezed, classes = json.loads(said["squeezed"]), tuple(json.loads(said["classes"]))
    elif (path.parent / PLAN_FILE).is_file():
        raise ValueError(f"-m {path} is the model of a run: give the run's folder, {path.parent.parent}")
    else:
        net, plan = _published_net(path, state, image_net)
    fill(net, state, path)
    return ImageModel(net.eval(), plan, classes, squeezed)


def fill(net: PostNet, state: Mapping[str, Tensor], path: Path) -> None:
    """Put the weights of the file `path` into `net`. Raises ValueError where they are not all, and only, its own."""
    try:
        net.load_state_dict(state)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"{path} holds the weights of another net ({reason}); see --image_net") from error


def _published_net(path: Path, state: Mapping[str, Tensor], image_net: str) -> tuple[PostNet, Plan]:
    """A T4saNet, with random weights, over the ViT that the weights are of; it reads as many pixels as it has position
    embeddings for."""
    try:
        patches, places = state[f"{ENCODER}patch_embed.proj.weight"], state[f"{ENCODER}pos_embed"]
    except KeyError as error:
        raise ValueError(f"{path} holds no ViT with the head of T4SA 2.0: there is no {error.args[0]}") from error
    width, patch = patches.shape[0], patches.shape[-1]
    name = image_net or _SHAPES.get((width, patch))
    if name is None:
        known = "; ".join(f"{size} and {side} ({short})" for (size, side), short in _SHAPES.items())
        raise ValueError(
            f"{path} has {width} features a token and patches of {patch} pixels, the published students have {known}: "
            "say with --image_net which ViT of timm it is"
        )
    size = patch * math.isqrt(places.shape[1] - 1)
    timm_name = IMAGE_NAMES.get(name, name)
    to_one = timm_name == IMAGE_NAMES.get(SCALED_TO_ONE, SCALED_TO_ONE)
    scaling = {"mean": "0,0,0", "std": "1,1,1"} if to_one else {"mean": "0.5,0.5,0.5", "std": "0.5,0.5,0.5"}
    encoder = ImageEncoder(timm_name, "none", size, metadata=scaling)
    options = NetOptions(net=T4saNet.name, image_net=name, image_weights="none")
    net = T4saNet.from_options(options, Encoders(None, encoder), len(CLASSES))
    return net, Plan(T4saNet.name, len(CLASSES), asdict(options), encoder.plan, None)
