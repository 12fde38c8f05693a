"""A text teacher: any sequence classifier of transformers whose classes are the three sentiments."""

from __future__ import annotations

import hashlib

import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import AutoModelForSequenceClassification, PretrainedConfig

from nets.encoders import TextEncoder, longest_text, weights_fingerprint

DEFAULT_TEACHER = "cardiffnlp/twitter-roberta-base-sentiment-latest"
"""TimeLMs (Loureiro et al., ACL 2022 demo), fine-tuned on TweetEval: the teacher of T4SA 2.0."""
STEMS = ("neg", "neu", "pos")
"""How the names of the classes begin, in the order of their ids: negative, neutral, positive."""


def sentiment_columns(config: PretrainedConfig, source: str) -> list[int]:
    """Where a classifier's logits for negative, neutral and positive stand, by the names of its classes.

    Raises ValueError where its classes are not these three, or are numbered only.
    """
    found = [str(config.id2label[number]).lower() for number in range(config.num_labels)]
    if len(found) != len(STEMS) or any(sum(name.startswith(stem) for name in found) != 1 for stem in STEMS):
        raise ValueError(
            f"--teacher {source}: its classes are called {', '.join(found)}; a teacher has negative, neutral and "
            "positive, named so in id2label of its config.json"
        )
    return [next(place for place, name in enumerate(found) if name.startswith(stem)) for stem in STEMS]


class TextTeacher(TextEncoder):
    """(B, L) token ids to (B, 3) probabilities of negative, neutral and positive, in float32.

    Args:
        source: folder, or name on the hub. Raises ValueError where there is no trained classifier of sentiments.
    """

    columns: Tensor  # (3,) int64

    def __init__(self, source: str) -> None:
        nn.Module.__init__(self)
        try:
            self.net, report = AutoModelForSequenceClassification.from_pretrained(
                source, dtype=torch.float32, trust_remote_code=False, output_loading_info=True
            )
        except (OSError, ValueError, RuntimeError, SafetensorError) as error:
            raise ValueError(
                f"--teacher {source}: no classifier could be loaded ({str(error).splitlines()[0]}); give a folder that "
                "scripts/train_teacher.py wrote, or --teacher lexicon, which needs no weights"
            ) from error
        if report["missing_keys"]:
            raise ValueError(
                f"--teacher {source}: this is no trained classifier, its weights lack {min(report['missing_keys'])}; "
                "scripts/train_teacher.py makes one of it"
            )
        self.register_buffer("columns", torch.tensor(sentiment_columns(self.net.config, source)), persistent=False)
        self.pooling = "head"
        self.width = len(STEMS)
        self.requires_grad_(False).eval()

    @property
    def longest(self) -> int:
        """Tokens that the net can read at most."""
        return longest_text(self.config)

    @property
    def fingerprint(self) -> str:
        """sha256 of weights and classes."""
        return hashlib.sha256(f"{self.columns.tolist()} {weights_fingerprint(self.net)}".encode()).hexdigest()

    def forward(self, text: Tensor, mask: Tensor) -> Tensor:
        """(B, L) ids and (B, L) bool mask to (B, 3)."""
        logits = self.run(text, mask)[0].logits
        return logits.to(torch.float32).softmax(dim=1).index_select(1, self.columns)
