"""The model card beside a run's best weights: what it is, what it was measured to do, and where not to trust it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from datasets.posts import SENTIMENTS

NAMES = {
    "full": "image and text", "image_only": "image only", "text_only": "text only",
    "both_agree": "posts whose text and image agree", "text_decides": "posts whose text decides",
    "image_decides": "posts whose image decides",
}  # fmt: skip
"""What each entry of the results' "test" is called: what the net sees, or which posts."""

CARD = """---
library_name: pytorch
tags: [{tag}, multimodal, semi-supervised]
---
# {title} of social-media posts: {name}

Reads the {subject} of a post from its image, its text or both: {classes} (class ids 0 to {last}).
Trained with `{algorithm}` from {num_labels:,} labelled posts, seed {seed}, in {steps:,} steps.

## Use

From the root of the project:

    python scripts/predict.py RUN POSTS --output predictions.csv

RUN is the folder above this one. `model.safetensors` holds the weights (their moving average), `options.yaml` in RUN
what net they are for.

## Figures

In percent, on {n:,} labelled test posts that were read once, after the weights had been chosen on validation
(macro-F1 there: {validation:.1f}).

{table}

ECE is the expected calibration error in 15 bins, between 0 and 1.

## Limits

- Measured on one data set and one seed; posts of another time, language or platform will do worse.
- A post's {subject} is an annotator's reading. Annotators disagree, most of all where text and image do.
- The weakest class has a recall of {weakest:.1f}: look at each class and not at the accuracy alone.
- Not for decisions about people.

## Origin

    {command}

Posts `{store}`, split `{split}` (sha256).
"""


def _table(classes: list[str], test: dict[str, dict[str, Any]]) -> str:
    """A Markdown table: a line for each of NAMES that was measured."""
    header = [
        "seen, or which posts",
        "posts",
        "accuracy",
        "macro-F1",
        "weighted F1",
        *(f"recall {name}" for name in classes),
        "ECE",
    ]
    lines = [header, ["---", *["---:"] * (len(header) - 1)]]
    for name, scores in test.items():
        recall = [scores["recall"][each] for each in classes]
        percents = [scores["accuracy"], scores["macro_f1"], scores["weighted_f1"], *recall]
        cells = ["–" if value is None else f"{100 * value:.1f}" for value in percents]
        lines.append([NAMES[name], f"{scores['n']:,}", *cells, f"{scores['ece']:.3f}"])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def write_model_card(folder: Path | str) -> Path:
    """Write `<folder>/best/README.md` from the run's results.json, and return its path."""
    folder = Path(folder)
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    full = results["test"]["full"]
    of_sentiment = set(results["classes"]) <= set(SENTIMENTS)
    text = CARD.format(
        tag="sentiment-analysis" if of_sentiment else "text-and-image-classification",
        title="Sentiment" if of_sentiment else "Class",
        subject="sentiment" if of_sentiment else "class",
        name=results.get("name", results["algorithm"]),
        classes=", ".join(results["classes"]),
        last=len(results["classes"]) - 1,
        algorithm=results["algorithm"],
        num_labels=results["num_labels"],
        seed=results["seed"],
        steps=results["steps"],
        n=full["n"],
        validation=100 * results["validation"]["macro_f1"],
        table=_table(results["classes"], results["test"]),
        weakest=100 * min(value for value in full["recall"].values() if value is not None),
        command=results["command"],
        store=results["store_fingerprint"],
        split=results["split_fingerprint"],
    )
    path = folder / "best" / "README.md"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path
