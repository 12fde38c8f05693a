"""Methods over all settings of a comparison."""

from __future__ import annotations

from pathlib import Path

import pytest

from evaluation.compare import Run, find_runs
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
    lines, settings = overall(runs_of(tmp_path), "supervised")
    scrd, supervised = lines
    assert settings == 2 and (scrd.name, supervised.name) == ("scrd", "supervised")
    assert (scrd.figure.mean, scrd.figure.count) == (pytest.approx((0.6 + 0.65 + 0.8) / 3), 3)
    assert (supervised.figure.mean, supervised.figure.count, supervised.against) == (pytest.approx(0.575), 2, None)
    by_hand = paired_test([0.6, 0.65], [0.5, 0.65])
    assert scrd.against is not None and scrd.holm_p == scrd.against.t_p == pytest.approx(by_hand.t_p)
    assert scrd.against.difference.mean == pytest.approx(by_hand.difference.mean)
    table = overall_markdown(lines, settings, "supervised", "macro_f1").splitlines()
    assert table[0].startswith("| method | macro f1, mean over 2 settings | seeds | macro f1 − supervised |")
    assert table[3].endswith("| 2 | baseline | – | – | – | – |")


def test_a_method_without_a_whole_seed_is_left_out(tmp_path: Path) -> None:
    runs = [run for run in runs_of(tmp_path) if run.group != ("scrd", "image and text", 51)]
    assert [line.name for line in overall(runs)[0]] == ["supervised"]
    again = tmp_path / "again"
    again.mkdir()
    quickest, _ = overall(runs_of(again), metric="seconds")
    assert [line.name for line in quickest] == ["supervised", "scrd"]  # less is better
