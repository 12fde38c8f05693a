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
        ("--freeze image,text --image_weights none --text_weights none", 1e-3),
        ("--data_dir posts --algorithm vat --net text --text_net fasttext", 5e-4),
        ("--data_dir posts --algorithm vat --net text --text_net small --text_weights none", 5e-4),
        ("--data_dir posts --algorithm vat --net image --image_net resnet18 --image_weights none", 5e-4),
        ("--data_dir posts --algorithm vat --net image --image_net resnet18 --text_weights none", 1e-4),
        ("--data_dir posts --algorithm vat --net vilt --text_weights none", 5e-4),
        ("--data_dir posts --algorithm vat --net concat --text_net fasttext", 1e-4),
        (REAL, 1e-4),
        (f"{REAL} --freeze image", 1e-4),
        (f"{REAL} --freeze image,text", 1e-3),
        (f"{REAL} --algorithm vat --net text --freeze text", 1e-3),
        (f"{REAL} --algorithm vat --net image --freeze text", 5e-4),
        (f"{REAL} --algorithm vat --net image --freeze image", 1e-3),
        (f"{REAL} --freeze image,text --lr 2e-5", 2e-5),
    ],
)
def test_heads_learn_faster_where_no_encoder_learns(line: str, rate: float) -> None:
    resolved = resolve(parse(line.split()))
    assert resolved.training.lr == rate
    if resolved.net.net != "vilt" and not resolved.net.freeze:
        assert resolved.net.feature_dim == (128 if rate == 5e-4 else 512)


@pytest.mark.parametrize(
    ("line", "image", "text"),
    [
        ("", ("small", "none"), ("fasttext", "none")),
        ("--image_net small --text_net small", ("small", "none"), ("small", "none")),
        ("--image_net resnet18", ("resnet18", ""), ("fasttext", "none")),
        ("--text_net roberta", ("small", "none"), ("roberta", "")),
        ("--image_net resnet18 --image_weights none", ("resnet18", "none"), ("fasttext", "none")),
        ("--image_weights none --text_weights none", ("small", "none"), ("fasttext", "none")),
    ],
)
def test_a_net_called_by_its_name_is_pretrained_on_the_world_too(
    line: str, image: tuple[str, str], text: tuple[str, str]
) -> None:
    net = resolve(parse(line.split())).net
    assert ((net.image_net, net.image_weights), (net.text_net, net.text_weights)) == (image, text)


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


@pytest.mark.parametrize(
    "line",
    [
        "--algorithm supervised --net t4sa --dropout 0.1",
        "--algorithm supervised --net t4sa --feature_dropout 0.1",
        "--algorithm supervised --net sequence_classifier --text_net minilm --feature_dim 64",
        "--algorithm supervised --net sequence_classifier --text_net minilm --feature_dropout 0.3",
        "--algorithm scrd --scrd_variant released --decision fused",
        "--algorithm fixmatch --selection gumbel",
        "--algorithm fixmatch --fusion concat --joint_pooling sum",
        "--algorithm fixmatch --fusion gmu --image_tokens 5",
    ],
)
def test_options_that_a_net_has_no_use_for_are_refused(line: str) -> None:
    flag, value = line.split()[-2:]
    with pytest.raises(ValueError, match=f"{flag} {value} is of no use to --net .*: leave it out"):
        resolve(parse(line.split()))


@pytest.mark.parametrize("net", ["image --missing_text_rate 0.5", "text --missing_image_rate 0.5"])
def test_a_net_of_one_modality_may_do_without_the_other(net: str) -> None:
    resolve(parse(f"--algorithm supervised --net {net}".split()))


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("--freeze image,text", r"--freeze image,text: the image encoder \(small\) has no pretrained weights here"),
        (
            "--freeze text",
            r"stay random: give --text_weights FOLDER, or --text_weights none if",
        ),
        ("--freeze image,text --image_weights none", r"the text encoder \(fasttext\)"),
        ("--algorithm vat --net concat --data_dir posts --text_net fasttext --freeze text", r"\(fasttext\)"),
    ],
)
def test_a_random_encoder_is_frozen_only_where_it_is_asked_for(line: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        resolve(parse(line.split()))
    named = [word for name in ("image", "text") for word in (f"--{name}_weights", "none")]
    resolve(resolve(parse([*line.split(), *named])))


def test_frozen_encoders_that_are_pretrained_or_not_read_are_no_mistake() -> None:
    for line in ("--freeze image --image_net vit_b16", "--algorithm vat --net image --freeze text"):
        resolve(parse(line.split()))
