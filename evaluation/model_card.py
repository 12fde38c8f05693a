"""The model card beside a run's best weights: what it is, what it was measured to do, and where not to trust it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from datasets.posts import SENTIMENTS

NAMES = {
    "image_only": "image only", "text_only": "text only",
    "both_agree": "posts whose text and image agree", "text_decides": "posts whose text decides",
    "image_decides": "posts whose image decides",
}  # fmt: skip
"""What each entry of the results' "test" but the full one is called: what the net sees, or which posts."""

CARD = """---
library_name: pytorch
tags: [{tags}]
---
# {title} of social-media posts: {name}

Reads the {subject} of a post from {parts}: {classes} (class ids 0 to {last}).
Trained with `{algorithm}` from {taught_by}, seed {seed}, in {steps:,} steps.

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
- {whose_labels}
- The weakest class has a recall of {weakest:.1f}: look at each class and not at the accuracy alone.
- Not for decisions about people.

## Origin

    {command}

Posts `{store}`, split `{split}` (sha256).
"""

PEOPLE = "A post's {subject} is an annotator's reading. Annotators disagree, most of all where text and image do."
TEACHER = "The labels are a text teacher's, the test posts' too: the figures say how well it is matched, not how right."


def reads(results: Mapping[str, Any]) -> list[str]:
    """The modalities that the net reads; both for a run of before results said so."""
    return results.get("reads", ["image", "text"])


def seen(results: Mapping[str, Any]) -> dict[str, str]:
    """What each entry of the results' "test" is called."""
    return {"full": "image and text" if len(reads(results)) > 1 else reads(results)[0], **NAMES}


def taught_by(results: Mapping[str, Any]) -> str:
    """What the net has learned from: posts with a label, a text teacher's answers, or both."""
    by_teacher = results.get("labels_from") == "teacher"
    labelled = f"{results['num_labels']:,} {'posts labelled by a text teacher' if by_teacher else 'labelled posts'}"
    said = [labelled] * results.get("reads_labels", True)
    said += ["a text teacher's answers for unlabelled posts"] * results.get("asks_teacher", False)
    return " and ".join(said)


def _table(results: Mapping[str, Any]) -> str:
    """A Markdown table: a line for each entry of the results' "test"."""
    classes, names = results["classes"], seen(results)
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
    for name, scores in results["test"].items():
        recall = [scores["recall"][each] for each in classes]
        percents = [scores["accuracy"], scores["macro_f1"], scores["weighted_f1"], *recall]
        cells = ["–" if value is None else f"{100 * value:.1f}" for value in percents]
        lines.append([names[name], f"{scores['n']:,}", *cells, f"{scores['ece']:.3f}"])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def write_model_card(folder: Path | str) -> Path:
    """Write `<folder>/best/README.md` from the run's results.json, and return its path."""
    folder = Path(folder)
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    full = results["test"]["full"]
    of_sentiment = set(results["classes"]) <= set(SENTIMENTS)
    subject = "sentiment" if of_sentiment else "class"
    by_teacher = results.get("labels_from") == "teacher"
    modalities = reads(results)
    both = len(modalities) > 1
    text = CARD.format(
        tags=", ".join(
            [
                "sentiment-analysis" if of_sentiment else f"{'-and-'.join(modalities)}-classification",
                *["multimodal"] * both,
                "semi-supervised",
            ]
        ),
        title=subject.capitalize(),
        subject=subject,
        parts="its image, its text or both" if both else f"its {modalities[0]} alone",
        taught_by=taught_by(results),
        whose_labels=TEACHER if by_teacher else PEOPLE.format(subject=subject),
        name=results.get("name", results["algorithm"]),
        classes=", ".join(results["classes"]),
        last=len(results["classes"]) - 1,
        algorithm=results["algorithm"],
        seed=results["seed"],
        steps=results["steps"],
        n=full["n"],
        validation=100 * results["validation"]["macro_f1"],
        table=_table(results),
        weakest=100 * min(value for value in full["recall"].values() if value is not None),
        command=results["command"],
        store=results["store_fingerprint"],
        split=results["split_fingerprint"],
    )
    path = folder / "best" / "README.md"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path
