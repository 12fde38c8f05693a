"""Early fusion of text and image in one transformer: `python3 scripts/run_mm_early.py --model vilt --task 2`."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scripts.published import start
from training.published_flags import (
    TASKS,
    EarlyNet,
    ImageFlags,
    LossFlags,
    PublishedFlags,
    PublishedRun,
    TextFlags,
    image_words,
    text_words,
    warn_of_dead_flags,
)

VILT_TOKENS = 40
"""Tokens of a text that ViLT reads, as published; all others read 128."""


@dataclass(frozen=True, kw_only=True)
class EarlyFlags(TextFlags, ImageFlags, LossFlags, PublishedFlags):
    """Early fusion of text and image (Sanchez Villegas et al., Findings of EACL 2024)"""

    model: EarlyNet
    """ViLT; LXMERT, which reads regions of images; MMBT."""
    evaltest: bool = False
    """Write classes and figures of the test posts after the last epoch; not with --testing."""
    region_features: str = ""
    """LXMERT: folder with features/feat_ID and boxes/nbox_ID for each post's id; empty: the published one, <task
    name>_img_feats in --data_dir."""
    txt_model_name: str = ""
    """MMBT: text encoder, any that main.py --text_net knows; the others: small, to train a small one from scratch with
    --txt_weights none. Empty: the published one, of MMBT bert."""
    img_model_name: str = "resnet152"
    """MMBT: image encoder, any that main.py --image_net knows."""


READ_BY = {"img_model_name": "mmbt", "img_weights": "mmbt", "region_features": "lxmert"}
"""Flags that one model alone reads."""


def run_of(flags: EarlyFlags) -> PublishedRun:
    """The run that the flags stand for. Raises ValueError for a flag that its model does not read."""
    for name, model in READ_BY.items():
        if flags.model != model and getattr(flags, name) != getattr(EarlyFlags, name):
            raise ValueError(f"--{name} is read by --model {model} alone, not by {flags.model}: leave it out")
    warn_of_dead_flags(flags, "use_loss_correction")
    text = flags.txt_model_name or ("bert" if flags.model == "mmbt" else "auto")
    words = ["--net", flags.model, *text_words(text, flags), *flags.loss_words]
    if flags.model == "mmbt":
        words += image_words(flags.img_model_name, flags)
    if flags.model == "vilt":
        words += ["--text_length", str(VILT_TOKENS)]
    if flags.model == "lxmert":
        usual = flags.data_dir / f"{TASKS[flags.task].name}_img_feats"
        words += ["--region_features", flags.region_features or str(usual)]
    writes = flags.evaltest and not flags.testing
    return PublishedRun(
        "mm_early", f"{flags.model}_task{flags.task}_seed{flags.seed}_{flags.loss_name}", flags, tuple(words),
        preds=writes, metrics=writes,
    )  # fmt: skip


def main(argv: list[str]) -> int:
    """Run the command line `argv`."""
    return start("run_mm_early.py", EarlyFlags, run_of, argv)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
