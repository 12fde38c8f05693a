"""The lexicon's probabilities and the published borders."""

from __future__ import annotations

import numpy as np
import pytest

from nets.lexicon import BORDER, SHARPNESS, Lexicon


class Given(Lexicon):
    """A lexicon whose scores are given instead of texts."""

    def __init__(self) -> None:
        pass

    def compound(self, texts):
        return np.array(texts, np.float64)


def test_the_class_is_that_of_the_published_borders() -> None:
    scores = [-1.0, -0.05, -0.0499, 0.0, 0.0499, 0.05, 1.0]
    probabilities = Given()(scores)  # type: ignore[arg-type]
    assert probabilities.argmax(axis=1).tolist() == [0, 0, 1, 1, 1, 2, 2]
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)
    odds = np.exp(SHARPNESS * (1.0 - BORDER))
    assert probabilities[-1, 2] / probabilities[-1, 1] == pytest.approx(odds, rel=1e-5)


def test_texts_are_read() -> None:
    texts = ["I love this, it is wonderful!", "", "the table is made of wood", "awful, I hate it :("]
    assert Lexicon()(texts).argmax(axis=1).tolist() == [2, 1, 1, 0]
    assert Lexicon()([]).shape == (0, 3)
