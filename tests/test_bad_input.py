"""A user's mistake is one clear sentence and exit code 2, whatever the mistake."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.runs import TINY, run_main


@pytest.fixture
def refused(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch):
    """The sentence with which main.py refuses these flags; no hub is asked for anything."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)

    def refused(*words: object) -> str:
        said = run_main(*TINY, "--cache_dir", cache, "--save_dir", tmp_path / "runs", *words).sentence
        assert not (tmp_path / "runs" / "main" / "checkpoints").exists()
        return said

    return refused


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("--data_dir nowhere", "nowhere does not exist: check --data_dir"),
        ("--test_data_dir tests", "--test_data_dir is given without --train_data_dir"),
        ("--data_dir tests/datasets", "--dataset"),
        ("--dataset table", "--dataset table reads posts that are there: name them with --train_data_dir"),
        ("--dataset mvsa --data_dir tests", "mvsa_single"),
        ("--num_labels 100000", "--num_labels 100000 is more than the"),
        ("--num_labels 2", "--num_labels 2 is less than one for each of the 3 classes"),
        ("--num_classes 5", "--num_classes 5, but the posts have 3: negative, neutral, positive"),
        ("--val_ratio 0", "there is no labelled validation post: raise --val_ratio"),
        ("--labeled_ids_path nowhere.txt", "--labeled_ids_path nowhere.txt cannot be read"),
        ("--treshold 0.9", "there is no flag --treshold; did you mean --threshold?"),
        ("--config nowhere.yaml", "nowhere.yaml cannot be read"),
        ("--algorithm fixmach", "--algorithm fixmach: there is none of that name; there are adamatch, comatch, "),
        ("--net scdr", "--net scdr: there is none of that name; there are aspect_attention, attention, "),
        ("--image_net resnet81 --image_weights none", "--image_net resnet81"),
        ("--text_net bert-basse", "bert-basse"),
        ("--text_net bert-basse --text_weights nowhere", "--text_weights nowhere: there is no such folder"),
        ("--text_weights tests", "tests"),
        ("--image_weights nowhere.safetensors", "--image_weights nowhere.safetensors: there is no such file"),
        ("--freeze images", "--freeze"),
        ("--accumulate 3", "--accumulate 3"),
        ("--batch_size 0", "--batch_size"),
        ("--eval_only", "--eval_only: "),
        ("--load_path nowhere", "--load_path nowhere"),
        ("--resume --load_path nowhere", "--load_path nowhere: there is no checkpoint to go on from"),
        ("--resume --overwrite", "--overwrite throws away the run that --resume needs"),
        ("--gpu -2", "--gpu"),
    ],
)
def test_it_is_named(refused, words: str, named: str) -> None:
    assert named in refused(*words.split())


@pytest.mark.parametrize("name", ["weights.safetensors", "weights.pth"])
@pytest.mark.parametrize("content", [b"<!DOCTYPE html><html>404 not found</html>", b""])
def test_weights_that_are_a_web_page_or_nothing(refused, tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    assert "not a readable file of weights" in refused("--image_weights", tmp_path / name)


def test_weights_of_another_net(refused, finished: Path) -> None:
    weights = finished / "best" / "model.safetensors"
    assert "these are not the weights of" in refused("--image_net", "small", "--image_weights", weights)
    assert "holds the weights of another net" in refused("--algorithm", "fixmatch", "--load_path", finished)


def table(path: Path, labels: list[str], start: int = 0) -> Path:
    rows = [f"{start + row},a text about thing number {start + row},{label}" for row, label in enumerate(labels)]
    path.write_text("id,text,label\n" + "\n".join(rows) + "\n")
    return path


def test_a_class_without_a_labelled_post(refused, tmp_path: Path) -> None:
    train = table(tmp_path / "train.csv", ["negative", "positive"] * 20)
    test = table(tmp_path / "test.csv", ["negative", "neutral", "positive"] * 5, 100)
    said = refused("--train_data_dir", train, "--test_data_dir", test, "--num_labels", 6, "--net", "text")
    assert "no labelled post of the class neutral is there to train with" in said


def test_labels_that_nobody_knows(refused, tmp_path: Path) -> None:
    posts = tmp_path / "posts"
    (posts / "data").mkdir(parents=True)
    (posts / "data" / "1.txt").write_text("a text")
    (posts / "labelResultAll.txt").write_text("ID\ttext,image\n1\tangry,positive\n")
    said = refused("--data_dir", posts)
    assert "angry" in said
    assert "negative" in said


def test_a_table_without_the_column(refused, tmp_path: Path) -> None:
    said = refused("--data_dir", table(tmp_path / "posts.csv", ["negative"] * 3), "--label_column", "mood")
    assert "mood" in said
    assert "--label_column" in said


def test_a_folder_that_cannot_be_made(refused, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "--save_dir" in refused("--save_dir", tmp_path / "file")
    assert "--cache_dir" in refused("--cache_dir", tmp_path / "file")
