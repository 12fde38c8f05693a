"""A comparison of runs as tables: Markdown for people, CSV for machines."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping

from evaluation.compare import COSTS, Group, sign
from evaluation.intervals import Interval, PairedTest
from evaluation.overall import Overall
from evaluation.ranks import Ranking
from evaluation.tuning import Choice

ALPHA = 0.05


def _p(value: float) -> str:
    if math.isnan(value):
        return "–"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def percent(value: Interval) -> str:
    """Mean and half-width in percent points."""
    if math.isnan(value.mean):
        return "–"
    return f"{100 * value.mean:.1f}" + ("" if math.isnan(value.half) else f" ± {100 * value.half:.1f}")


def _cost(value: Interval) -> str:
    """Mean and half-width in the cost's own unit."""
    return f"{value.mean:.2f}" + ("" if math.isnan(value.half) else f" ± {value.half:.2f}")


def _plain(value: Interval, digits: int) -> str:
    return "–" if math.isnan(value.mean) else f"{value.mean:.{digits}f}"


def _nobody_has(groups: Iterable[Group], figure: str) -> bool:
    return all(math.isnan(group.figures[figure].mean) for group in groups)


def _shown(value: Interval, metric: str) -> str:
    """In the unit of the metric."""
    return _cost(value) if metric in COSTS else percent(value)


def _tested(name: str, baseline: str, test: PairedTest | None, holm_p: float, metric: str) -> list[str]:
    """The cells of a paired test with the baseline."""
    if test is None:
        return ["baseline" if name == baseline else "–", *["–"] * 4]
    cells = [_shown(test.difference, metric), _p(test.t_p), _p(holm_p), _p(test.wilcoxon_p)]
    return [*cells, str(test.difference.count)]


def _test_header(baseline: str, metric: str) -> list[str]:
    return [f"{metric.replace('_', ' ')} − {baseline}", "p (paired t)", "p (Holm)", "p (Wilcoxon)", "pairs"]


def _table(header: list[str], rows: Iterable[list[str]]) -> str:
    """A Markdown table; the first column is text, the others are numbers. A | in a cell is escaped."""
    rule = ["---", *["---:"] * (len(header) - 1)]
    escaped = ([cell.replace("|", "\\|") for cell in cells] for cells in (header, rule, *rows))
    return "".join(f"| {' | '.join(cells)} |\n" for cells in escaped)


def overall_markdown(lines: Iterable[Overall], groups: Iterable[Group], baseline: str | None, metric: str) -> str:
    """A table of the methods over all settings: the metric in each, as `groups` have it, and its mean. A mark says
    where a method was told from the baseline."""
    by_setting = {(group.name, group.setting): group for group in groups}
    settings = sorted({setting for _, setting in by_setting})
    several = len({reads for reads, _ in settings}) > 1
    header = ["method", *(f"{reads}, {labels}" if several else f"{labels} labels" for reads, labels in settings)]
    header += [f"{metric.replace('_', ' ')}, mean", "seeds"]
    header += _test_header(baseline, metric) if baseline is not None else []
    rows = []
    for line in lines:
        cells = [line.name, *(_marked(by_setting[line.name, setting], metric) for setting in settings)]
        cells += [_shown(line.figure, metric), str(line.figure.count)]
        cells += _tested(line.name, baseline, line.against, line.holm_p, metric) if baseline is not None else []
        rows.append(cells)
    table = _table(header, rows)
    if baseline is None:
        return table
    return (
        f"{table}\n▲ better, ▼ worse than {baseline}, p < {ALPHA} after Holm's correction over all single settings.\n"
    )


def _marked(group: Group, metric: str) -> str:
    """The metric, and whether it was told from the baseline's."""
    shown = _shown(group.figures[metric], metric)
    if group.against is None or not group.holm_p < ALPHA:
        return shown
    return f"{shown} {'▲' if sign(metric) * group.against.difference.mean > 0 else '▼'}"


