"""Each algorithm with the options that its own validation posts prefer: a comparison in which all had their choice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from evaluation.compare import Run


@dataclass(frozen=True)
class Choice:
    """How often, over the seeds of a setting, each of an algorithm's variants was the best on validation."""

    algorithm: str
    setting: tuple[str, int]
    counts: dict[str, int]  # by the variant's method, most often first


def tuned(runs: Sequence[Run]) -> tuple[list[Run], list[Choice]]:
    """Of each algorithm's variants, for each setting and seed, the run with the best macro-F1 on validation, the first
    by name where several have it; and what was chosen.

    Each label set chooses for itself and never sees a test post, as someone would who has that label set alone. The
    runs chosen are called by the algorithm and what its variants' names have in common. Raises ValueError where a seed
    lacks a variant, since it would have less to choose from, or a run has no figure of validation.
    """
    blocks: dict[tuple[str, tuple[str, int]], dict[int, dict[str, Run]]] = {}
    for run in sorted(runs, key=lambda run: run.method):
        algorithm = run.method.split(" ")[0]
        blocks.setdefault((algorithm, run.setting), {}).setdefault(run.seed, {})[run.method] = run
    chosen: list[Run] = []
    choices: list[Choice] = []
    for (algorithm, setting), by_seed in sorted(blocks.items()):
        variants = sorted({method for found in by_seed.values() for method in found})
        for seed, found in by_seed.items():
            if lacking := [method for method in variants if method not in found]:
                raise ValueError(f"--tuned: seed {seed} with {setting[1]} labels lacks {lacking[0]}: train it")
        name = _common(variants)
        best = [max(found.values(), key=_validation) for found in by_seed.values()]
        chosen += [replace(run, results={**run.results, "name": name}, apart=()) for run in best]
        if len(variants) > 1:
            choices.append(Choice(algorithm, setting, dict(Counter(run.method for run in best).most_common())))
    return chosen, choices


def _validation(run: Run) -> float:
    try:
        return float(run.results["validation"]["macro_f1"])
    except (KeyError, TypeError):
        raise ValueError(
            f"--tuned: {run.folder}/results.json has no macro-F1 of validation posts, by which to choose: evaluate the "
            "run again with --eval_only"
        ) from None


def _common(methods: Sequence[str]) -> str:
    """The words that all have; the algorithm is the first of them."""
    words = [method.split(" ") for method in methods]
    return " ".join(word for word in words[0] if all(word in others for others in words))
