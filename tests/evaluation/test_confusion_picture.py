"""The confusion matrix that TensorBoard shows."""

from __future__ import annotations

import numpy as np

from datasets.readers.tir import CLASSES
from evaluation.confusion_picture import CELL, DARKEST, GAP, TOP, confusion_picture


def test_a_cell_is_as_dark_as_its_share_of_the_row():
    picture = confusion_picture([[4, 0], [1, 1]], ["negative", "positive"])
    left = picture.shape[1] - 2 * CELL
    assert picture.shape == (TOP + 2 * CELL, left + 2 * CELL, 3) and picture.dtype == np.uint8
    corner = [[picture[TOP + row * CELL, left + column * CELL].tolist() for column in (0, 1)] for row in (0, 1)]
    assert corner[0] == [list(DARKEST), [255, 255, 255]]
    assert corner[1] == [[round(255 + 0.5 * (dark - 255)) for dark in DARKEST]] * 2


def test_every_cell_and_every_name_says_something():
    picture = confusion_picture([[0, 0], [3, 1]], ["a", "a short name"])
    left = picture.shape[1] - 2 * CELL
    for row in (0, 1):
        assert picture[TOP + row * CELL : TOP + (row + 1) * CELL, :left].std() > 0
        for column in (0, 1):
            cell = picture[TOP + row * CELL :, left + column * CELL :][:CELL, :CELL]
            assert cell.std() > 0
    names = picture[TOP + CELL :, :left]
    assert (names[:, 0] == 255).all(), "the longest name has room"


def test_long_names_of_the_predicted_classes_stand_apart():
    picture = confusion_picture(np.eye(4), CLASSES)
    side = (picture.shape[0] - TOP) // 4
    left = picture.shape[1] - 4 * side
    assert side > CELL and picture.shape[0] == TOP + 4 * side
    for column in range(4):
        name = picture[:TOP, left + column * side :][:, :side]
        assert name.std() > 0
        assert (name[:, : GAP - 1] == 255).all() and (name[:, 1 - GAP :] == 255).all()
