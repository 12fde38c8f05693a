"""Image files as batches, read as TensorFlow resizes them or as posts are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from datasets.augment import ViewMaker
from datasets.image_files import ImageFiles
from datasets.images import decode, shrink
from datasets.loading import evaluation_batches
from tests.datasets.pictures import animation, encoded, scene

DECODED = (0, 40, 80, 120, 160, 200)


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """A row of six grey pixels, a scene, an animation."""
    Image.fromarray(np.array([DECODED], dtype=np.uint8)).save(tmp_path / "row.png")
    (tmp_path / "scene.jpg").write_bytes(encoded(scene(90, 60)))
    (tmp_path / "moving.gif").write_bytes(animation())
    return [tmp_path / name for name in ("row.png", "scene.jpg", "moving.gif")]


def test_an_image_is_squeezed_between_four_pixels_without_averaging(files: list[Path]) -> None:
    found = ImageFiles(files, np.zeros(3), 2, squeezed=True).batch(np.array([0]))["clean"]
    # centres of the two new pixels lie at 1.5 · 2/3 … in old ones: (0.5 · 6/2 − 0.5) = 1 and (1.5 · 6/2 − 0.5) = 4
    assert found.image is not None and found.image.dtype == torch.float32
    assert found.image[0, 0].tolist() == [[40, 160], [40, 160]]
    found = ImageFiles(files, np.zeros(3), 4, squeezed=True).batch(np.array([0]))["clean"]
    assert found.image is not None and found.image[0, 2, 1].tolist() == [10, 70, 130, 190]


def test_otherwise_it_is_read_as_a_post_s(files: list[Path]) -> None:
    found = ImageFiles(files, np.zeros(3), 32, squeezed=False).batch(np.array([1]))["clean"]
    expected = decode(shrink(files[1].read_bytes()), 32).transpose(2, 0, 1)
    assert found.image is not None
    np.testing.assert_array_equal(found.image[0].numpy(), expected)


def test_batches_keep_the_order_asked_for(files: list[Path]) -> None:
    source = ImageFiles(files, np.array([0, 2, 1]), 8, squeezed=True)
    view_maker = ViewMaker((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    batches = list(evaluation_batches(source, np.array([2, 0, 1]), 2, view_maker))
    assert [batch.index.tolist() for batch in batches] == [[2, 0], [1]]
    assert [batch.label.tolist() for batch in batches] == [[1, 0], [2]]
    first = batches[0]
    assert first.has_image.all() and not first.has_text.any() and first.text_mask is not None
    assert first.image is not None
    torch.testing.assert_close(first.image[0, :, 0, 0], torch.tensor([0.0, 1.0, 0.0]))  # the first frame, green


def test_what_is_no_image_is_named(files: list[Path], tmp_path: Path) -> None:
    (tmp_path / "page.jpg").write_bytes(b"<html>")
    for name, reason in (("page.jpg", r"page\.jpg is not an image that can be read \(html\)"),
                         ("none.jpg", r"none\.jpg cannot be read: No such file")):  # fmt: skip
        for squeezed in (True, False):
            with pytest.raises(ValueError, match=reason):
                ImageFiles([tmp_path / name], np.zeros(1), 8, squeezed).batch(np.array([0]))
