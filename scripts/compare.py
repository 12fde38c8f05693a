"""Compare finished runs: `python scripts/compare.py saved_models/* --baseline supervised`.

Prints a Markdown table: mean over seeds with its 95 % interval, recall of each class, and paired tests against the
baseline. Runs are grouped by the name in their results.json and by their number of labels.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))


@dataclass(frozen=True)
class CompareOptions:
    """Compare finished runs over their seeds"""

    runs: tyro.conf.Positional[tuple[Path, ...]]
    """Run folders (each with a results.json)."""
    baseline: str = ""
    """Name that every other one is tested against, seed by seed; empty: no test."""
    metric: str = "macro_f1"
    """Figure that the tests and the order of the table go by."""
    posts: Literal["full", "image_only", "text_only"] = "full"
    """What the net saw of the test posts."""
    output: Annotated[str, tyro.conf.arg(aliases=["-o"])] = ""
    """Write the table to this file too: .md or .csv."""


def main(options: CompareOptions) -> None:
    """Print the table, write it where that is asked for."""
    from evaluation.compare import compare, markdown, read_run, table_csv

    output = Path(options.output)
    if options.output and output.suffix not in (".md", ".csv"):
        raise ValueError(f"--output {options.output}: the table is written as .md or .csv")
    baseline = options.baseline or None
    runs = [read_run(folder) for folder in options.runs]
    groups = compare(runs, baseline, options.posts, options.metric)
    text = markdown(groups, baseline, options.metric)
    print(text, end="")
    if options.output:
        output.write_text(table_csv(groups) if output.suffix == ".csv" else text, encoding="utf-8")


if __name__ == "__main__":
    try:
        main(tyro.cli(CompareOptions, config=(tyro.conf.FlagConversionOff,), use_underscores=True))
    except ValueError as error:
        sys.exit(f"compare: {error}")
