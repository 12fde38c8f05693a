"""Fine-tuning on benchmarks: what is learned, the published folds and files, and that what is done is kept."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from evaluation.benchmarks import Examples, find
from evaluation.folds import stratified_folds
from evaluation.image_answers import image_answers
from evaluation.two_classes import read_answers, two_class_accuracy
from nets.student import CLASSES, ImageModel, load_student
from tests.evaluation.bench_files import write_benchmark
from tests.nets.tiny import tiny_net
from training.benchmark_tuning import Bench, cross_validate, tune_splits
from training.fine_tuning import (
    NEUTRAL_MASK,
    Reached,
    Recipe,
    _set_block_dropout,
    _shift,
    fine_tune,
    masked,
    take_tuned,
    training_key,
)

CPU = torch.device("cpu")
QUICK = Recipe(epochs=1, batch_size=4, mask=NEUTRAL_MASK)


def student(classes: tuple[str, ...] = CLASSES, net: str = "image") -> ImageModel:
    made, plan = tiny_net(net)
    return ImageModel(made.eval(), plan, classes, squeezed=True)


@pytest.fixture
def examples(tmp_path: Path) -> Examples:
    write_benchmark(tmp_path / "Twitter Testing Dataset I", "5agree")
    return find("5agree").read(tmp_path)


def test_the_mask_is_what_keras_makes_of_masked_probabilities() -> None:
    logits = torch.tensor([[0.3, 2.0, -1.0], [1.0, 5.0, 0.0]])
    label = torch.tensor([2, 0])
    product = logits.softmax(dim=1) * torch.tensor([1.0, NEUTRAL_MASK, 1.0])
    expected = -(product / product.sum(dim=1, keepdim=True)).log()[[0, 1], label].mean()
    torch.testing.assert_close(cross_entropy(logits + _shift(student(), NEUTRAL_MASK), label), expected)
    assert _shift(student(("neutral", "negative", "positive")), 0.5).tolist() == pytest.approx([math.log(0.5), 0, 0])
    assert masked(np.full((1, 3), 0.25, np.float32), QUICK).tolist() == [[0.25, pytest.approx(0.25e-7), 0.25]]


def test_a_net_learns_to_tell_dark_from_bright(examples: Examples) -> None:
    model = student(("neutral", "positive", "negative"))  # ids go by name
    reached: list[Reached] = []
    fine_tune(model, examples, Recipe(8, 4, NEUTRAL_MASK, lr=1e-3), "test", CPU, after=reached.append)
    assert two_class_accuracy(image_answers(model, examples.files, 5, CPU), examples.label) == 1
    assert [one.batches for one in reached if not one.epoch_ended] == list(range(1, 25))
    assert [(one.batches, one.epochs) for one in reached if one.epoch_ended] == [(3 * n, n) for n in range(1, 9)]
    assert not any(module.training for module in model.net.modules())


def test_the_blocks_of_a_vit_have_the_published_dropout() -> None:
    net, _ = tiny_net("t4sa", "test_vit")
    _set_block_dropout(net, 0.1)
    dropouts = [module.p for module in net.modules() if isinstance(module, torch.nn.Dropout)]
    assert dropouts.count(0.1) == 3 * 6 and set(dropouts) == {0.0, 0.1}


def test_nets_of_texts_and_of_other_classes_are_refused(examples: Examples) -> None:
    with pytest.raises(ValueError, match="reads text and image: only a net of images alone"):
        fine_tune(student(net="concat"), examples, QUICK, "test", CPU)
    with pytest.raises(ValueError, match="the model has the classes joy, fear, anger, not negative and positive"):
        fine_tune(student(("joy", "fear", "anger")), examples, QUICK, "test", CPU)


def test_folds_are_kept_and_not_trained_again(
    examples: Examples, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home, bench = tmp_path / "Twitter Testing Dataset I", Bench(CPU, 0, tmp_path / "predictions")

    def run(recipe: Recipe) -> list[str]:
        cross_validate(student(), examples, "5agree", 3, recipe, home, bench)
        return capsys.readouterr().out.splitlines()

    said = run(QUICK)
    accuracies = [float(line.split()[-1]) for line in said[:3]]
    assert [line.rsplit(" ", 1)[0] for line in said[:3]] == [f"Accuracy fold {fold} :" for fold in range(3)]
    assert said[3] == f"Accuracy obtained for 5agree.csv : {accuracies}"
    assert said[4:6] == [f"Aggregated accuracy: {np.mean(accuracies)}", f"Standard deviation: {np.std(accuracies)}"]
    assert said[6].startswith("all folds together: accuracy ") and said[6].endswith("; 12 images")
    kept = [(home / "models" / "5agree" / f"fold_{fold}.safetensors").stat().st_mtime_ns for fold in range(3)]
    for fold, (_, test) in enumerate(stratified_folds(examples.label, 3)):
        answers = read_answers(bench.predictions / f"fine_tune_5agree_{fold}.csv", len(test))
        assert answers[:, 1].max() <= NEUTRAL_MASK
        assert two_class_accuracy(answers, examples.label[test]) == accuracies[fold]
        model = load_student(home / "models" / "5agree" / f"fold_{fold}.safetensors")
        again = masked(image_answers(model, examples.take(test).files, 4, CPU), QUICK)
        np.testing.assert_allclose(again, answers, rtol=1e-5, atol=1e-12)
    again_said = run(QUICK)
    assert [line for line in again_said if "is there already" not in line] == said and len(again_said) == len(said) + 3
    now = [(home / "models" / "5agree" / f"fold_{fold}.safetensors").stat().st_mtime_ns for fold in range(3)]
    assert now == kept
    model = load_student(home / "models" / "5agree" / "fold_0.safetensors")
    key = training_key(student(), QUICK, examples.take(next(stratified_folds(examples.label, 3))[0]))
    assert take_tuned(home / "models" / "5agree" / "fold_0.safetensors", model, {"trained": key, "folds": "3"})
    assert not take_tuned(home / "models" / "5agree" / "fold_0.safetensors", model, {"trained": key, "folds": "4"})
    assert not any("is there already" in line for line in run(Recipe(1, 4, NEUTRAL_MASK, seed=1)))


def test_a_split_keeps_the_best_of_its_validation(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.benchmark_tuning.SPLIT_CHECKS", 2)
    for part, count in (("train", 12), ("val", 6), ("test", 9)):
        write_benchmark(tmp_path / "FI", f"split_1/FI_{part}", count, positive=2, seed=100 * count)
    (accuracy,) = tune_splits(student(), 1, Recipe(3, 4, lr=1e-3), tmp_path, Bench(CPU, 0, tmp_path / "predictions"))
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "Reading csv files with training and validation set for split 1 ..."
    assert said[1] == "Training the model fully unfreezed..."
    saved = [line for line in said if line.startswith("Saving model after ")]
    best = [float(line.split()[-1]) for line in saved]
    assert saved[0].startswith("Saving model after 2 batches with accuracy ")
    assert best == sorted(set(best))
    assert said[-3:] == [
        f"Accuracy obtained: [{accuracy}]", f"Aggregated accuracy: {accuracy}", "Standard deviation: 0.0"
    ]  # fmt: skip
    model = load_student(tmp_path / "FI" / "models" / "model_1.safetensors")
    validation = find("FI_complete").read(tmp_path, table="split_1/FI_val")
    assert two_class_accuracy(image_answers(model, validation.files, 4, CPU), validation.label) == best[-1]
    assert len(read_answers(tmp_path / "predictions" / "fine_tune_FI_1.csv", 9)) == 9
