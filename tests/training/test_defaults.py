"""What options left open become."""

from __future__ import annotations

import pytest

from training.command_line import parse
from training.defaults import resolve

REAL = "--train_data_dir posts --image_weights none --text_weights bert"


@pytest.mark.parametrize(
    ("line", "rate"),
    [
        ("", 5e-4),  # the synthetic world: encoders from scratch
        ("--freeze image,text", 1e-3),
        (REAL, 1e-4),
        (f"{REAL} --freeze image", 1e-4),
        (f"{REAL} --freeze image,text", 1e-3),
        (f"{REAL} --algorithm vat --net text --freeze text", 1e-3),
        (f"{REAL} --algorithm vat --net image --freeze text", 1e-4),
        (f"{REAL} --algorithm vat --net image --freeze image", 1e-3),
        (f"{REAL} --freeze image,text --lr 2e-5", 2e-5),
    ],
)
def test_heads_learn_faster_where_no_encoder_learns(line: str, rate: float) -> None:
    assert resolve(parse(line.split())).training.lr == rate
