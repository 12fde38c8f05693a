"""Comparison of runs: means, tests, and what must not be compared."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from datasets.options import DataOptions
from evaluation.compare import RECIPE, Run, compare, find_runs, ranking, read_run, unshared
from evaluation.comparison_tables import markdown, ranks_markdown, table_csv
from evaluation.intervals import mean_interval, paired_test
from nets.options import NetOptions
from training.options import RunOptions, TrainingOptions
from training.outcome import MISSING, NET_PARTS

CLASSES = ["negative", "neutral", "positive"]


def write_run(root: Path, name: str, seed: int, macro: float, /, **changes: Any) -> Path:
    """A run's folder with invented results."""
    folder = root / f"{name}-{seed}"
    folder.mkdir()
    scores: dict[str, Any] = {"accuracy": macro + 0.1, "macro_f1": macro, "weighted_f1": macro + 0.05, "ece": 0.1}
    scores |= {"recall": {"negative": macro, "neutral": 0.5, "positive": None}}
    results = {
        "name": name,
        "algorithm": name.split()[0],
        "seed": seed,
        "num_labels": 600,
        "classes": CLASSES,
        "split_fingerprint": f"split {seed}",
        "store_fingerprint": "store",
        "test_fingerprint": "test",
        "test": {"full": scores},
        "seconds": 60.0 + seed,
        "steps": 100,
        "peak_memory_gib": 1.5,
    }
    (folder / "results.json").write_text(json.dumps(results | changes))
    return folder


OURS, THEIRS = [0.60, 0.62, 0.67], [0.55, 0.58, 0.59]


def two_methods(root: Path) -> list[Path]:
    """Three seeds of two methods."""
    ours = [write_run(root, "scrd", seed, value) for seed, value in enumerate(OURS)]
    return ours + [write_run(root, "supervised", seed, value) for seed, value in enumerate(THEIRS)]


def test_means_and_paired_test(tmp_path: Path) -> None:
    best, other = compare([read_run(path) for path in two_methods(tmp_path)], baseline="supervised")
    assert (best.name, best.seeds, other.name) == ("scrd", (0, 1, 2), "supervised")
    assert best.figures["macro_f1"] == mean_interval(OURS)
    assert best.figures["seconds"].mean == pytest.approx(61)
    assert other.against is None
    assert best.against is not None and best.against.t_p == pytest.approx(paired_test(OURS, THEIRS).t_p)


def test_methods_without_the_figure_come_last(tmp_path: Path) -> None:
    shares = {"a": 0.6, "b": None, "c": 0.95, "d": None, "e": 0.9}
    runs = [
        read_run(write_run(tmp_path, name, 0, 0.5, selection={"agreement": share})) for name, share in shares.items()
    ]
    assert [group.name for group in compare(runs, metric="selection_agreement")] == ["c", "e", "a", "b", "d"]


def test_pairs_are_the_seeds_that_both_have(tmp_path: Path) -> None:
    runs = [read_run(path) for path in two_methods(tmp_path)]
    best = compare([run for run in runs if run.group[0] == "scrd" or run.seed != 1], "supervised")[0]
    assert best.against is not None and best.against.difference.count == 2
    assert best.against.difference.mean == pytest.approx((0.05 + 0.08) / 2)


def test_numbers_of_labels_are_kept_apart(tmp_path: Path) -> None:
    few = write_run(tmp_path, "scrd few", 0, 0.4, name="scrd", num_labels=60, split_fingerprint="few")
    groups = compare([read_run(path) for path in [*two_methods(tmp_path), few]], "supervised")
    assert [(group.name, group.num_labels) for group in groups] == [("scrd", 60), ("scrd", 600), ("supervised", 600)]
    assert groups[0].against is None


