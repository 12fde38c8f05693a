"""Late fusion of a text and an image encoder, as published:
`python3 scripts/run_mm_late.py --txt_model_name bernice --img_model_name vit --fusion_name attention --task 2`."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scripts.published import start
from training.published_flags import (
    FUSIONS,
    WIDTH,
    EarlyNet,
    ImageFlags,
    LossFlags,
    PublishedFlags,
    PublishedRun,
    TextFlags,
    file_name,
    image_words,
    pooling_words,
    text_words,
    warn_of_dead_flags,
)


@dataclass(frozen=True, kw_only=True)
class LateFlags(TextFlags, ImageFlags, LossFlags, PublishedFlags):
    """Late fusion of text and image (Sanchez Villegas et al., Findings of EACL 2024); the image encoder is frozen"""

    txt_model_name: str
    """Text encoder: bert, bernice, bertweet, roberta, or any other that main.py --text_net knows."""
    img_model_name: str
    """Image encoder: vit, beit, deit, resnet50, resnet152, or any other that main.py --image_net knows."""
    fusion_name: str
    """concat, attention, aspect-att, gmu; xatt (each asks the other), concat_cnn (concat); or any other that main.py
    --fusion knows, but those of early fusion, which are run_mm_early.py's."""
    nsamples: int = -1
    """Training posts to learn from, drawn by the seed, each class in its share; -1: all."""
    eval_txt_test: bool = False
    """Evaluate on the test posts that are text alone too (task 5), as posts without an image."""
    load_saved_model: bool = False
    """Evaluate the weights that --save_model wrote; train nothing."""
    save_preds: bool = False
    """Write the classes of the test posts."""
    use_iadds_loss: bool = False
    """Never did anything in the published code; ignored."""
    beta_iadds: float = 0.1
    """Never did anything in the published code; ignored."""


def run_of(flags: LateFlags) -> PublishedRun:
    """The run that the flags stand for. Raises ValueError for early fusion and for a number of posts that cannot be."""
    if flags.fusion_name in get_args(EarlyNet):
        raise ValueError(
            f"--fusion_name {flags.fusion_name} is early fusion, in one net: train it with scripts/run_mm_early.py "
            f"--model {flags.fusion_name}"
        )
    if flags.nsamples < 1 and flags.nsamples != -1:
        raise ValueError(f"--nsamples {flags.nsamples} must be 1 or more, or -1 for all posts")
    warn_of_dead_flags(flags, "use_iadds_loss", "beta_iadds", "use_loss_correction")
    fusion = FUSIONS.get(flags.fusion_name, flags.fusion_name)
    models = file_name(flags.txt_model_name, flags.img_model_name, flags.fusion_name)
    sample = "" if flags.nsamples == -1 else f"_N{flags.nsamples}"
    words = [
        "--fusion", fusion, "--freeze", "image", *WIDTH, *flags.loss_words,
        *(["--text_tokens", "128"] if fusion == "cross_attention" else []),
        *text_words(flags.txt_model_name, flags), *pooling_words(flags.txt_model_name),
        *image_words(flags.img_model_name, flags, attended=fusion in ("attention", "cross_attention")),
        *(["--num_labels", str(flags.nsamples)] if sample else []),
    ]  # fmt: skip
    return PublishedRun(
        "mm_late", f"{models}_task{flags.task}_seed{flags.seed}_{flags.loss_name}{sample}", flags, tuple(words),
        preds=flags.save_preds, text_test=flags.eval_txt_test, load=flags.load_saved_model,
    )  # fmt: skip


def main(argv: list[str]) -> int:
    """Run the command line `argv`."""
    return start("run_mm_late.py", LateFlags, run_of, argv)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
