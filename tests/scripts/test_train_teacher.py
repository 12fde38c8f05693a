"""A text net is trained, calibrated, and loads in transformers."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from evaluation.calibration import with_temperature
from evaluation.metrics import calibration_error
from scripts.train_teacher import main
from tests.nets.classifiers import write_classifier
from training.command_line import load_options
from training.outcome import load_model
from training.run_folder import RunFolder

WORDS = {"negative": "awful terrible bad", "neutral": "fine so what", "positive": "good lovely sun"}


def write_table(path: Path, posts: int, seed: int) -> Path:
    """Tweets of which every eighth says nothing of its class."""
    draw = np.random.default_rng(seed)
    lines = ["id\tlabel\ttext"]
    for number in range(posts):
        label = list(WORDS)[number % 3]
        source = list(WORDS)[draw.integers(3)] if number % 8 == 0 else label
        words = draw.choice(WORDS[source].split(), 3).tolist() + draw.choice(["rain", "#monday"], 2).tolist()
        lines.append(f"{number}\t{label}\t@u{number} {' '.join(words)} https://t.co/{number}")
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    folder = tmp_path_factory.mktemp("teacher")
    source = write_classifier(folder / "source", ("other", "classes"))
    train, test = write_table(folder / "train.tsv", 300, 0), write_table(folder / "test.tsv", 90, 1)
    words = ["--train_data_dir", train, "--test_data_dir", test, "--text_weights", source, "--num_train_iter", 25]
    words += ["--epoch", 2, "--lr", 0.01, "--encoder_lr", 0.01, "--val_ratio", 0.3, "--text_length", 24]
    words += ["--save_dir", folder / "runs", "--cache_dir", folder / "cache", "--gpu", -1]
    assert main([str(word) for word in words]) == 0
    return RunFolder(folder / "runs" / "main")


def test_transformers_reads_calibrated_probabilities_of_named_classes(trained: RunFolder) -> None:
    folder = trained.path / "teacher"
    net = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    assert [net.config.id2label[number] for number in range(3)] == list(WORDS)
    assert net.config.text_rule == "twitter_roberta"
    scores = json.loads((folder / "scores.json").read_text())
    assert net.config.calibration_temperature == scores["temperature"]
    tokenizer = AutoTokenizer.from_pretrained(folder)
    texts = [f"@user {words} http" for words in WORDS.values()]
    encoded = tokenizer(texts, padding=True, return_tensors="pt")
    best = load_model(trained)
    with torch.no_grad():
        theirs = net(input_ids=encoded["input_ids"], attention_mask=encoded["attention_mask"]).logits.softmax(1)
        ours = best.encoders.live["text"](encoded["input_ids"], encoded["attention_mask"].bool()).softmax(1)  # type: ignore[operator]
    assert theirs.argmax(1).tolist() == [0, 1, 2]
    assert abs(scores["temperature"] - 1) > 0.02
    np.testing.assert_allclose(theirs.numpy(), with_temperature(ours.numpy(), scores["temperature"]), atol=1e-5)


def test_the_figures_are_those_of_the_test_posts(trained: RunFolder) -> None:
    scores = json.loads((trained.path / "teacher" / "scores.json").read_text())
    results = json.loads(trained.results.read_text())["test"]["full"]
    assert scores["before"] == results
    assert scores["after"]["confusion"] == scores["before"]["confusion"]
    assert scores["after"]["accuracy"] > 0.7
    assert scores["lexicon"]["n"] == 90
    with trained.predictions.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    probabilities = np.array([[float(row[name]) for name in WORDS] for row in rows])
    label = np.array([list(WORDS).index(row["label"]) for row in rows])
    expected = calibration_error(with_temperature(probabilities, scores["temperature"]), label)
    assert scores["after"]["ece"] == pytest.approx(expected, abs=0.02)


def test_the_preset_gives_way_to_the_command_line(trained: RunFolder) -> None:
    options = load_options(trained.options)
    assert (options.net.net, options.data.num_labels, options.training.batch_size) == ("sequence_classifier", 0, 32)
    assert (options.training.num_train_iter, options.data.text_length) == (25, 24)
    assert trained.command.read_text().startswith("python scripts/train_teacher.py --train_data_dir ")


@pytest.mark.parametrize("words", [["--net", "text"], ["--freeze", "text"]])
def test_what_is_no_teacher_is_refused_before_it_is_trained(words: list[str], capsys: pytest.CaptureFixture) -> None:
    assert main(words) == 2
    assert "a teacher is trained with --net sequence_classifier and nothing frozen" in capsys.readouterr().err
