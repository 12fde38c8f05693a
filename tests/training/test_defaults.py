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


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("--algorithm supervised --net image --modality_dropout 0.5", "--modality_dropout 0.5: --net image reads the "),
        (
            "--algorithm distillation --modality_dropout 0.5",
            "--modality_dropout 0.5: --net image reads the image alone",
        ),
        (
            "--algorithm supervised --net text --missing_text_rate 0.3",
            "--missing_text_rate 0.3: --net text reads the t",
        ),
        ("--algorithm supervised --net image --missing_image_rate 1", "--missing_image_rate 1.0: --net image reads"),
    ],
)
def test_a_net_of_one_modality_cannot_lose_it(line: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        resolve(parse(line.split()))


@pytest.mark.parametrize("net", ["image --missing_text_rate 0.5", "text --missing_image_rate 0.5"])
def test_a_net_of_one_modality_may_do_without_the_other(net: str) -> None:
    resolve(parse(f"--algorithm supervised --net {net}".split()))
