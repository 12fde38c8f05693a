"""Regions of images in files: what is read of them, and what is said of those that are missing or wrong."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from datasets.post_source import PostSource
from datasets.regions import RegionFeatures
from datasets.store import PostStore, StoreWriter

MOST, VECTOR = 3, 5
VECTORS = np.arange(10, dtype=np.float32).reshape(2, VECTOR)
BOXES = np.array([[0, 0, 0.5, 1], [0.25, 0.5, 1, 1]], dtype=np.float32)


@pytest.fixture
def store(tmp_path) -> PostStore:
    """Posts a, b and c; b has no image."""
    with StoreWriter(tmp_path / "store") as writer:
        for name in "abc":
            writer.add(name, text="a text", image=None if name == "b" else b"jpeg")
    return PostStore(tmp_path / "store")


def write(folder: Path, post: str, vectors: object = VECTORS, boxes: object = BOXES, ending: str = "") -> None:
    for name, stem, value in (("features", "feat_", vectors), ("boxes", "nbox_", boxes)):
        (folder / name).mkdir(parents=True, exist_ok=True)
        path = folder / name / f"{stem}{post}{ending}"
        np.save(path, value) if ending == ".npy" else torch.save(torch.as_tensor(value), path)


@pytest.fixture
def folder(tmp_path) -> Path:
    write(tmp_path / "regions", "a", VECTORS[None], BOXES[None])  # as detectors leave them
    write(tmp_path / "regions", "c", VECTORS[:1], BOXES[:1], ".npy")
    return tmp_path / "regions"


def test_a_row_holds_each_regions_vector_and_box_and_a_one(folder, store):
    regions = pickle.loads(pickle.dumps(RegionFeatures(folder, store, MOST, VECTOR + 4)))
    rows = regions.rows(np.array([2, 1, 0])).reshape(3, MOST, VECTOR + 5)
    first, second = [[*VECTORS[row], *BOXES[row], 1] for row in range(2)]
    nothing = [0] * (VECTOR + 5)
    assert rows.dtype == torch.float32
    assert rows.tolist() == [[first, nothing, nothing], [nothing] * 3, [first, second, nothing]]


def test_they_come_with_the_batch_in_place_of_pixels_and_once_for_all_views(folder, store):
    regions = RegionFeatures(folder, store, MOST, VECTOR + 4)
    source = PostSource(store, np.zeros(3, dtype=np.int64), regions=regions, image_size=32)
    assert source.decodes
    views = source.batch(np.arange(3), ("weak", "strong"))
    assert views["weak"].has_image.tolist() == [True, False, True]
    assert torch.equal(views["weak"].image, regions.rows(np.arange(3)))
    assert views["weak"].image is views["strong"].image


def test_files_that_are_missing_are_named(folder, store):
    (folder / "boxes" / "nbox_a").unlink()
    (folder / "features" / "feat_c.npy").unlink()
    with pytest.raises(ValueError, match=r"regions: 2 files of the 2 posts with an image are not there \(boxes/nbox_a, "
                       r"features/feat_c\); each has its regions' vectors in features/feat_ID"):  # fmt: skip
        RegionFeatures(folder, store, MOST, VECTOR + 4)
    with pytest.raises(ValueError, match=r"nowhere: 4 files .*\(features/feat_a, boxes/nbox_a, features/feat_c, …\)"):
        RegionFeatures("nowhere", store, MOST, VECTOR + 4)


@pytest.mark.parametrize(("vectors", "boxes", "sentence"), [
    (VECTORS, BOXES[:1], "post a has 2 vectors and 1 boxes of regions"),
    (np.ones((4, VECTOR)), np.ones((4, 4)), "one of each for a region, and 3 regions at most"),
    (np.ones((2, 7)), BOXES, "regions of post a have vectors of 7 and boxes of 4 numbers; the net reads 5 and 4"),
    (np.ones((2, 6)), np.ones((2, 3)), "vectors of 6 and boxes of 3 numbers"),
    (np.ones(VECTOR), BOXES, r"feat_a has the shape \(5,\), or a value that is no number"),
    (VECTORS * np.nan, BOXES, "or a value that is no number"),
])  # fmt: skip
def test_what_a_file_holds_must_be_what_is_read(vectors, boxes, sentence, folder, store):
    write(folder, "a", vectors, boxes)
    with pytest.raises(ValueError, match=sentence):
        RegionFeatures(folder, store, MOST, VECTOR + 4).rows(np.array([0]))


@pytest.mark.parametrize(
    "content", [b"", b"<html>404</html>", pickle.dumps(Path("x"), 2)], ids=["empty", "page", "pickle"]
)
@pytest.mark.parametrize("ending", ["", ".npy"])
def test_a_file_that_is_no_tensor_is_refused_and_never_run(content, ending, folder, store):
    regions = RegionFeatures(folder, store, MOST, VECTOR + 4)
    post, row = ("a", 0) if not ending else ("c", 2)
    (folder / "features" / f"feat_{post}{ending}").write_bytes(content)
    with pytest.raises(ValueError, match=rf"feat_{post}.* is no readable tensor or array \("):
        regions.rows(np.array([row]))
    torch.save({"a": torch.ones(2)}, folder / "features" / "feat_a")
    with pytest.raises(ValueError, match=r"feat_a is no readable tensor or array \(it holds a dict\)"):
        regions.rows(np.array([0]))
