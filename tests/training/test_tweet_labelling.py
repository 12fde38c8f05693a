"""Answers of a teacher: the same however they are cut, whoever computes them, and whatever came between."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from datasets.posts import SENTIMENTS
from datasets.store import PostStore, StoreWriter
from datasets.text import mask_tweet
from datasets.text_predictions import TextPredictions
from datasets.variants import probabilities_of
from nets.lexicon import Lexicon
from tests.nets.classifiers import WORDS, write_classifier
from training import tweet_labelling
from training.distributed import Processes
from training.tweet_labelling import LexiconTeacher, NetTeacher, answer_all, write_answers

POSTS = 60


def write_store(path: Path, classes: tuple[str, ...] = (), blank: int = 7) -> PostStore:
    """Tweets of 1 to 12 words; every `blank`th has an image only."""
    draw = np.random.default_rng(0)
    with StoreWriter(path, classes) as writer:
        for number in range(POSTS):
            words = draw.choice([*WORDS, "@someone", "https://t.co/x"], draw.integers(1, 13))
            writer.add(f"t{number}", text=None if number % blank == 0 else " ".join(words), image=b"jpeg")
    return PostStore(path)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = write_classifier(tmp_path_factory.mktemp("classifier"), ("positive", "negative", "neutral"))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"text_rule": "twitter_roberta"}))
    return str(folder)


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tweet_labelling, "CHUNK", 8)


def net_teacher(store: PostStore, source: str, folder: Path, budget: int = 64) -> NetTeacher:
    return NetTeacher(store, source, folder / "tokens", torch.device("cpu"), budget)


def test_each_text_gets_what_transformers_answers_for_it_alone(source: str, tmp_path: Path, small_chunks: None) -> None:
    store = write_store(tmp_path / "store")
    answers = answer_all(store, net_teacher(store, source, tmp_path), tmp_path)
    assert answers is not None
    net = AutoModelForSequenceClassification.from_pretrained(source).eval()
    tokenizer = AutoTokenizer.from_pretrained(source)
    for row, text in enumerate(store.texts(np.arange(POSTS))):
        expected = np.zeros(3)
        if text:
            with torch.no_grad():
                logits = net(**tokenizer(mask_tweet(text), return_tensors="pt")).logits
            expected = logits.softmax(1)[0, [1, 2, 0]].numpy()
        np.testing.assert_allclose(answers[row], expected, atol=1e-5)
    assert (store.has_text == (answers.sum(1) > 0)).all() and not store.has_text.all()


def test_batches_are_of_like_length_and_within_the_budget(source: str, tmp_path: Path) -> None:
    store = write_store(tmp_path / "store")
    teacher = net_teacher(store, source, tmp_path)
    shapes: list[torch.Size] = []
    teacher.net.register_forward_pre_hook(lambda module, arguments: shapes.append(arguments[0].shape))
    lengths = teacher.tokens.count(teacher.order())
    assert (np.diff(lengths) <= 0).all()
    teacher.answer(teacher.order())
    assert sum(shape[0] for shape in shapes) == len(lengths)
    assert all(shape[0] == 1 or shape[0] * shape[1] <= 64 for shape in shapes)
    padded = sum(shape[0] * shape[1] for shape in shapes)
    assert padded < 1.5 * lengths.sum()


def test_processes_share_the_chunks_and_give_the_same_bits(source: str, tmp_path: Path, small_chunks: None) -> None:
    store = write_store(tmp_path / "store")
    alone = answer_all(store, net_teacher(store, source, tmp_path), tmp_path / "alone")

    class Apart(Processes):
        """A process whose companions have come and gone."""

        def barrier(self) -> None:
            pass

    teacher = net_teacher(store, source, tmp_path)
    assert answer_all(store, teacher, tmp_path / "two", Apart(1, 2)) is None
    written = list((tmp_path / "two").glob("*/chunk-*.npy"))
    assert 0 < len(written) < len(list((tmp_path / "alone").glob("*/chunk-*.npy")))
    together = answer_all(store, teacher, tmp_path / "two", Apart(0, 2))
    assert alone is not None and together is not None
    assert np.array_equal(alone, together)


def test_what_is_there_is_not_computed_again(source: str, tmp_path: Path, small_chunks: None) -> None:
    store = write_store(tmp_path / "store")
    teacher = net_teacher(store, source, tmp_path)
    first = answer_all(store, teacher, tmp_path)
    chunks = sorted(tmp_path.glob("teacher-*/chunk-*.npy"))
    assert len(chunks) > 3
    chunks[1].unlink()
    computed: list[int] = []
    teacher.net.register_forward_pre_hook(lambda module, arguments: computed.append(len(arguments[0])))
    again = answer_all(store, teacher, tmp_path)
    assert sum(computed) == 8
    assert first is not None and again is not None and np.array_equal(first, again)
    other = write_store(tmp_path / "other", blank=5)
    answer_all(other, net_teacher(other, source, tmp_path), tmp_path)
    assert len(list(tmp_path.glob("teacher-*"))) == 2  # other texts, other answers


def test_the_store_has_the_answers_and_the_file_those_that_there_are(tmp_path: Path) -> None:
    path = tmp_path / "store"
    store = write_store(path)
    answers = answer_all(store, LexiconTeacher(store), tmp_path)
    assert answers is not None
    answers[1] = np.nan
    there = write_answers(store, LexiconTeacher(store), answers, tmp_path / "out" / "answers.csv")
    assert there.sum() == store.has_text.sum() - 1
    again = PostStore(path)
    assert again.classes == ("negative", "neutral", "positive") and again.fingerprint == store.fingerprint
    assert again.teacher is not None and (again.teacher[1] == 0).all()
    expected = Lexicon()(store.texts(np.flatnonzero(there)))
    np.testing.assert_allclose(again.teacher[there], expected, atol=1e-6)
    lines = (tmp_path / "out" / "answers.csv").read_text().splitlines()
    assert lines[0] == "TWID,NEG,NEU,POS"
    found = {row[0]: row[1:] for row in csv.reader(lines[1:])}
    assert list(found) == store.ids(np.flatnonzero(there))
    assert all(len(value.split(".")[1]) == 6 for row in found.values() for value in row)
    np.testing.assert_allclose([list(map(float, row)) for row in found.values()], expected, atol=1e-6)
    assert (path / "teacher_refused.csv").read_text().splitlines() == ["id,reason", "t1,the answer is not finite"]
    assert json.loads((path / "teacher.json").read_text())["answers"] == there.sum()


@pytest.mark.parametrize("kind", [str, int])
def test_the_file_of_a_crawl_has_a_row_for_each_tweet_that_builds_read(kind: type, tmp_path: Path) -> None:
    """Three tweets with 2, 1 and 3 photos, a post that is no tweet; the first photo of the last one has no answer."""
    tweets = [1531722957072093184, 1531722957072093184, 7, None, 1531722957072093190, 1531722957072093190, 9]
    with StoreWriter(tmp_path / "store", SENTIMENTS) as writer:
        for number, tweet in enumerate(tweets):
            of_tweet = {"tweet": None if tweet is None else kind(tweet)}
            writer.add(str(tweet or 3) + f"-{number}" * (tweet is not None), text=f"text of {tweet}", extra=of_tweet)
    store = PostStore(tmp_path / "store")
    answers = np.array([(0.25, 0.25, 0.5)] * 7, np.float32) - np.arange(7, dtype=np.float32)[:, None] * (0.01, 0, -0.01)
    answers[4] = np.nan
    write_answers(store, LexiconTeacher(store), answers.astype(np.float32), tmp_path / "answers.csv")
    lines = (tmp_path / "answers.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in lines[1:]] == [str(tweet or 3) for tweet in tweets[1:4] + tweets[5:]]
    assert lines[1].endswith(",0.250000,0.250000,0.500000")
    found = probabilities_of(store, TextPredictions(tmp_path / "answers.csv"))
    expected = answers[[0, 0, 2, 3, 5, 5, 6]]
    expected[3] = 0  # no tweet
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_texts_without_a_word_are_listed(source: str, tmp_path: Path) -> None:
    with StoreWriter(tmp_path / "store") as writer:
        writer.add("a", text="good sun " * 6)
        writer.add("b", text="\u200b")
    store = PostStore(tmp_path / "store")
    teacher = net_teacher(store, source, tmp_path)
    teacher.special = int(teacher.tokens.count(np.array([1]))[0])  # as if the tokenizer had nothing for it
    answers = answer_all(store, teacher, tmp_path)
    assert answers is not None
    write_answers(store, teacher, answers, None)
    assert (tmp_path / "store" / "teacher_refused.csv").read_text() == "id,reason\nb,no word that the teacher reads\n"


def test_a_store_of_two_classes_gets_these(tmp_path: Path) -> None:
    store = write_store(tmp_path / "store", ("negative", "positive"))
    answers = answer_all(store, LexiconTeacher(store), tmp_path)
    assert answers is not None
    write_answers(store, LexiconTeacher(store), answers, None)
    column = PostStore(store.path).teacher
    assert column is not None and column.shape == (POSTS, 2)
    there = store.has_text
    np.testing.assert_allclose(column[there].sum(1), 1, rtol=1e-5)
    negative, _, positive = answers[there].T
    np.testing.assert_allclose(column[there, 1], positive / (negative + positive), rtol=1e-5)
    other = write_store(tmp_path / "other", ("angry", "sad"))
    with pytest.raises(ValueError, match="has the class angry, of which a sentiment teacher knows nothing"):
        write_answers(other, LexiconTeacher(other), answers, None)
