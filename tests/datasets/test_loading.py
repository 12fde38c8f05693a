"""From rows to batches: what a batch holds, and that nothing but the step decides what it is."""

from __future__ import annotations

import io
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import time
from dataclasses import fields

import numpy as np
import pytest
import torch
from PIL import Image

from datasets.augment import ViewMaker
from datasets.batch import UNLABELLED, Batch, concatenate
from datasets.features import FeatureCache, create_features
from datasets.images import decode
from datasets.loading import RawStep, TrainingLoader, evaluation_batches
from datasets.order import Order
from datasets.post_source import PostSource, draw_numbers
from datasets.store import PostStore, StoreWriter
from datasets.tokens import TokenCache, train_tokenizer

POSTS, SIZE = 40, 32
CLASSES = ("negative", "neutral", "positive")
LABELLED, UNLABELLED_ROWS = np.arange(12), np.arange(40)


def jpeg(number):
    """A wide picture, darker to the right, of a colour of its own."""
    colour = np.array([number * 6, 255 - number * 6, 128])
    ramp = np.linspace(1, 0, 48)[None, :, None] * colour
    file = io.BytesIO()
    Image.fromarray(np.repeat(ramp, 32, axis=0).astype(np.uint8)).save(file, "JPEG", quality=90)
    return file.getvalue()


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Every fifth post lacks its image, every seventh its text; posts 3, 13, … have a paraphrase; the first are groups
    of two."""
    path = tmp_path_factory.mktemp("posts") / "store"
    with StoreWriter(path, CLASSES) as writer:
        for number in range(POSTS):
            writer.add(
                str(number),
                text=None if number % 7 == 6 else f"post number {number} " + "word " * (number % 9),
                image=None if number % 5 == 4 else jpeg(number),
                label=CLASSES[number % 3],
                teacher=(0.2, 0.3, 0.5) if number % 2 else None,
                group=str(number // 2) if number < 20 else None,
                paraphrase="the same in other words" if number % 10 == 3 else None,
            )
    return PostStore(path)


@pytest.fixture(scope="module")
def caches(store, tmp_path_factory):
    """Token caches of texts and paraphrases, feature caches of images and texts."""
    folder = tmp_path_factory.mktemp("caches")
    tokenizer = train_tokenizer(store.texts(np.arange(POSTS)), folder / "tokenizer", vocab_size=300)
    tokens, said = (TokenCache(store, tokenizer, 32, folder, column) for column in ("text", "paraphrase"))
    for name, dim in (("image", 6), ("text", 4)):
        with create_features(folder / name, POSTS, dim, views=2) as arrays:
            arrays["clean"][:] = np.arange(POSTS)[:, None]
            for place, view in enumerate(("weak", "strong")):
                arrays[view][:] = np.arange(POSTS)[:, None] + 100 * (place + 1) + 50 * np.arange(2)[:, None, None]
    return {
        "tokens": tokens,
        "paraphrases": said,
        "image_features": FeatureCache(folder / "image"),
        "text_features": FeatureCache(folder / "text"),
    }


@pytest.fixture(scope="module")
def source(store, caches):
    """Live images and tokens."""
    return PostSource(store, store.label, tokens=caches["tokens"], paraphrases=caches["paraphrases"], image_size=SIZE)


@pytest.fixture(scope="module")
def feature_source(store, caches):
    """Frozen encoders on both sides."""
    return PostSource(
        store, store.label, image_features=caches["image_features"], text_features=caches["text_features"]
    )


def loader(source, start=0, stop=4, num_workers=0, rank=0, world=1, seed=1, **changed):
    tokens = source.tokens
    maker = ViewMaker([0.5] * 3, [0.25] * 3, tokens, modality_dropout=0.3, strong_text=0.5)
    labelled = Order(LABELLED, 4, seed, "labelled", rank, world)
    unlabelled = Order(UNLABELLED_ROWS, 8, seed, "unlabelled", rank, world)
    orders = {"labelled": labelled, "unlabelled": unlabelled, **changed}
    return TrainingLoader(
        source,
        orders["labelled"],
        orders["unlabelled"],
        ("weak",),
        ("weak", "strong"),
        maker,
        start,
        stop,
        seed,
        num_workers,
    )


def assert_same(one, other):
    """The same steps with the same views, bit for bit."""
    for (step, *views), (other_step, *other_views) in zip(one, other, strict=True):
        assert step == other_step
        for named, other_named in zip(views, other_views, strict=True):
            assert named.keys() == other_named.keys()
            for name, batch in named.items():
                for field in fields(Batch):
                    value, other_value = (getattr(view, field.name) for view in (batch, other_named[name]))
                    assert (value is None) == (other_value is None)
                    assert value is None or torch.equal(value, other_value), (step, name, field.name)


def test_a_raw_batch_holds_what_the_store_holds(store, source, caches):
    rows = np.array([3, 4, 6, 11])
    batch = source.batch(rows)["clean"]
    assert batch.index.tolist() == rows.tolist() and batch.label.tolist() == [0, 1, 0, 2]
    assert batch.has_image.tolist() == [True, False, True, True]
    assert batch.has_text.tolist() == [True, True, False, True]
    assert batch.image.dtype == torch.uint8 and batch.image.shape == (4, 3, SIZE, SIZE)
    assert not batch.image[1].any()
    for place, row in ((0, 3), (2, 6), (3, 11)):
        expected = decode(store.image(row), SIZE, 0.5)
        assert (batch.image[place].permute(1, 2, 0).numpy() == expected).all()
    assert torch.equal(batch.text, caches["tokens"].rows(rows)[0])
    assert batch.text_mask.any(1).tolist() == batch.has_text.tolist()
    assert batch.paraphrase_mask.any(1).tolist() == [True, False, False, False]
    assert torch.allclose(batch.teacher, torch.tensor([[0.2, 0.3, 0.5], [0.0] * 3, [0.0] * 3, [0.2, 0.3, 0.5]]))


@pytest.mark.parametrize("which", ["source", "feature_source"])
def test_views_of_training_tell_which_posts_are_near_duplicates(store, which, request):
    source = request.getfixturevalue(which)
    for _, *views in loader(source, stop=2):
        for batch in (batch for named in views for batch in named.values()):
            assert batch.group.dtype == torch.int64
            assert batch.group.tolist() == store.group[batch.index].tolist()
            assert concatenate([batch, batch.rows(0, 2)]).group.tolist() == [*batch.group, *batch.group[:2]]


def test_labels_are_seen_only_where_asked_for(source):
    assert source.batch(np.arange(5), labelled=False)["clean"].label.tolist() == [UNLABELLED] * 5
    for _, labelled, unlabelled in loader(source):
        assert (labelled["weak"].label >= 0).all()
        assert (unlabelled["weak"].label == UNLABELLED).all() and (unlabelled["strong"].label == UNLABELLED).all()


def test_the_draw_says_where_a_long_image_is_cut(store, source):
    for position in (0.0, 0.3, 1.0):
        draws = np.full((3, 1), position)
        image = source.batch(np.array([3]), draws=draws)["clean"].image[0].permute(1, 2, 0).numpy()
        assert (image == decode(store.image(3), SIZE, position)).all()
    steps = {step: unlabelled["weak"] for step, _, unlabelled in loader(source, stop=10)}
    brightness = [view.image[view.index == 3].mean().item() for view in steps.values() if (view.index == 3).any()]
    assert len(brightness) > 1 and len({round(value, 4) for value in brightness}) == len(brightness)


def test_views_share_what_is_the_same_for_all(source):
    weak, strong = source.batch(np.arange(6), ("weak", "strong")).values()
    assert weak.image is strong.image and weak.text is strong.text
    calls = []
    raw = RawStep(0, {"weak": weak, "strong": strong}, {}).map(lambda value: calls.append(value) or value.clone())
    assert len(calls) == len({id(value) for value in calls}) == 11  # every field once
    assert raw.labelled["weak"].image is raw.labelled["strong"].image


def test_features_are_picked_by_kind_of_view(feature_source):
    assert not feature_source.decodes
    rows = np.array([3, 8, 11])
    draws = np.array([[0.0] * 3, [0.2, 0.7, 0.2], [0.7, 0.2, 0.2], [0.7, 0.7, 0.2], [0.2, 0.2, 0.7]])
    weak, strong = feature_source.batch(rows, ("weak", "strong_1"), draws).values()
    assert weak.image[:, 0].tolist() == [103, 158, 111] and weak.text[:, 0].tolist() == [153, 108, 111]
    assert strong.image[:, 0].tolist() == [253, 258, 211] and strong.text[:, 0].tolist() == [203, 208, 261]
    clean = feature_source.batch(rows)["clean"]
    assert clean.image[:, 0].tolist() == clean.text[:, 0].tolist() == [3, 8, 11]
    assert clean.text_mask is None and clean.text.dtype == torch.float32


def test_what_is_not_read_is_not_there(store, caches):
    text = PostSource(store, store.label, tokens=caches["tokens"]).batch(np.arange(8))["clean"]
    assert text.image is None and not text.has_image.any() and text.has_text.any()
    image = PostSource(store, store.label, image_size=SIZE).batch(np.arange(8))["clean"]
    assert image.text is None and not image.has_text.any() and image.has_image.any()


def test_fixed_length_pads_every_batch_alike(store, caches):
    fixed = PostSource(store, store.label, tokens=caches["tokens"], fixed_length=True)
    assert fixed.batch(np.arange(2))["clean"].text.shape == (2, 32)


@pytest.fixture
def workers():
    """The worker processes that the test has started and that live: one of a test before may take its time to end."""
    before = set(multiprocessing.active_children())
    return lambda: set(multiprocessing.active_children()) - before


@pytest.mark.parametrize("num_workers", [1, 2])
def test_worker_processes_change_no_bit(source, workers, num_workers):
    assert_same(loader(source), loader(source, num_workers=num_workers))
    assert not workers()


@pytest.mark.parametrize("which", ["source", "feature_source"])
def test_a_run_that_starts_late_reads_what_the_unbroken_one_does(which, request):
    source = request.getfixturevalue(which)
    assert_same(list(loader(source, 0, 12))[7:], list(loader(source, 7, 12)))


def test_another_seed_reads_something_else(source):
    first, other = (next(iter(loader(source, seed=seed)))[2]["strong"] for seed in (1, 2))
    assert not torch.equal(first.index, other.index)


def test_processes_share_the_global_batch(source, feature_source):
    for which in (source, feature_source):
        ranks = zip(*(loader(which, rank=rank, world=2) for rank in (0, 1)), strict=True)
        for whole, parts in zip(loader(which), ranks, strict=True):
            for place, view in ((1, "weak"), (2, "weak"), (2, "strong")):
                halves = [part[place][view] for part in parts]
                for name in ("index", "has_image", "has_text", "image"):
                    joined = torch.cat([getattr(half, name) for half in halves])
                    assert torch.allclose(joined.float(), getattr(whole[place][view], name).float(), atol=1e-4)


def test_stopping_early_ends_the_workers(source, workers):
    steps = iter(loader(source, stop=1000, num_workers=2))
    next(steps)
    assert len(workers()) == 2
    steps.close()
    deadline = time.monotonic() + 10
    while workers() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not workers()


@pytest.mark.parametrize("num_workers", [0, 1])
def test_damaged_image_is_one_sentence_with_workers_and_without(store, num_workers, monkeypatch):
    monkeypatch.setattr(PostStore, "image", lambda self, row: jpeg(row)[:200])
    source = PostSource(store, store.label, image_size=SIZE)
    with pytest.raises(ValueError, match=r"row \d+ cannot be decoded any more .*ingest the posts again") as caught:
        list(loader(source, num_workers=num_workers))
    assert "Traceback" not in str(caught.value)


def test_workers_outlive_the_signal_that_ends_a_run(source, workers):
    """Schedulers send SIGTERM to every process; the main one still needs data until its step is done."""
    steps = iter(loader(source, stop=40, num_workers=1))
    next(steps)
    (worker,) = workers()
    os.kill(worker.pid, signal.SIGTERM)
    os.kill(worker.pid, signal.SIGINT)
    assert len(list(steps)) == 39


LEFT_OPEN = """
import torch
from datasets import loading
steps = loading._read([loading.RawStep(0, {}, {})] * 9, range(9), 2, torch.device("cpu"))
next(steps)
kept = steps.gi_frame.f_locals["steps"]  # as the traceback of an error inside of it does
raise KeyError("the error")
"""


def test_python_exits_though_workers_are_left():
    """They ignore the SIGTERM by which multiprocessing would end them."""
    done = subprocess.run([sys.executable, "-c", LEFT_OPEN], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr.splitlines()[-1]) == (1, "KeyError: 'the error'")


def test_starting_a_loader_leaves_the_global_generator_alone(source):
    torch.manual_seed(3)
    list(loader(source, stop=2, num_workers=1))
    after = torch.rand(1)
    torch.manual_seed(3)
    assert torch.equal(after, torch.rand(1))


def test_without_unlabelled_posts_there_are_no_views_of_them(source):
    _, labelled, unlabelled = next(iter(loader(source, unlabelled=None)))
    assert unlabelled == {} and list(labelled) == ["weak"]


@pytest.mark.parametrize("which", ["source", "feature_source"])
def test_clean_views_lose_modalities_in_training(which, request):
    source = request.getfixturevalue(which)
    maker = ViewMaker([0.5] * 3, [0.25] * 3, source.tokens, modality_dropout=1.0)
    labelled = Order(LABELLED, 6, 1, "labelled")
    for _, seen, _ in TrainingLoader(source, labelled, None, ("clean",), (), maker, 0, 3, 1):
        assert (seen["clean"].has_image ^ seen["clean"].has_text).all()


def test_source_pickles_as_paths(source, feature_source):
    for which in (source, feature_source):
        again = pickle.loads(pickle.dumps(which)).batch(np.arange(5), ("weak",))["weak"]
        expected = which.batch(np.arange(5), ("weak",))["weak"]
        assert torch.equal(again.image, expected.image) and torch.equal(again.text, expected.text)


def test_reading_draws_are_a_function_of_seed_stream_and_step():
    draws = draw_numbers(1, "labelled", 5, 8, 2)
    assert draws.shape == (5, 8) and (draws == draw_numbers(1, "labelled", 5, 8, 2)).all()
    for key in ((2, "labelled", 5), (1, "unlabelled", 5), (1, "labelled", 6)):
        assert (draws != draw_numbers(*key, 8, 2)).any()


@pytest.mark.parametrize("num_workers", [0, 2])
def test_evaluation_reads_every_post_once_short_texts_first(source, caches, num_workers):
    maker = ViewMaker([0.5] * 3, [0.25] * 3, caches["tokens"], modality_dropout=1.0)
    rows = np.arange(39, -1, -3)
    batches = list(evaluation_batches(source, rows, 4, maker, num_workers=num_workers))
    assert [len(batch) for batch in batches] == [4, 4, 4, 2]
    index = torch.cat([batch.index for batch in batches]).numpy()
    assert sorted(index) == sorted(rows)
    assert (np.diff(caches["tokens"].count(index)) >= 0).all()
    for batch in batches:
        expected = maker(source.batch(batch.index.numpy()), 0, 0, "any")["clean"]
        assert torch.equal(batch.image, expected.image) and torch.equal(batch.text, expected.text)
        assert torch.equal(batch.has_image, expected.has_image) and batch.image.dtype == torch.float32


def test_evaluation_of_no_post_is_no_batch(source, caches):
    maker = ViewMaker([0.5] * 3, [0.25] * 3, caches["tokens"])
    assert list(evaluation_batches(source, np.array([], dtype=np.int64), 4, maker, num_workers=2)) == []


def test_negative_numbers_of_workers_and_batch_sizes_are_refused(source, caches):
    with pytest.raises(ValueError, match="--num_workers -1"):
        loader(source, num_workers=-1)
    maker = ViewMaker([0.5] * 3, [0.25] * 3, caches["tokens"])
    with pytest.raises(ValueError, match="--eval_batch_size 0"):
        next(evaluation_batches(source, np.arange(3), 0, maker))


def test_features_are_read_thousands_of_steps_a_minute(tmp_path, store, workers):
    """80 posts a step, features of usual width: above 200 steps/s on an idle core; a busy machine gets a quarter."""
    for name, dim in (("wide", 1280), ("narrow", 384)):
        with create_features(tmp_path / name, POSTS, dim, views=2):
            pass
    source = PostSource(
        store,
        store.label,
        image_features=FeatureCache(tmp_path / "wide"),
        text_features=FeatureCache(tmp_path / "narrow"),
    )
    orders = {"labelled": Order(LABELLED, 16, 1, "labelled"), "unlabelled": Order(UNLABELLED_ROWS, 64, 1, "unlabelled")}
    steps = iter(loader(source, stop=400, num_workers=2, **orders))
    next(steps)
    assert not workers()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        begin = time.process_time()
        assert len(list(steps)) == 399
        assert 399 / (time.process_time() - begin) > 50
    finally:
        torch.set_num_threads(threads)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("which", ["source", "feature_source"])
def test_on_cuda_the_host_never_waits_and_copies_are_whole(which, request):
    source = request.getfixturevalue(which)
    maker = ViewMaker([0.5] * 3, [0.25] * 3, source.tokens, modality_dropout=0.3, device="cuda")
    orders = Order(LABELLED, 4, 1, "labelled"), Order(UNLABELLED_ROWS, 8, 1, "unlabelled")
    steps = TrainingLoader(source, *orders, ("clean",), ("weak", "strong"), maker, 0, 30, 1, 1, "cuda")
    seen = []
    list(TrainingLoader(source, *orders, ("clean",), ("weak", "strong"), maker, 0, 2, 1, 0, "cuda"))  # first use
    torch.cuda.set_sync_debug_mode("error")
    try:
        seen = [labelled["clean"] for _, labelled, _ in steps]
    finally:
        torch.cuda.set_sync_debug_mode("default")
    cpu = ViewMaker([0.5] * 3, [0.25] * 3, source.tokens)
    for step, batch in enumerate(seen):
        rows = orders[0].rows(step)
        draws = draw_numbers(1, "labelled", step, 4, 1)
        expected = cpu(source.batch(rows, ("clean",), draws), 1, step, "labelled")["clean"]
        batch = batch.to("cpu", non_blocking=False)
        kept = batch.has_image.view(-1, *[1] * (expected.image.ndim - 1))
        assert torch.allclose(batch.image, expected.image * kept, atol=1e-5)
        assert (
            torch.equal(batch.text, expected.text * batch.has_text[:, None]) and batch.index.tolist() == rows.tolist()
        )
