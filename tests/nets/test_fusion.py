"""Fusion heads against their formulas, worked out by hand on two features; and the flag that names them."""

from __future__ import annotations

import math

import pytest
import torch

from nets.late import log_mean_probability
from nets.post_net import PostNet
from tests.algorithms.clusters import feature_net, posts
from tests.nets.tiny import tiny_net, tiny_posts
from training.command_line import parse
from training.defaults import resolve

TEXT, IMAGE = torch.tensor([[1.0, -2.0]] * 4), torch.tensor([[3.0, 0.5]] * 4)
MAPPED = {"text": TEXT, "image": IMAGE}
PRESENT = {"text": torch.tensor([True, True, False, False]), "image": torch.tensor([True, False, True, False])}
HEADS = ["concat", "gmu", "aspect_attention", "late", "joint", "common_space"]


def net_of_two(name: str, **changes: str) -> PostNet:
    return feature_net(name, feature_dim=2, **changes)


def mixed(net: PostNet) -> list[list[float]]:
    """What the head makes of both, text alone, image alone and nothing."""
    return net.mix(MAPPED, PRESENT).tolist()


@pytest.mark.parametrize(("pooling", "both"), [
    ("max", [3.0, 0.5]), ("mean", [2.0, -0.75]), ("sum", [4.0, -1.5]), ("product", [3.0, -1.0]),
])  # fmt: skip
@pytest.mark.parametrize("name", ["joint", "common_space"])
def test_joint_pools_what_is_there(name, pooling, both):
    assert mixed(net_of_two(name, joint_pooling=pooling)) == [both, [1.0, -2.0], [3.0, 0.5], [0.0, 0.0]]


def test_concat_is_the_mean_of_what_is_there():
    assert mixed(net_of_two("concat")) == [[2.0, -0.75], [1.0, -2.0], [3.0, 0.5], [0.0, 0.0]]


def test_aspect_attention_by_hand():
    net = net_of_two("aspect_attention")
    with torch.no_grad():
        net.score.weight.copy_(torch.tensor([[0.5, 0.25]]))
        net.score.bias.zero_()
    found = net.mix(MAPPED, PRESENT)
    of_text, of_image = math.exp(math.tanh(0.0)), math.exp(math.tanh(1.625))
    share = of_text / (of_text + of_image)
    expected = [share * text + (1 - share) * image for text, image in zip([1.0, -2.0], [3.0, 0.5], strict=True)]
    torch.testing.assert_close(found, torch.tensor([expected, [1.0, -2.0], [3.0, 0.5], [0.0, 0.0]]))


def test_gmu_by_hand():
    net = net_of_two("gmu")
    with torch.no_grad():
        net.gate.weight.copy_(torch.tensor([[1.0, 0.0, 0.0, 2.0], [0.0, 1.0, 1.0, 0.0]]))
        net.gate.bias.zero_()
        net.output.weight.copy_(torch.eye(2))
        net.output.bias.zero_()
    z = [1 / (1 + math.exp(-(1 + 1))), 1 / (1 + math.exp(-(-2 + 3)))]
    text, image = [math.tanh(1), math.tanh(-2)], [math.tanh(3), math.tanh(0.5)]
    both = [z[i] * text[i] + (1 - z[i]) * image[i] for i in range(2)]
    torch.testing.assert_close(net.mix(MAPPED, PRESENT), torch.tensor([both, text, image, [0.0, 0.0]]))
    net.mix(MAPPED, PRESENT).sum().backward()
    assert net.gate.weight.grad.abs().sum() > 0


def test_late_fusion_is_the_mean_of_probabilities():
    text, image = torch.tensor([[0.9, 0.1]] * 4).log() + 5, torch.tensor([[0.3, 0.7]] * 4).log()
    found = log_mean_probability([text, image], [PRESENT["text"], PRESENT["image"]])
    expected = torch.tensor([[0.6, 0.4], [0.9, 0.1], [0.3, 0.7], [0.6, 0.4]])
    torch.testing.assert_close(found.exp(), expected)
    torch.testing.assert_close(found.softmax(dim=1), expected)
    sure = torch.tensor([[200.0, -200.0]])
    assert log_mean_probability([sure, -sure], [PRESENT["text"][:1]] * 2).isfinite().all()  # in logarithms throughout


def test_late_fusion_gives_the_answer_of_each_modality_and_of_one_alone():
    net, batch = net_of_two("late").eval(), posts(6)
    answer = net(batch)
    for own, logits in ((batch.has_text & ~batch.has_image, answer.text_logits),
                        (batch.has_image & ~batch.has_text, answer.image_logits)):  # fmt: skip
        assert own.any()
        torch.testing.assert_close(answer.logits[own], logits[own].log_softmax(dim=1))


@pytest.mark.parametrize("name", HEADS)
def test_what_a_head_answers_on_has_the_nets_width_and_parts_for_both(name):
    net, _ = tiny_net(name)
    answer = net(tiny_posts())
    assert answer.features.shape == (6, net.dim) == answer.parts["text"].shape == answer.parts["image"].shape
    answer.logits.sum().backward()
    assert [key for key, value in net.named_parameters() if value.grad is None] == []


def resolved(line: str, tmp_path) -> str:
    return resolve(parse([*line.split(), "--save_dir", str(tmp_path)])).net.net


def test_fusion_names_the_net(tmp_path):
    assert resolved("--algorithm fixmatch --fusion gmu", tmp_path) == "gmu"
    assert resolved("--algorithm fixmatch --fusion gmu --net gmu", tmp_path) == "gmu"
    assert resolved("--algorithm supervised", tmp_path) == "concat"
    assert resolved("--fusion scrd", tmp_path) == "scrd"


@pytest.mark.parametrize(("line", "sentence"), [
    ("--algorithm fixmatch --fusion gmu --net late", "--fusion gmu is a net, and --net asks for late: give one"),
    ("--algorithm fixmatch --fusion image", r"--fusion image: there is none of that name; there are .*gmu"),
    ("--fusion gmu", r"--algorithm scrd has a fusion of its own: leave out --fusion gmu"),
])  # fmt: skip
def test_contradictions_are_said(line, sentence, tmp_path):
    with pytest.raises(ValueError, match=sentence):
        resolved(line, tmp_path)
