"""Compare finished runs: `python scripts/compare.py saved_models/sweep --baseline supervised --output comparison`.

Prints a Markdown table: mean over seeds with its 95 % interval, recall of each class, what pseudo-labels taught, and
paired tests against the baseline. Runs are grouped by method, by what the net reads and by their number of labels; a
second table has the methods side by side in all these settings.
With a folder as --output: table, mean ranks with the critical difference, and pictures.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from datasets.folders import writing
from training.entry import start

if TYPE_CHECKING:
    from evaluation.compare import Group, Run
    from evaluation.tuning import Choice


@dataclass(frozen=True)
class CompareOptions:
    """Compare finished runs over their seeds"""

    runs: tyro.conf.Positional[tuple[Path, ...]]
    """Run folders (each with a results.json), or folders of them."""
    baseline: str = ""
    """Method that every other one is tested against, seed by seed, in the same setting; empty: no test."""
    metric: str = "macro_f1"
    """Figure that tests, ranks, pictures and the order of the table go by."""
    posts: Literal["full", "image_only", "text_only", "both_agree", "text_decides", "image_decides"] = "full"
    """What the net saw of the test posts; or those of which text and image agree, or one alone decides, in full."""
    tuned: bool = False
    """Of each algorithm's variants (runs with other options, nets or weights of losses) show, for each label set, the
    one with the best macro-F1 on the validation posts."""
    output: Annotated[str, tyro.conf.arg(aliases=["-o"])] = ""
    """Write the table to this file too: .md or .csv; any other name is a folder for table, ranks and pictures."""


def main(options: CompareOptions) -> None:
    """Print the table, write what is asked for."""
    from evaluation.compare import check_comparable, compare, find_runs, unshared
    from evaluation.comparison_tables import choices_markdown, markdown, overall_markdown, table_csv
    from evaluation.overall import overall
    from evaluation.tuning import tuned

    baseline = options.baseline or None
    runs, unfinished = find_runs(options.runs)
    if unfinished:
        print(f"note: {len(unfinished)} runs are not finished and are left out, as {unfinished[0]}", file=sys.stderr)
    choices: list[Choice] = []
    if options.tuned:
        check_comparable(runs)
        runs, choices = tuned(runs)
    groups = compare(runs, baseline, options.posts, options.metric)
    for sentence in unshared(runs):
        print(f"note: {sentence}", file=sys.stderr)
    text = markdown(groups, baseline, options.metric)
    lines = overall(runs, baseline, options.posts, options.metric)
    if lines and len({group.setting for group in groups}) > 1:
        text += "\n" + overall_markdown(lines, groups, baseline, options.metric)
    if choices:
        text += "\n" + choices_markdown(choices)
    print(text, end="")
    output = Path(options.output)
    if not options.output:
        return
    with writing(f"--output {output}"):
        if output.suffix in (".md", ".csv"):
            output.write_text(table_csv(groups) if output.suffix == ".csv" else text, encoding="utf-8")
        else:
            output.mkdir(parents=True, exist_ok=True)
            (output / "table.md").write_text(text, encoding="utf-8")
            (output / "table.csv").write_text(table_csv(groups), encoding="utf-8")
            draw(runs, groups, options, output)


def draw(runs: list[Run], groups: list[Group], options: CompareOptions, folder: Path) -> None:
    """Ranks and pictures; no ranks where there are too few methods or blocks, which is said."""
    from evaluation.compare import ranking
    from evaluation.comparison_plots import cost, critical_difference_diagram, label_efficiency
    from evaluation.comparison_tables import ranks_markdown

    label_efficiency(groups, options.metric, folder / "label_efficiency.png")
    cost(groups, folder / "cost.png")
    try:
        ranks, left_out = ranking(runs, options.posts, options.metric)
    except ValueError as error:
        print(f"note: {error}", file=sys.stderr)
        return
    (folder / "ranks.md").write_text(ranks_markdown(ranks, left_out, options.metric), encoding="utf-8")
    critical_difference_diagram(ranks, options.metric, folder / "critical_difference.png")


if __name__ == "__main__":
    start(CompareOptions, main, tyro.conf.FlagConversionOff)
