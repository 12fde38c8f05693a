"""Text alone, as published: `python3 scripts/run_txt.py --model_name bernice --task 2`."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scripts.published import start
from training.published_flags import (
    WIDTH,
    PublishedFlags,
    PublishedRun,
    TextFlags,
    file_name,
    pooling_words,
    text_words,
    warn_of_dead_flags,
)


@dataclass(frozen=True, kw_only=True)
class OnlyTextFlags(TextFlags, PublishedFlags):
    """Text alone, the whole encoder fine-tuned (Sanchez Villegas et al., Findings of EACL 2024)"""

    own_names: ClassVar = {"text_net": "model_name"}

    model_name: str
    """bert, bernice, bertweet, roberta, or any other that main.py --text_net knows."""
    eval_txt_test: bool = False
    """Evaluate on the test posts that are text alone too (task 5)."""
    save_preds: bool = False
    """Write the classes of the test posts."""


def run_of(flags: OnlyTextFlags) -> PublishedRun:
    """The run that the flags stand for."""
    warn_of_dead_flags(flags, "use_loss_correction")
    words = ["--net", "text", *WIDTH, *text_words(flags.model_name, flags), *pooling_words(flags.model_name)]
    return PublishedRun(
        "txt_only", f"{file_name(flags.model_name)}_task{flags.task}_seed{flags.seed}", flags, tuple(words),
        preds=flags.save_preds, text_test=flags.eval_txt_test,
    )  # fmt: skip


def main(argv: list[str]) -> int:
    """Run the command line `argv`."""
    return start("run_txt.py", OnlyTextFlags, run_of, argv)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
