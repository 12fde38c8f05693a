"""The published benchmarks are found by name and read in their published layouts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.model_selection import StratifiedKFold

from evaluation.benchmarks import Benchmark, benchmarks, find
from evaluation.benchmarks.fi import read_split
from evaluation.folds import mean_and_deviation, saved_folds, stratified_folds
from tests.evaluation.bench_files import write_benchmark

PUBLISHED = {
    "5agree": "Twitter Testing Dataset I",
    "4agree": "Twitter Testing Dataset I",
    "3agree": "Twitter Testing Dataset I",
    "twitter_testing_2": "Twitter Testing Dataset II",
    "FI_complete": "FI",
    "emotion_ROI_test": "EmotionROI",
}


def test_the_six_published_names_are_there() -> None:
    assert {name: find(name).folder for name in PUBLISHED} == PUBLISHED
    assert {name for name in PUBLISHED if find(name).positive == 2} == {"FI_complete"}
    with pytest.raises(ValueError, match=r"-b 6agree: no benchmark has that name; there are .*5agree"):
        find("6agree")


def test_two_benchmarks_of_one_name_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from evaluation.benchmarks import twitter_testing_2

    monkeypatch.setattr(twitter_testing_2, "BENCHMARKS", (Benchmark("5agree", "Elsewhere", "the same name"),))
    with pytest.raises(ValueError, match="two benchmarks are called '5agree'"):
        benchmarks.__wrapped__()


def test_twitter_s_ones_are_positive_and_fi_s_twos(tmp_path: Path) -> None:
    rows = write_benchmark(tmp_path / "Twitter Testing Dataset I", "5agree")
    found = find("5agree").read(tmp_path)
    assert [file.name for file in found.files] == [path for path, _ in rows]
    assert found.label.tolist() == [label for _, label in rows]
    write_benchmark(tmp_path / "FI", "FI_complete", positive=2, folder="awe/")
    found = find("FI_complete").read(tmp_path)
    assert found.files[1].parent == tmp_path / "FI" / "images" / "awe" and found.label.tolist() == [0, 1, 1] * 4
    some = found.take(np.array([3, 1]))
    assert some.files == (found.files[3], found.files[1]) and some.label.tolist() == [0, 1]


def test_a_split_of_fi_and_another_folder(tmp_path: Path) -> None:
    write_benchmark(tmp_path / "FI", "split_3/FI_val", 6, positive=2)
    assert read_split(tmp_path, 3, "val").label.tolist() == [0, 1, 1, 0, 1, 1]
    write_benchmark(tmp_path / "mine", "4agree", 3)
    assert len(find("4agree").read(tmp_path, "mine")) == 3


def test_what_is_missing_is_said_with_where_it_goes(tmp_path: Path) -> None:
    with pytest.raises(ValueError) as error:
        find("FI_complete").read(tmp_path)
    for word in ("FI_complete.csv", "path,class", "2 positive and 0 negative", str(tmp_path / "FI" / "images")):
        assert word in str(error.value)
    write_benchmark(tmp_path / "EmotionROI", "emotion_ROI_test", 4)
    next((tmp_path / "EmotionROI" / "images").iterdir()).unlink()
    with pytest.raises(ValueError, match="names 4 images, 1 of them are not there, as "):
        find("emotion_ROI_test").read(tmp_path)


@pytest.mark.parametrize(("rows", "reason"), [
    ("image,label\na.png,1", "should begin with the header path,class, found 'image,label'"),
    ("path,class\na.png,2", "line 2, should be a path and the class 1 .positive. or 0 .negative., found 'a.png,2'"),
    ("path,class\n../a.png,1", r"line 2, should be .*\.\./a\.png"),
    ("path,class\n", "has no row"),
])  # fmt: skip
def test_a_malformed_table_is_refused(tmp_path: Path, rows: str, reason: str) -> None:
    home = tmp_path / "Twitter Testing Dataset II"
    home.mkdir()
    (home / "twitter_testing_2.csv").write_text(rows)
    with pytest.raises(ValueError, match=reason):
        find("twitter_testing_2").read(tmp_path)


def test_folds_are_the_published_ones() -> None:
    label = np.random.default_rng(0).integers(0, 2, 83)
    expected = StratifiedKFold(5, shuffle=True, random_state=42).split(np.zeros((83, 1)), label)
    found = list(stratified_folds(label, 5))
    assert len(found) == 5
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(ours[0], theirs[0])
        np.testing.assert_array_equal(ours[1], theirs[1])
    np.testing.assert_array_equal(np.sort(np.concatenate([test for _, test in found])), np.arange(83))
    with pytest.raises(ValueError, match="--K 4: the rarer class has 3 images"):
        next(stratified_folds(np.array([0, 0, 0, 1, 1, 1, 1]), 4))


def test_the_deviation_is_the_population_s() -> None:
    assert mean_and_deviation([0.5, 0.7, 0.9]) == pytest.approx((0.7, (0.08 / 3) ** 0.5))


def test_nets_that_were_not_fine_tuned_are_named(tmp_path: Path) -> None:
    write_benchmark(tmp_path / "Twitter Testing Dataset I", "5agree", 15)
    with pytest.raises(ValueError, match=r"there is no .*models/5agree/fold_0\.safetensors \(or \.h5\)"):
        next(saved_folds(find("5agree"), tmp_path))
