"""A run on one page: report.html holds everything that it shows, asks no server for anything and runs no script."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
import numpy as np
from markupsafe import Markup

from datasets.folders import new_file
from evaluation.deciders import deciders
from evaluation.gallery import most_confident_right, most_confident_wrong, show
from evaluation.intervals import bootstrap_macro_f1
from evaluation.metrics import reliability
from evaluation.model_card import reads, seen, taught_by
from evaluation.plots import COLOURS, Series, line_chart, reliability_chart, share_bars
from evaluation.predict import Predictions
from evaluation.teaching import ACCEPTED, BY_CLASS, RIGHT

if TYPE_CHECKING:
    from datasets.splits import Split
    from datasets.store import PostStore

GALLERY = 12
"""Posts shown of the right and of the wrong ones."""
SELECTION_COLOURS = (COLOURS[0], COLOURS[1], "#5b6472")

RECALL = "eval/recall/"
"""Beginning of the tags of each class's recall on validation."""
TITLES = {
    "train/sup_loss": "labelled",
    "train/unsup_loss": "unlabelled",
    "train/total_loss": "total",
    ACCEPTED: "pseudo-labels used",
    RIGHT: "of those, right",
    "eval/top-1-acc": "accuracy",
    "eval/F1": "macro-F1",
}


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl. A last line without its end (the run was killed while writing it) does not count."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    try:
        return [json.loads(line) for line in lines if line.endswith("\n") and line.strip()]
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} has a line that is not JSON: {error}") from None


def series(lines: Iterable[Mapping[str, Any]], tag: str) -> Series | None:
    """All finite values of `tag` under the name that people read, None where there are none."""
    points = [(line["step"], line[tag]) for line in lines if line.get(tag) is not None and math.isfinite(line[tag])]
    if not points:
        return None
    x, y = np.array(points, dtype=np.float64).T
    name = TITLES.get(tag) or tag.removeprefix(RECALL).removeprefix(BY_CLASS).removeprefix("train/").replace("_", " ")
    return Series(name, x, y, dots=tag.startswith("eval/"))


def curves(lines: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, Markup]]:
    """(title, what to look for, picture) of each group of tags that the run has; a group of more lines than there are
    colours has several pictures."""
    tags = sorted({tag for line in lines for tag in line})
    losses: list[str] = [tag for tag in ("train/total_loss", "train/sup_loss", "train/unsup_loss") if tag in tags]
    losses += [tag for tag in tags if tag.startswith("train/") and tag.endswith("_loss") and tag not in losses]
    groups: list[tuple[str, str, list[str]]] = [
        (
            "Validation",
            "The weights of the best macro-F1 were kept.",
            ["eval/F1", "eval/top-1-acc"],
        ),
        ("Losses", "The differentiable parts of a step, averaged over each log interval.", losses),
        (
            "Pseudo-labels",
            "How many unlabelled posts taught the net, and how often rightly.",
            [ACCEPTED, RIGHT],
        ),
        (
            "Accepted pseudo-labels of each class",
            "Shares of all unlabelled posts. A class that vanishes here is forgotten, one that takes all is guessed.",
            [tag for tag in tags if tag.startswith(BY_CLASS)],
        ),
        (
            "Recall of each class on validation",
            "A class that falls to zero is lost.",
            [tag for tag in tags if tag.startswith(RECALL)],
        ),
    ]
    found = []
    for title, hint, wanted in groups:
        drawn = [one for one in (series(lines, tag) for tag in wanted) if one is not None]
        best = None
        if title == "Validation" and drawn and drawn[0].name == TITLES["eval/F1"]:
            top = int(drawn[0].y.argmax())
            best = (drawn[0].x[top], drawn[0].y[top])
            hint = f"Best macro-F1 (circled): {best[1]:.1%} at step {best[0]:.0f}. {hint}"
        for first in range(0, len(drawn), len(COLOURS)):
            part = drawn[first : first + len(COLOURS)]
            name = title if len(part) == len(drawn) else f"{title}, {first + 1} to {first + len(part)} of {len(drawn)}"
            found.append((name, hint, line_chart(name, part, fraction=title != "Losses", best=best)))
    return found


def selection_rows(store: PostStore, predictions: Predictions) -> dict[str, np.ndarray]:
    """Mean selection of the posts with both modalities by group: all, each class, right and wrong, true decider."""
    assert predictions.selection is not None
    both = store.has_image[predictions.rows] & store.has_text[predictions.rows]
    label, right = predictions.label, predictions.prediction == predictions.label
    groups = {"all posts": both}
    groups |= {f"truth {name}": both & (label == value) for value, name in enumerate(store.classes)}
    groups |= {"answer right": both & (label >= 0) & right, "answer wrong": both & (label >= 0) & ~right}
    decides = deciders(store, predictions.rows)
    groups |= {f"{name} decides": decides == name for name in ("text", "image")}
    return {name: predictions.selection[mask].mean(axis=0) for name, mask in groups.items() if mask.any()}