def test_markdown_and_csv(tmp_path: Path) -> None:
    groups = compare([read_run(path) for path in two_methods(tmp_path)], "supervised")
    lines = markdown(groups, "supervised").splitlines()
    assert len({line.count("|") for line in lines}) == 1
    assert lines[2].startswith("| scrd | 600 | 3 | 73.0 ± 9.0 | 63.0 ± 9.0 |")
    assert "| 50.0 ± 0.0 | – | 5.7 ± 5.2 | 0.042 | 0.042 | 0.250 | 3 | 61 | 1.50 |" in lines[2]
    assert "| baseline |" in lines[3]
    ours, theirs = csv.DictReader(io.StringIO(table_csv(groups)))
    assert float(ours["macro_f1"]) == pytest.approx(0.63)
    assert float(ours["macro_f1_low"]) == pytest.approx(mean_interval(OURS).low)
    assert (ours["seeds"], ours["recall_positive"], theirs["t_p"]) == ("0 1 2", "", "")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"test_fingerprint": "other"}, "tested on other posts"),
        ({"classes": ["bad", "good", "other"]}, "trained for other classes"),
        ({"split_fingerprint": "other"}, "other labelled or unlabelled posts"),
        ({"name": "scrd"}, "both scrd with seed 0"),
    ],
)
def test_what_must_not_be_compared(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    paths = [*two_methods(tmp_path), write_run(tmp_path, "fixmatch", 0, 0.5, **changes)]
    with pytest.raises(ValueError, match=message):
        compare([read_run(path) for path in paths])


def test_unknown_names_and_unfinished_runs(tmp_path: Path) -> None:
    runs = [read_run(path) for path in two_methods(tmp_path)]
    with pytest.raises(ValueError, match="--baseline fixmatch: no run is called so; there are scrd, supervised"):
        compare(runs, "fixmatch")
    with pytest.raises(ValueError, match="--metric f2"):
        compare(runs, metric="f2")
    with pytest.raises(ValueError, match=r"no results\.json"):
        read_run(tmp_path)
    (tmp_path / "results.json").write_text("{")
    with pytest.raises(ValueError, match="not JSON"):
        read_run(tmp_path)
    (tmp_path / "results.json").write_text("{}")
    with pytest.raises(ValueError, match="lacks name, seed"):
        read_run(tmp_path)


BOTH = ["image", "text"]
NETS = {"": BOTH, " net=gated": BOTH, " net=image": ["image"]}


def four_methods(root: Path) -> list[Run]:
    """Two seeds of three algorithms with two nets, and of one of them with another one."""
    runs = []
    for net, reads in NETS.items():
        for place, method in enumerate(("scrd", "fixmatch", "supervised")):
            for seed in range(2):
                name = f"{method}{net}"
                if net == " net=gated" and method != "fixmatch":
                    continue
                path = write_run(root, name, seed, 0.6 - place / 10 - seed / 100, reads=reads, seconds=9)
                runs.append(read_run(path))
    return runs


def test_a_net_that_reads_one_modality_is_a_setting_and_another_net_is_another_method(tmp_path: Path) -> None:
    groups = compare(four_methods(tmp_path), "supervised")
    assert [(group.reads, group.name) for group in groups] == [
        ("image", "scrd"),
        ("image", "fixmatch"),
        ("image", "supervised"),
        ("image and text", "scrd"),
        ("image and text", "fixmatch"),
        ("image and text", "fixmatch net=gated"),
        ("image and text", "supervised"),
    ]
    tested = [group.name for group in groups if group.against is not None]
    assert tested == ["scrd", "fixmatch", "scrd", "fixmatch", "fixmatch net=gated"]
    assert "| method | reads | labels |" in markdown(groups)


@pytest.mark.parametrize(
    ("name", "reads", "method"),
    [
        ("vat freeze=image,text", BOTH, "vat frozen"),
        ("vat freeze=image plf=code", BOTH, "vat freeze=image plf=code"),
        ("vat net=text freeze=text", ["text"], "vat frozen"),
        ("vat net=text freeze=image,text", ["text"], "vat frozen"),
        ("vat net=text freeze=image", ["text"], "vat freeze=image"),
    ],
)
def test_a_net_with_all_encoders_frozen_is_one_method_whatever_it_reads(
    tmp_path: Path, name: str, reads: list[str], method: str
) -> None:
    assert read_run(write_run(tmp_path, name, 0, 0.5, reads=reads)).method == method


def test_ranks_are_over_the_blocks_that_all_methods_have(tmp_path: Path) -> None:
    runs = four_methods(tmp_path)
    found, left_out = ranking([run for run in runs if run.method != "fixmatch net=gated"])
    assert (found.methods, found.mean_ranks, found.blocks, left_out) == (
        ("scrd", "fixmatch", "supervised"),
        (1, 2, 3),
        4,
        0,
    )
    found, left_out = ranking(runs)  # the gated net is not there where images alone are read
    assert (found.methods[1:3], found.mean_ranks, found.blocks, left_out) == (
        ("fixmatch", "fixmatch net=gated"),
        (1, 2.5, 2.5, 4),
        2,
        2,
    )
    said = ranks_markdown(found, left_out, "macro_f1")
    assert "| scrd | 1.00 |\n| fixmatch | 2.50 |" in said and "2 other blocks lack a method" in said
    slowest = ranking(runs, metric="seconds")[0]  # less is better, and here all cost the same
    assert slowest.mean_ranks == (2.5,) * 4


def test_holm_counts_all_tests_of_the_table(tmp_path: Path) -> None:
    extra = [write_run(tmp_path, "fixmatch", seed, value) for seed, value in enumerate((0.5, 0.59, 0.6))]
    groups = compare([read_run(path) for path in [*two_methods(tmp_path), *extra]], "supervised")
    tests = {group.name: group for group in groups if group.against is not None}
    smallest = tests["scrd"].against
    assert smallest is not None and tests["scrd"].holm_p == pytest.approx(2 * smallest.t_p)
    assert tests["fixmatch"].against is not None
    assert tests["fixmatch"].holm_p == pytest.approx(max(tests["scrd"].holm_p, tests["fixmatch"].against.t_p))


def test_what_pseudo_labels_taught_is_shown_where_a_run_knows_it(tmp_path: Path) -> None:
    taught = {"accepted": 0.4, "pseudo_label_accuracy": None, "accepted_by_class": {"negative": 0.3}}
    told = read_run(write_run(tmp_path, "fixmatch", 0, 0.5, teaching=taught))
    header, _, row = markdown(compare([told])).splitlines()
    assert "| accepted | accepted negative |" in header and "pseudo" not in header
    assert "| 40.0 | 30.0 |" in row
    silent = read_run(write_run(tmp_path, "supervised", 0, 0.5))
    assert "accepted" not in markdown(compare([silent]))


def test_folders_of_runs(tmp_path: Path) -> None:
    paths = two_methods(tmp_path)
    for path in paths:
        (path / "options.yaml").write_text("")
    (paths[0] / "results.json").unlink()
    runs, unfinished = find_runs([tmp_path])
    assert (sorted(run.folder for run in runs), unfinished) == (sorted(paths[1:]), [paths[0]])
    assert [run.folder for run in find_runs([paths[1]])[0]] == [paths[1]]
    with pytest.raises(ValueError, match=r"no results\.json"):
        find_runs([paths[0]])


def test_the_script(tmp_path: Path) -> None:
    paths = [str(path) for path in two_methods(tmp_path)]
    script = [sys.executable, str(Path(__file__).parents[2] / "scripts" / "compare.py"), *paths]
    output = tmp_path / "table.csv"
    done = subprocess.run(
        [*script, "--baseline", "supervised", "--output", str(output)], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("| method | labels | seeds |")
    assert output.read_text().startswith("name,reads,num_labels")
    failed = subprocess.run([*script, "--baseline", "none"], capture_output=True, text=True, check=False)
    assert failed.returncode == 2 and failed.stderr.startswith("compare.py: --baseline none") and not failed.stdout


def test_a_folder_of_tables_ranks_and_pictures(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    from scripts.compare import CompareOptions, main

    runs, output = tuple(run.folder for run in four_methods(tmp_path)), tmp_path / "comparison"
    main(CompareOptions(runs, baseline="supervised", output=str(output)))
    assert capsys.readouterr().out == (output / "table.md").read_text()
    assert (output / "ranks.md").read_text().startswith("Ranks by macro f1 in 2 blocks")
    for name in ("label_efficiency", "cost", "critical_difference"):
        with Image.open(output / f"{name}.png") as picture:
            assert len(picture.convert("L").resize((64, 64)).getcolors(256)) > 10  # something is drawn
    few = tmp_path / "few"
    main(CompareOptions(runs[:2], output=str(few)))
    with pytest.raises(ValueError, match=r"--output .*table\.csv/few cannot be written: Not a directory"):
        main(CompareOptions(runs[:2], output=str(output / "table.csv" / "few")))
    assert "ranks need three methods or more" in capsys.readouterr().err
    assert sorted(path.name for path in few.iterdir()) == ["cost.png", "label_efficiency.png", "table.csv", "table.md"]


def with_recipe(folder: Path, **options: object) -> Path:
    """The run with these options kept."""
    (folder / "options.yaml").write_text(json.dumps({"epoch": 4, "lr": 0.001, **options}))
    return folder


def test_runs_of_one_name_and_several_recipes_are_no_repeats(tmp_path: Path) -> None:
    with_recipe(write_run(tmp_path, "scrd", 1, 0.6))
    with_recipe(write_run(tmp_path, "scrd", 2, 0.7), lr=0.01, seed=2, image_weights="a/w.pt")
    with_recipe(write_run(tmp_path, "supervised", 1, 0.5), image_weights="w.pt")
    runs, unfinished = find_runs([tmp_path])
    assert [run.method for run in runs] == [
        "scrd lr=0.001 image_weights=None", "scrd lr=0.01 image_weights=w.pt", "supervised",
    ] and not unfinished  # fmt: skip
    assert [group.seeds for group in compare(runs)] == [(2,), (1,), (1,)]
    lr, weights = unshared(runs)
    assert lr.startswith(
        "with 600 labels --lr is not the same everywhere: 0.001 in scrd lr=0.001 image_weights=None, sup"
    )
    assert "w.pt in scrd lr=0.01 image_weights=w.pt, supervised" in weights


def test_what_a_net_does_not_read_is_no_part_of_its_recipe(tmp_path: Path) -> None:
    for seed, weights in enumerate(("a.pt", "b.pt")):
        with_recipe(write_run(tmp_path, "scrd", seed, 0.6, net="text", reads=["text"]), image_weights=weights)
    runs, _ = find_runs([tmp_path])
    assert {run.method for run in runs} == {"scrd"} and unshared(runs) == []


def test_the_options_of_a_recipe_are_those_of_the_command_line() -> None:
    from training.command_line import flat_options, parse

    assert set(RECIPE) <= set(flat_options(parse([])))


def test_a_difference_of_costs_is_in_their_own_unit(tmp_path: Path) -> None:
    runs, _ = find_runs([write_run(tmp_path, "a", 1, 0.5, seconds=30), write_run(tmp_path, "b", 1, 0.5, seconds=28)])
    table = markdown(compare(runs, "a", metric="seconds"), "a", "seconds")
    assert "| -2.00 |" in table


def test_every_option_tells_runs_apart_or_changes_no_figure():
    """By the name of a run, by RECIPE, or by a fingerprint of posts or split."""
    by_fingerprint = {
        "data_dir", "train_data_dir", "test_data_dir", "unlabelled_dir", "dataset", "num_classes", "num_posts",
        "num_labels", "labels_from", "test_ratio", "split_seed", "labeled_ids_path", "id_column", "text_column",
        "image_column", "label_column", "seed", "region_features",
    }  # fmt: skip
    in_the_name = {"algorithm", "scrd_variant", "net", "fusion", *NET_PARTS, *MISSING}
    neutral = {
        "save_dir", "save_name", "resume", "overwrite", "eval_only", "gpu", "deterministic", "compile", "cache_dir",
        "num_workers", "eval_batch_size", "num_log_iter", "save_minutes", "max_skipped", "load_path",
    }  # fmt: skip
    groups = (RunOptions, DataOptions, NetOptions, TrainingOptions)
    there = {field.name for group in groups for field in fields(group)}
    told = [by_fingerprint, in_the_name, neutral, set(RECIPE)]
    assert there == set().union(*told)
    assert sum(map(len, told)) == len(there)  # each in one of them