def choices_markdown(choices: Iterable[Choice]) -> str:
    """A table of what the validation posts chose, and for how many seeds."""
    rows = ([choice.algorithm, choice.setting[0], str(choice.setting[1]), _counts(choice.counts)] for choice in choices)
    return _table(["algorithm", "reads", "labels", "chosen on validation (seeds)"], rows)


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} ({count})" for name, count in counts.items())


def markdown(groups: Iterable[Group], baseline: str | None = None, metric: str = "macro_f1") -> str:
    """A Markdown table in percent: mean ± half of the 95 % t interval over seeds."""
    groups = list(groups)
    of_some = ("accepted", "pseudo", "selection")  # not every method has these
    percents = [
        name for name in groups[0].figures
        if name not in COSTS and not (name.startswith(of_some) and _nobody_has(groups, name))
    ]  # fmt: skip
    several = len({group.reads for group in groups}) > 1
    header = ["method", *(["reads"] if several else []), "labels", "seeds"]
    header += [name.replace("_", " ") for name in percents]
    header += _test_header(baseline, metric) if baseline is not None else []
    header += ["seconds", "GiB"]
    lines = []
    for group in groups:
        cells = [group.name, *([group.reads] if several else [])]
        cells += [str(group.num_labels), str(len(group.seeds))]
        cells += [percent(group.figures[name]) for name in percents]
        cells += _tested(group.name, baseline, group.against, group.holm_p, metric) if baseline is not None else []
        cells += [_plain(group.figures["seconds"], 0), _plain(group.figures["peak_memory_gib"], 2)]
        lines.append(cells)
    return _table(header, lines)


def table_csv(groups: Iterable[Group]) -> str:
    """The same for machines: mean, low and high of every figure as fractions; empty where there is none."""
    rows: list[dict[str, object]] = []
    for group in groups:
        row: dict[str, object] = {"name": group.name, "reads": group.reads, "num_labels": group.num_labels}
        row |= {"seeds": " ".join(map(str, group.seeds))}
        columns = dict(group.figures)
        test = group.against
        nothing = Interval(math.nan, math.nan, math.nan, 0)
        columns["difference"] = nothing if test is None else test.difference
        for name, value in columns.items():
            row |= {name: value.mean, f"{name}_low": value.low, f"{name}_high": value.high}
        row |= {
            "pairs": 0 if test is None else test.difference.count,
            "t_p": math.nan if test is None else test.t_p,
            "holm_p": group.holm_p,
            "wilcoxon_p": math.nan if test is None else test.wilcoxon_p,
        }
        rows.append(
            {key: "" if isinstance(value, float) and math.isnan(value) else value for key, value in row.items()}
        )
    file = io.StringIO()
    writer = csv.DictWriter(file, fieldnames=list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def ranks_markdown(ranking: Ranking, left_out: int, metric: str) -> str:
    """The mean ranks and what may be concluded from them."""
    rows = ([name, f"{mean:.2f}"] for name, mean in zip(ranking.methods, ranking.mean_ranks, strict=True))
    alike = "".join(
        f"- not told apart: {', '.join(ranking.methods[first : last + 1])}\n" for first, last in ranking.cliques
    )
    missing = f" {left_out} other blocks lack a method and do not count." if left_out else ""
    return (
        f"Ranks by {metric.replace('_', ' ')} in {ranking.blocks} blocks; a block is what the net reads, a number of "
        f"labels and a seed.{missing}\n\n{_table(['method', 'mean rank'], rows)}\n"
        f"Friedman's chi square {ranking.statistic:.2f}, p {_p(ranking.p)}. Two mean ranks differ (Nemenyi, 5 %) where "
        f"they are {ranking.critical_difference:.2f} or more apart. Blocks of one seed share posts and are not "
        f"independent, so these p-values are too small rather than too large.\n\n{alike}"
    )
