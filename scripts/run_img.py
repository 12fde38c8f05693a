"""The image alone, as published: `python3 scripts/run_img.py --model_name vit --task 2`."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scripts.published import start
from training.published_flags import (
    WIDTH,
    ImageFlags,
    PublishedFlags,
    PublishedRun,
    file_name,
    image_words,
    warn_of_dead_flags,
)


@dataclass(frozen=True, kw_only=True)
class OnlyImageFlags(ImageFlags, PublishedFlags):
    """The image alone, the whole encoder fine-tuned (Sanchez Villegas et al., Findings of EACL 2024)"""

    own_names: ClassVar = {"image_net": "model_name"}

    model_name: str
    """vit, beit, deit, resnet50, resnet152, or any other that main.py --image_net knows."""
    feature_extract: bool = False
    """The encoder stays as it is."""
    save_preds: bool = False
    """Write the classes of the test posts."""
    conv_att: bool = False
    """Never did anything in the published code, which lacks the class that it asks for; ignored."""


def run_of(flags: OnlyImageFlags) -> PublishedRun:
    """The run that the flags stand for."""
    warn_of_dead_flags(flags, "conv_att", "use_loss_correction")
    words = ["--net", "image", *WIDTH, *image_words(flags.model_name, flags)]
    words += ["--freeze", "image"] if flags.feature_extract else []
    return PublishedRun(
        "img_only", f"{file_name(flags.model_name)}_task{flags.task}_seed{flags.seed}", flags, tuple(words),
        preds=flags.save_preds,
    )  # fmt: skip


def main(argv: list[str]) -> int:
    """Run the command line `argv`."""
    return start("run_img.py", OnlyImageFlags, run_of, argv)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
