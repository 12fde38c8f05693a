"""Each algorithm with the options that its validation posts prefer."""

from __future__ import annotations

from pathlib import Path

import pytest

from evaluation.compare import Run, compare, find_runs
from evaluation.comparison_tables import choices_markdown
from evaluation.tuning import tuned
from tests.evaluation.test_compare import write_run

# By method: of each seed the macro-F1 on validation and on test.
FIGURES = {
    "fixmatch freeze=image,text": [(0.5, 0.9), (0.7, 0.6), (0.4, 0.5)],
    "fixmatch freeze=image,text threshold=0.8": [(0.6, 0.4), (0.6, 0.9), (0.5, 0.7)],
    "supervised freeze=image,text": [(0.1, 0.3), (0.1, 0.3), (0.1, 0.3)],
}


def write(root: Path, labels: int = 600) -> list[Path]:
    (root / str(labels)).mkdir()
    return [
        write_run(root / str(labels), method, seed, test, num_labels=labels, validation={"macro_f1": validation})
        for method, values in FIGURES.items()
        for seed, (validation, test) in enumerate(values)
    ]


def test_each_label_set_chooses_by_validation_and_is_judged_by_test(tmp_path: Path) -> None:
    runs, choices = tuned(find_runs(write(tmp_path))[0])
    groups = {group.name: group for group in compare(runs, "supervised frozen")}
    assert list(groups) == ["fixmatch frozen", "supervised frozen"]
    fixmatch = groups["fixmatch frozen"]
    assert (fixmatch.seeds, fixmatch.figures["macro_f1"].mean) == ((0, 1, 2), pytest.approx((0.4 + 0.6 + 0.7) / 3))
    assert fixmatch.against is not None and fixmatch.against.difference.count == 3
    (choice,) = choices
    assert choice.counts == {"fixmatch frozen threshold=0.8": 2, "fixmatch frozen": 1}
    assert choices_markdown(choices).splitlines()[2] == (
        "| fixmatch | image and text | 600 | fixmatch frozen threshold=0.8 (2), fixmatch frozen (1) |"
    )


def test_settings_choose_apart_and_ties_go_to_the_first_by_name(tmp_path: Path) -> None:
    folders = write(tmp_path) + write(tmp_path, 51)
    folders.append(write_run(tmp_path / "51", "scrd", 0, 0.1, num_labels=51, validation={"macro_f1": 0.5}))
    folders.append(
        write_run(tmp_path / "51", "scrd threshold=0.8", 0, 0.9, num_labels=51, validation={"macro_f1": 0.5})
    )
    _, choices = tuned(find_runs(folders)[0])
    assert [(choice.algorithm, choice.setting[1]) for choice in choices] == [
        ("fixmatch", 51),
        ("fixmatch", 600),
        ("scrd", 51),
    ]
    assert choices[-1].counts == {"scrd": 1}


def test_released_scrd_is_an_algorithm_of_its_own_and_a_recipe_a_variant(tmp_path: Path) -> None:
    told = {"validation": {"macro_f1": 0.5}}
    runs = find_runs([write_run(tmp_path, name, 0, 0.5, **told) for name in ("scrd", "scrd_released")])[0]
    faster = Run(tmp_path / "faster", {**runs[0].results, "validation": {"macro_f1": 0.6}}, apart=("lr=0.01",))
    chosen, choices = tuned([*runs, faster])
    assert [(run.method, run.folder.name) for run in chosen] == [
        ("scrd", "faster"),
        ("scrd_released", "scrd_released-0"),
    ]
    assert choices[0].counts == {"scrd lr=0.01": 1}


def test_what_cannot_be_chosen_from_is_refused(tmp_path: Path) -> None:
    folders = write(tmp_path)
    with pytest.raises(ValueError, match="--tuned: seed 0 with 600 labels lacks fixmatch frozen: train it"):
        tuned(find_runs(folders[1:])[0])
    bare = write_run(tmp_path, "vat", 0, 0.5)
    with pytest.raises(ValueError, match=r"vat-0/results\.json has no macro-F1 of validation posts"):
        tuned(find_runs([*folders, bare])[0])


def test_the_script_shows_what_was_chosen(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    from scripts.compare import CompareOptions, main

    main(CompareOptions(tuple(write(tmp_path)), baseline="supervised frozen", tuned=True))
    out = capsys.readouterr().out
    assert out.count("\n| fixmatch frozen |") == 1 and "threshold=0.8 (2), fixmatch frozen (1)" in out