def selection_figure(
    store: PostStore, predictions: Predictions, found: Mapping[str, float]
) -> tuple[Markup | None, str]:
    """The picture of what the selection chose and, from what was `found` of it where the true decider is known, a
    sentence on how well it did."""
    if predictions.selection is None:
        return None, ""
    rows = selection_rows(store, predictions)
    if not rows:
        return None, ""
    said = ""
    if found:
        said = (
            f"Where one modality alone decides ({found['n']} posts), the selection leans to the right one in "
            f"{found['agreement']:.0%} (chance: 50%); area under its ROC curve {found['auc']:.2f}."
        )
    return share_bars("What the selection chose", rows, ("text", "image", "common"), SELECTION_COLOURS), said


def _cards(results: Mapping[str, Any], predictions: Predictions) -> list[tuple[str, str, str]]:
    """(name, figure, remark): the figures that a reader wants first."""
    full = results["test"]["full"]
    labelled = predictions.take(predictions.label >= 0)
    macro = bootstrap_macro_f1(labelled.label, labelled.prediction, len(results["classes"]))
    common, posts = max(full["posts"].items(), key=lambda item: item[1])
    recall = {name: value for name, value in full["recall"].items() if value is not None}
    weakest = min(recall, key=lambda name: recall[name])
    return [
        ("Macro-F1", f"{full['macro_f1']:.1%}", f"95% of resamples of the posts: {macro.low:.1%} to {macro.high:.1%}"),
        ("Accuracy", f"{full['accuracy']:.1%}", f"always “{common}” would reach {posts / full['n']:.1%}"),
        ("Weakest class", f"{recall[weakest]:.1%}", f"recall of “{weakest}”"),
        ("Calibration error", f"{full['ece']:.3f}", "0: confidence is exactly how often it is right"),
    ]


def _facts(results: Mapping[str, Any], store: PostStore, split: Split) -> list[tuple[str, str]]:
    """What was trained, on what, at what cost."""
    labels = store.label[split.labelled]
    by_class = ", ".join(f"{(labels == value).sum():,} {name}" for value, name in enumerate(store.classes))
    minutes, seconds = divmod(round(results["seconds"]), 60)
    facts = [
        ("Algorithm", results.get("name", results["algorithm"])),
        ("Seed", str(results["seed"])),
        ("Labelled posts", f"{len(split.labelled):,} ({by_class})"),
        ("Unlabelled posts", f"{len(split.unlabelled):,}"),
        ("Validation and test", f"{len(split.validation):,} and {len(split.test):,} posts"),
        ("Steps", f"{results['steps']:,}"),
        ("Time", f"{minutes} min {seconds:02d} s"),
    ]
    if results.get("peak_memory_gib") is not None:
        facts.append(("Peak memory", f"{results['peak_memory_gib']:.2f} GiB"))
    facts.append(
        ("Fingerprints", f"posts {results['store_fingerprint'][:12]}, split {results['split_fingerprint'][:12]}")
    )
    return facts


@cache
def template() -> jinja2.Template:
    """The page to fill in."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.jinja")


def write_report(folder: Path | str, store: PostStore, predictions: Predictions, split: Split) -> Path:
    """Write `<folder>/report.html` from the run's metrics.jsonl, results.json and options.yaml, and return its path.

    `predictions` are those of the test posts; `store` gives texts and thumbnails. Raises ValueError where a file of the
    run is missing or broken.
    """
    folder = Path(folder)
    missing = [name for name in ("metrics.jsonl", "results.json", "options.yaml") if not (folder / name).is_file()]
    if missing:
        raise ValueError(f"{folder} lacks {', '.join(missing)}: it is no run's folder, or the run is not finished")
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    labelled = predictions.take(predictions.label >= 0)
    picture, said = selection_figure(store, predictions, results.get("selection", {}))
    full = results["test"]["full"]
    found = reliability(labelled.probabilities, labelled.label)
    page = template().render(
        name=folder.resolve().name,
        results=results,
        taught_by=taught_by(results),
        both=len(reads(results)) > 1,
        classes=results["classes"],
        cards=_cards(results, predictions),
        facts=_facts(results, store, split),
        curves=curves(read_metrics(folder / "metrics.jsonl")),
        availability=[(seen(results)[name], scores) for name, scores in results["test"].items()],
        confusion=full["confusion"],
        reliability=reliability_chart(found, full["ece"]),
        selection=picture,
        selection_said=said,
        selection_colours=dict(zip(("text", "image", "common"), SELECTION_COLOURS, strict=True)),
        wrong=show(store, predictions, most_confident_wrong(predictions, GALLERY)),
        right=show(store, predictions, most_confident_right(predictions, GALLERY)),
        options=(folder / "options.yaml").read_text(encoding="utf-8"),
    )
    path = folder / "report.html"
    with new_file(path) as unfinished:
        unfinished.write_text(page, encoding="utf-8", errors="replace")
    return path
