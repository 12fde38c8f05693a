"""Methods over all settings of a comparison."""

from __future__ import annotations

from pathlib import Path

import pytest

from evaluation.compare import Run, compare, find_runs
from evaluation.comparison_tables import overall_markdown
from evaluation.intervals import paired_test
from evaluation.overall import overall
from tests.evaluation.test_compare import write_run

FIGURES = {("scrd", 51): (0.5, 0.6, 0.7), ("scrd", 600): (0.7, 0.7, 0.9), ("supervised", 51): (0.4, 0.5, 0.6)}


def runs_of(root: Path) -> list[Run]:
    """Three seeds of scrd with 51 and with 600 labels; of supervised the last seed with 51 alone."""
    folders = []
    for (method, labels), values in {**FIGURES, ("supervised", 600): (0.6, 0.8)}.items():
        (root / str(labels)).mkdir(exist_ok=True)
        for seed, value in enumerate(values):
            folders.append(write_run(root / str(labels), method, seed, value, num_labels=labels))
    return find_runs(folders)[0]


def test_a_seed_is_its_mean_over_the_settings_and_counts_where_it_has_all(tmp_path: Path) -> None:
    runs = runs_of(tmp_path)
    lines = overall(runs, "supervised")
    scrd, supervised = lines
    assert (scrd.name, supervised.name) == ("scrd", "supervised")
    assert (scrd.figure.mean, scrd.figure.count) == (pytest.approx((0.6 + 0.65 + 0.8) / 3), 3)
    assert (supervised.figure.mean, supervised.figure.count, supervised.against) == (pytest.approx(0.575), 2, None)
    by_hand = paired_test([0.6, 0.65], [0.5, 0.65])
    assert scrd.against is not None and scrd.holm_p == scrd.against.t_p == pytest.approx(by_hand.t_p)
    assert scrd.against.difference.mean == pytest.approx(by_hand.difference.mean)
    table = overall_markdown(lines, compare(runs, "supervised"), "supervised", "macro_f1").splitlines()
    assert table[0].startswith("| method | 51 labels | 600 labels | macro f1, mean | seeds | macro f1 − supervised |")
    assert table[3].endswith("| 2 | baseline | – | – | – | – |")


@pytest.mark.parametrize(("metric", "marks"), [("macro_f1", "▲▼"), ("seconds", "▼▲")])
def test_a_setting_in_which_a_method_is_told_from_the_baseline_is_marked(tmp_path: Path, metric, marks) -> None:
    folders = []
    for labels, gain in ((51, 0.1), (600, -0.1)):
        (tmp_path / str(labels)).mkdir()
        for seed, value in enumerate((0.5, 0.6, 0.7)):
            for method, found in (("supervised", value), ("scrd", value + gain + 0.001 * seed)):
                told = {"num_labels": labels, "seconds": 100 * found}
                folders.append(write_run(tmp_path / str(labels), method, seed, found, **told))
    runs = find_runs(folders)[0]
    lines, groups = overall(runs, "supervised", metric=metric), compare(runs, "supervised", metric=metric)
    table = overall_markdown(lines, groups, "supervised", metric)
    rows = {row.split(" | ")[0]: row.split(" | ")[1:3] for row in table.splitlines()}
    assert [cell[-1] for cell in rows["| scrd"]] == list(marks)
    assert not {"▲", "▼"} & {cell[-1] for cell in rows["| supervised"]}
    assert table.splitlines()[-1].startswith("▲ better, ▼ worse")


def test_a_method_without_a_whole_seed_is_left_out(tmp_path: Path) -> None:
    runs = [run for run in runs_of(tmp_path) if run.group != ("scrd", "image and text", 51)]
    assert [line.name for line in overall(runs)] == ["supervised"]
    again = tmp_path / "again"
    again.mkdir()
    quickest = overall(runs_of(again), metric="seconds")
    assert [line.name for line in quickest] == ["supervised", "scrd"]  # less is better
