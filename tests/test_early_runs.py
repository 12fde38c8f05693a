"""Runs of main.py with nets of early fusion, and what their models say of new posts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from datasets.ingest import open_posts
from datasets.store import PostStore
from scripts.predict import PredictOptions, main
from tests.runs import TINY, run_main
from tests.scripts.test_predict import numbers, rows
from training.command_line import load_options, parse

SHORT = [*TINY, "--epoch", "1", "--algorithm", "fixmatch", "--itc_loss_ratio", "0.1", "--itm_loss_ratio", "0.1"]


@pytest.fixture
def store(cache: Path) -> PostStore:
    """The tiny world, drawn or there already."""
    options = parse([*TINY, "--cache_dir", str(cache)])
    return open_posts(options.data, options.world)


@pytest.fixture
def regions(store: PostStore, tmp_path: Path) -> Path:
    """One or two regions of noise for each post that has an image."""
    draw = np.random.default_rng(0)
    for name in ("features", "boxes"):
        (tmp_path / "regions" / name).mkdir(parents=True)
    for row in np.flatnonzero(store.has_image):
        (post,) = store.ids([row])
        count = draw.integers(1, 3)
        np.save(tmp_path / "regions" / "features" / f"feat_{post}.npy", draw.random((count, 2048), dtype=np.float32))
        np.save(tmp_path / "regions" / "boxes" / f"nbox_{post}.npy", draw.random((count, 4), dtype=np.float32))
    return tmp_path / "regions"


def run_and_predict(store: PostStore, cache: Path, folder: Path, words: list[object], tolerance: float) -> str:
    """What a run says; its model must give its test posts the same probabilities again."""
    done = run_main(*SHORT, *words, "--cache_dir", cache, "--save_dir", folder, "--save_name", "run")
    assert done.code == 0, done.err
    given = {"region_features": str(words[-1])} if "--region_features" in words else {}
    output = folder / "posts.csv"
    main(PredictOptions(folder / "run", store.path, output, num_workers=0, cache_dir=str(cache), **given))
    ours, theirs = rows(output), rows(folder / "run" / "predictions.csv")
    np.testing.assert_allclose(numbers(ours, list(theirs)), numbers(theirs, list(theirs)), atol=tolerance)
    return done.out


def test_vilt_is_trained_and_reads_new_posts(store, cache, tmp_path):
    said = run_and_predict(store, cache, tmp_path, ["--fusion", "vilt", "--text_length", 64], 2e-5)
    assert "net vilt: image vilt (from scratch), text small (from scratch);" in said
    assert load_options(tmp_path / "run" / "options.yaml").data.text_length == 40  # what it can read


def test_mmbt_is_trained_over_a_frozen_image_encoder_and_reads_new_posts(store, cache, tmp_path):
    words = ["--fusion", "mmbt", "--image_tokens", 2, "--freeze", "image", "--image_weights", "none"]
    said = run_and_predict(store, cache, tmp_path, words, 3e-3)  # features were kept in halves
    assert "image small (random, frozen), text small (from scratch);" in said


def test_lxmert_is_trained_on_regions_and_reads_those_of_new_posts(store, cache, regions, tmp_path):
    run_and_predict(store, cache, tmp_path, ["--fusion", "lxmert", "--region_features", regions], 2e-5)
    options = PredictOptions(tmp_path / "run", store.path, tmp_path / "again.csv", cache_dir=str(cache))
    with pytest.raises(ValueError, match="--net lxmert reads regions of images"):
        main(options)


def test_regions_that_are_missing_are_one_sentence(store, cache, regions, tmp_path):
    one = next((regions / "boxes").iterdir())
    one.unlink()
    words = ["--fusion", "lxmert", "--region_features", regions, "--cache_dir", cache, "--save_dir", tmp_path]
    assert (
        f"1 files of the 284 posts with an image are not there (boxes/{one.stem})" in run_main(*SHORT, *words).sentence
    )
