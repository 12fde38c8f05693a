"""Which posts lose a modality: by seed and id alone, nested, and never both."""

from __future__ import annotations

import numpy as np
import pytest

from datasets.missing import missing_modalities, missing_numbers
from datasets.options import DataOptions

IDS = [f"post {row}" for row in range(2000)]
BOTH = np.arange(2000) % 4 != 0


def test_a_number_is_the_posts_own_and_they_are_spread_evenly():
    numbers = missing_numbers(IDS, 1)
    assert (missing_numbers(IDS[::-1][:50], 1)[::-1] == numbers[-50:]).all()
    assert (missing_numbers(IDS, 2) != numbers).all()
    assert (np.histogram(numbers, bins=10, range=(0, 1))[0] > 150).all()


def test_rates_are_shares_of_the_posts_with_both_and_nested():
    before = np.zeros(2000, dtype=bool)
    for rate in (0.0, 0.3, 0.7, 1.0):
        image, text = missing_modalities(IDS, BOTH, rate, 0.0, 1)
        assert not text.any() and not image[~BOTH].any() and not (before & ~image).any()
        assert abs(image.sum() / BOTH.sum() - rate) < 0.04
        assert (missing_modalities(IDS, BOTH, 0.0, rate, 1)[1].sum() == BOTH.sum()) == (rate == 1)
        before = image


@pytest.mark.parametrize("rate", [0.1, 0.25, 0.6])
def test_no_post_loses_both(rate):
    image, text = missing_modalities(IDS, BOTH, rate, 1 - rate, 1)
    assert not (image & text).any()
    assert ((image | text) == BOTH).all()


def test_rates_that_take_more_than_there_is_are_refused():
    with pytest.raises(ValueError, match=r"--missing_image_rate 0.6 and --missing_text_rate 0.5 take away"):
        DataOptions(missing_image_rate=0.6, missing_text_rate=0.5)
    with pytest.raises(ValueError, match=r"--missing_text_rate 1.5 is a share"):
        DataOptions(missing_text_rate=1.5)
