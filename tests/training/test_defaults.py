"""What options left open become."""

from __future__ import annotations

import pytest

from training.command_line import parse
from training.defaults import resolve

REAL = "--train_data_dir posts --image_weights none --text_weights bert"


@pytest.mark.parametrize(
    ("line", "net"),
    [
        ("--algorithm distillation", "image"),
        ("--algorithm distillation --fusion gmu", "gmu"),
        ("--algorithm fixmatch --fusion gmu", "gmu"),
        ("--algorithm scrd --fusion scrd", "scrd"),
    ],
)
def test_an_algorithm_that_only_has_a_usual_net_takes_any_fusion(line: str, net: str) -> None:
    assert resolve(parse(line.split())).net.net == net


@pytest.mark.parametrize("algorithm", ["scrd", "scrd_released"])
def test_an_algorithm_with_a_net_of_its_own_takes_no_other(algorithm: str) -> None:
    with pytest.raises(ValueError, match=f"--algorithm {algorithm} has a fusion of its own"):
        resolve(parse(["--algorithm", algorithm, "--fusion", "gmu"]))


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
