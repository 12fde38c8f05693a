"""Features of frozen encoders: written whole or not at all, read by row and view."""

from __future__ import annotations

import os
import pickle

import numpy as np
import pytest
import torch

from datasets.features import FeatureCache, create_features


def fill(folder, dtype="float16"):
    """clean[n] = n, weak[k, n] = 100 + 10 k + n, strong[k, n] = 200 + 10 k + n; D = 3, N = 5, K = 2."""
    with create_features(folder, posts=5, dim=3, views=2, dtype=dtype, about={"net": "small"}) as arrays:
        posts, views = np.arange(5)[:, None], 10 * np.arange(2)[:, None, None]
        arrays["clean"][:] = posts
        arrays["weak"][:] = 100 + views + posts
        arrays["strong"][:] = 200 + views + posts
    return FeatureCache(folder)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_rows_of_each_view(tmp_path, dtype):
    cache = fill(tmp_path / "features", dtype)
    assert (len(cache), cache.dim, cache.views, cache.about) == (5, 3, 2, {"net": "small"})
    rows, pick = np.array([4, 0, 4]), np.array([0, 1, 1])
    for view, expected in (("clean", [4, 0, 4]), ("weak", [104, 110, 114]), ("strong", [204, 210, 214])):
        found = cache.rows(rows, view, pick)
        assert found.dtype == torch.float32 and found.shape == (3, 3)
        assert found[:, 1].tolist() == expected


@pytest.mark.parametrize("has_call", [True, False])
def test_the_disk_gives_the_room_before_anything_is_computed(tmp_path, monkeypatch, has_call):
    if not has_call:  # macOS
        monkeypatch.delattr(os, "posix_fallocate", raising=False)
    with create_features(tmp_path / "features", posts=1000, dim=700, views=1) as arrays:
        for array in arrays.values():
            about = os.stat(array.filename)
            assert about.st_blocks * 512 >= about.st_size > array.nbytes
            assert not array.any()
        arrays["clean"][-1] = 1
    cache = FeatureCache(tmp_path / "features")
    assert (cache.clean.sum(), cache.weak.sum()) == (700, 0)


def test_pickles_as_its_path(tmp_path):
    cache = fill(tmp_path / "features")
    assert len(pickle.dumps(cache)) < 500
    assert (pickle.loads(pickle.dumps(cache)).weak == cache.weak).all()


def test_broken_off_writing_leaves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt), create_features(tmp_path / "features", 5, 3, 2):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []
    assert not FeatureCache.there(tmp_path / "features")
    with pytest.raises(ValueError, match="no complete features"):
        FeatureCache(tmp_path / "features")


def test_too_little_room_is_said_before_anything_is_computed(tmp_path):
    refused = pytest.raises(ValueError, match=r"cannot write .*--cache_dir")
    with refused, create_features(tmp_path / "features", posts=10**12, dim=10**3, views=2):
        pytest.fail("the space was not claimed")
    assert list(tmp_path.iterdir()) == []


def test_posts_that_nobody_wrote_are_zeros(tmp_path):
    with create_features(tmp_path / "features", 4, 3, 2) as arrays:
        arrays["weak"][1, 2] = 1
    cache = FeatureCache(tmp_path / "features")
    assert not cache.clean.any() and cache.weak.sum() == 3
