"""What pseudo-labels taught a run towards its end: how many, how rightly, and which classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

ACCEPTED, RIGHT, BY_CLASS = "train/util_ratio", "train/pseudo_acc", "train/pseudo_label/"
"""Tags of metrics.jsonl: share of the unlabelled posts that is learned from, or what they weigh on average; share of
those that is right, where the class is known and was not told; share of the unlabelled posts that is learned from as
each class."""
LAST = 0.1
"""Share of the run that is summed up."""


def teaching(lines: Sequence[Mapping[str, Any]], classes: Sequence[str]) -> dict[str, Any]:
    """Means over the log intervals that end in the last tenth of the run of whose metrics.jsonl these are the `lines`:
    `accepted` and `pseudo_label_accuracy`, and `accepted_by_class`. None is what the run has not."""
    logged = [line for line in lines if "train/total_loss" in line]
    end = max((line["step"] for line in logged), default=0)
    late = [line for line in logged if line["step"] > (1 - LAST) * end]

    def mean(tag: str) -> float | None:
        values = [line[tag] for line in late if line.get(tag) is not None]
        return sum(values) / len(values) if values else None

    return {
        "accepted": mean(ACCEPTED),
        "pseudo_label_accuracy": mean(RIGHT),
        "accepted_by_class": {name: mean(BY_CLASS + name) for name in classes},
    }
