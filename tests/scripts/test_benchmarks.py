"""The scripts of the benchmarks: models by folder, file and name; the published files and lines."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from datasets.options import DataOptions
from evaluation.two_classes import read_answers, two_class_accuracy, write_answers
from nets.student import load_student
from scripts.fine_tune_FI import FIOptions
from scripts.fine_tune_FI import main as fine_tune_FI
from scripts.test_benchmark import ModelTestOptions
from scripts.test_benchmark import main as test_benchmark
from scripts.test_github import VariantTestOptions
from scripts.test_github import main as test_github
from tests.evaluation.bench_files import photo, write_benchmark
from tests.nets.keras_files import NET, keras_answers, keras_weights, write_keras
from tests.runs import ROOT
from training.fine_tuning import NEUTRAL_MASK, save_tuned
from training.image_models import find_model
from training.labelling import label_posts
from training.run_folder import RunFolder

five_fold = import_module("scripts.5_fold_cross")
test_benchmark.__test__ = test_github.__test__ = False  # type: ignore[attr-defined]
TD1 = "Twitter Testing Dataset I"


@pytest.fixture
def there(tmp_path: Path) -> dict[str, object]:
    """Options that name folders below `tmp_path`, in which ViT_L16.h5 and 5agree lie."""
    write_benchmark(tmp_path / "benchmark" / TD1, "5agree", 15)
    (tmp_path / "models").mkdir()
    write_keras(tmp_path / "models" / "ViT_L16.h5", keras_weights())
    folders = {f"{name}_dir": tmp_path / name for name in ("benchmark", "models", "predictions")}
    return {**folders, "image_net": NET, "gpu": -1, "num_workers": 0}


@pytest.fixture
def tuned(there: dict[str, object]) -> dict[str, object]:
    """Those of `there` that the test of fine-tuned nets reads."""
    return {name: value for name, value in there.items() if name not in ("models_dir", "predictions_dir")}


def test_a_published_name_is_tested(
    there: dict[str, object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    test_benchmark(ModelTestOptions(model="boosted_model", benchmark="5agree", **there))  # type: ignore[arg-type]
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "Model boosted_model already downloaded! (as ViT_L16, the same net)"
    answers = read_answers(tmp_path / "predictions" / "boosted_model_5agree.csv", 15)
    label = np.array([number % 3 > 0 for number in range(15)]).astype(int)
    assert float(said[-3]) == two_class_accuracy(answers, label)
    assert said[-2].startswith("accuracy ") and said[-2].endswith("; 15 images")
    perfect = np.stack([1 - label, np.zeros(15), label], axis=1)
    other = write_answers(tmp_path / "other.csv", perfect)
    options = ModelTestOptions(model="ViT_L16", benchmark="5agree", against=other, **there)  # type: ignore[arg-type]
    test_benchmark(options)
    said = capsys.readouterr().out.splitlines()
    wrong = 15 - round(15 * two_class_accuracy(answers, label))
    assert said[0] == "Model ViT_L16 already downloaded!"
    assert f"0 images that only ViT_L16 got right, {wrong} that only the other did" in said[-2]
    assert said[-2].endswith(f"p = {min(1, 2 * 0.5**wrong):.3g}")


def test_a_keras_file_answers_for_image_files(there: dict[str, object], tmp_path: Path) -> None:
    folder = tmp_path / "benchmark" / TD1 / "images"
    for number in range(15):
        photo(number % 3 > 0, number, 32, 32).save(folder / f"5agree_{number}.png")  # nothing to resize
    file = tmp_path / "models" / "ViT_L16.h5"
    test_benchmark(ModelTestOptions(model=str(file), benchmark="5agree", batch_size=4, **there))  # type: ignore[arg-type]
    pixels = np.stack([np.asarray(photo(number % 3 > 0, number, 32, 32)) for number in range(15)])
    found = read_answers(tmp_path / "predictions" / "ViT_L16_5agree.csv", 15)
    np.testing.assert_allclose(found, keras_answers(keras_weights(), pixels / 127.5 - 1), atol=3e-6)


def test_a_run_answers_as_it_labels_new_posts(
    finished: Path, there: dict[str, object], tmp_path: Path, cache: Path
) -> None:
    test_benchmark(ModelTestOptions(model=str(finished), benchmark="5agree", **there))  # type: ignore[arg-type]
    table = tmp_path / "posts.csv"
    rows = [f"{number},benchmark/{TD1}/images/5agree_{number}.png" for number in range(15)]
    table.write_text("\n".join(["id,image", *rows]) + "\n")
    data = DataOptions(data_dir=str(table), text_column="", cache_dir=str(cache), num_workers=0)
    _, expected, classes = label_posts(RunFolder(finished), data, -1, 8)
    assert classes == ("negative", "neutral", "positive")
    found = read_answers(tmp_path / "predictions" / "scrd_5agree.csv", 15)
    np.testing.assert_allclose(found, expected.probabilities, atol=1e-6)


def test_a_run_s_own_offset_is_used_where_it_is_asked_for(
    finished: Path, there: dict[str, object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    results = json.loads((run / "results.json").read_text())
    assert results["two_classes"]["balanced_accuracy"] >= results["two_classes"]["at_zero"] > 0
    results["two_classes"]["offset"] = 100.0  # so everything is negative
    (run / "results.json").write_text(json.dumps(results))
    test_benchmark(ModelTestOptions(model=str(run), benchmark="5agree", **there))  # type: ignore[arg-type]
    plain = capsys.readouterr().out.splitlines()
    test_benchmark(ModelTestOptions(model=str(run), benchmark="5agree", calibrated=True, **there))  # type: ignore[arg-type]
    said = capsys.readouterr().out.splitlines()
    assert [line for line in said if not line.startswith("calibrated")] == plain
    posts = results["two_classes"]["posts"]
    start = (
        f"calibrated (log p(positive) - log p(negative) above 100.000, by {posts} validation posts): accuracy 33.3 ["
    )
    assert any(line.startswith(start) for line in said)
    (run / "results.json").write_text(json.dumps(results | {"two_classes": None}))
    with pytest.raises(ValueError, match=r"--calibrated: .* has no offset"):
        test_benchmark(ModelTestOptions(model=str(run), benchmark="5agree", calibrated=True, **there))  # type: ignore[arg-type]


def test_folds_are_trained_and_tested_again(
    there: dict[str, object], tuned: dict[str, object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = five_fold.FoldOptions(benchmark="5agree", model="ViT_L16", epochs=1, **there)
    five_fold.main(options)
    said = capsys.readouterr().out.splitlines()
    test_benchmark(ModelTestOptions(benchmark="5agree", five_fold=True, **tuned))  # type: ignore[arg-type]
    again = capsys.readouterr().out.splitlines()
    trained = [line for line in said if line.startswith("Accuracy fold ")]
    assert len(trained) == 5 and again[:5] == trained
    assert again[5].split(":")[0] == "Mean accuracy"
    assert again[5].split(":")[1] == next(line for line in said if line.startswith("Aggregated")).split(":")[1]
    first = read_answers(tmp_path / "predictions" / "fine_tune_5agree_0.csv", 3)
    assert first[:, 1].max() <= NEUTRAL_MASK


def test_nets_of_other_folds_are_not_tested_on_what_they_learned_from(
    tuned: dict[str, object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "benchmark" / TD1 / "models" / "5agree"
    options = ModelTestOptions(benchmark="5agree", five_fold=True, **tuned)  # type: ignore[arg-type]
    model = load_student(tmp_path / "models" / "ViT_L16.h5", NET)
    for last, of in (({"folds": "10"}, "10"), ({}, "an unknown number of")):
        for fold in range(5):
            save_tuned(folder / f"fold_{fold}.safetensors", model, {"folds": "5"} if fold < 4 else last)
        with pytest.raises(ValueError, match=rf"fold_4\.safetensors is of {of} folds, .* -b 5agree --K 5$"):
            test_benchmark(options)
    (folder / "fold_0.safetensors").write_bytes(b"no weights")
    with pytest.raises(ValueError, match=r"fold_0\.safetensors: not a readable file of weights"):
        test_benchmark(options)
    assert "Accuracy" not in capsys.readouterr().out  # refused before the first of them is tested


def test_a_fold_that_keras_wrote_is_tested_too(tuned: dict[str, object], tmp_path: Path) -> None:
    folder = tmp_path / "benchmark" / TD1 / "models" / "5agree"
    folder.mkdir(parents=True)
    for fold in range(5):
        write_keras(folder / f"fold_{fold}.h5", keras_weights(fold), nested=True)
    test_benchmark(ModelTestOptions(benchmark="5agree", five_fold=True, **tuned))  # type: ignore[arg-type]
    (folder / "fold_4.h5").unlink()
    with pytest.raises(ValueError, match=r"there is no .*fold_4\.safetensors \(or \.h5\)"):
        test_benchmark(ModelTestOptions(benchmark="5agree", five_fold=True, **tuned))  # type: ignore[arg-type]


def test_all_five_splits_of_fi_are_trained_and_tested_again(
    there: dict[str, object], tuned: dict[str, object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for split in range(1, 6):
        for part in ("train", "val", "test"):
            write_benchmark(tmp_path / "benchmark" / "FI", f"split_{split}/FI_{part}", 3, positive=2, seed=split)
    fine_tune_FI(FIOptions(model="ViT_L16", epochs=1, **there))  # type: ignore[arg-type]
    said = capsys.readouterr().out.splitlines()
    test_benchmark(ModelTestOptions(FI_split=True, **tuned))  # type: ignore[arg-type]
    again = capsys.readouterr().out.splitlines()
    obtained = next(line for line in said if line.startswith("Accuracy obtained: "))
    accuracies = [float(line.split()[-1]) for line in again[:5]]
    assert obtained == f"Accuracy obtained: {accuracies}"
    assert [line.rsplit(" ", 1)[0] for line in again[:5]] == [f"Accuracy fold {split} :" for split in range(1, 6)]


def test_a_variant_s_own_test_images(
    there: dict[str, object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "dataset" / "t4sa 2.0" / "merged_T4SA"
    (home / "images").mkdir(parents=True)
    for number in range(6):
        photo(number % 2 > 0, number).save(home / "images" / f"{number}.png")
    for part, rows in (("train", range(2)), ("test", range(2, 6))):
        lines = ["path,class", *(f"{number}.png,{number % 3}" for number in rows)]
        (home / f"merged_T4SA_{part}.csv").write_text("\n".join(lines) + "\n")
    del there["benchmark_dir"]  # these images are not a benchmark's
    test_github(VariantTestOptions(model="ViT_L16", root=tmp_path, **there))  # type: ignore[arg-type]
    said = capsys.readouterr().out.splitlines()
    answers = np.load(tmp_path / "predictions" / "ViT_L16_test.npy")
    expected = float((answers.argmax(1) == np.arange(2, 6) % 3).mean())
    assert f"Model accuracy: {expected}" in said
    np.testing.assert_allclose(read_answers(tmp_path / "predictions" / "ViT_L16_test.csv", 4), answers, rtol=1e-6)
    (tmp_path / "predictions" / "ViT_L16_test.npy").unlink()
    (tmp_path / "predictions" / "ViT_L16_test.npy").mkdir()
    with pytest.raises(ValueError, match=r"ViT_L16_test\.npy cannot be written: "):
        test_github(VariantTestOptions(model="ViT_L16", root=tmp_path, **there))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"--variant B-T4SA_1.0: there is no .*b-t4sa_test\.txt"):
        test_github(VariantTestOptions(variant="B-T4SA_1.0", root=tmp_path, **there))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"--variant \(none\): name the test images"):
        test_github(VariantTestOptions(model="a.h5", root=tmp_path, **there))  # type: ignore[arg-type]


def test_a_model_that_is_not_there_is_said_with_where_it_goes(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"-m ViT_B16: there is no .*models/ViT_B16\.h5; put its file"):
        find_model("ViT_B16", tmp_path / "models")
    with pytest.raises(ValueError, match=r"-m resnet is neither a run's folder.*boosted_model"):
        find_model("resnet", tmp_path)
    with pytest.raises(ValueError, match="holds no trained model"):
        find_model(str(tmp_path), tmp_path)


def test_a_published_file_of_another_net_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_keras(tmp_path / "ViT_L16.h5", keras_weights())
    monkeypatch.setattr("nets.student._SHAPES", {(64, 16): NET})
    with pytest.raises(ValueError, match=r"-m ViT_L16: it is a vit_large_patch16_224, and .* holds a test_vit"):
        find_model("ViT_L16", tmp_path)


@pytest.mark.parametrize(("build", "reason"), [
    (lambda: ModelTestOptions(model="a"), "-b: name a benchmark"),
    (lambda: ModelTestOptions(benchmark="5agree"), "-m: name a model"),
    (lambda: ModelTestOptions(benchmark="5agree", five_fold=True, FI_split=True), "two tests"),
    (
        lambda: ModelTestOptions(FI_split=True, model="a", against=Path("b"), benchmark="5agree", dir="c", seed=1),
        "^--FI_split tests .*: leave out -m and --against and --dir and --seed and -b$",
    ),
    (
        lambda: ModelTestOptions(
            five_fold=True, benchmark="5agree", dir="a", models_dir=Path("b"), predictions_dir=Path("c")
        ),
        "^--five_fold tests .*: leave out --dir and --models_dir and --predictions_dir$",
    ),
    (lambda: ModelTestOptions(model="a", benchmark="5agree", batch_size=0), "--batch_size 0 must be 1 or more"),
    (lambda: five_fold.FoldOptions(benchmark="5agree", K=1), "--K 1 must be 2 or more"),
    (lambda: five_fold.FoldOptions(), "-b: name a benchmark"),
    (lambda: FIOptions(split=6), "FI has five splits"),
    (lambda: FIOptions(num_workers=-1), "--num_workers -1 must be 0 or more"),
])  # fmt: skip
def test_options_that_cannot_be_are_refused(build: Callable[[], object], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        build()


@pytest.mark.parametrize("script", ["test_benchmark", "5_fold_cross", "fine_tune_FI", "test_github"])
def test_help_has_the_published_flags_and_imports_no_torch(script: str) -> None:
    code = (
        f"import runpy, sys\nsys.argv = ['{script}.py', '--help']\n"
        f"try:\n    runpy.run_path('scripts/{script}.py', run_name='__main__')\n"
        "except SystemExit as stop:\n    assert not stop.code, stop.code\n"
        "assert not {'torch', 'transformers', 'timm', 'h5py'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    published = {
        "test_benchmark": ("--model", "-m", "--benchmark", "-b", "--dir", "--five_fold", "--FI_split"),
        "5_fold_cross": ("--model", "-m", "--benchmark", "-b", "--batch_size", "-batch", "--K", "--epochs", "-e"),
        "fine_tune_FI": ("--batch_size", "-batch", "--epochs", "--split"),
        "test_github": ("--model", "--batch_size", "-batch"),
    }[script]
    assert [flag for flag in published if flag not in done.stdout.replace(",", " ").split()] == []


def test_a_mistake_on_the_command_line_is_one_sentence(tmp_path: Path) -> None:
    words = ["scripts/test_benchmark.py", "-m", "ViT_L16", "-b", "5agree", "--benchmark_dir", str(tmp_path)]
    done = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("test_benchmark.py: -b 5agree") and "path,class" in done.stderr
