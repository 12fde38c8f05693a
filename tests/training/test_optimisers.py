"""Which weight learns how fast, and what decays."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn

from training.optimisers import Schedule, build_optimiser, layer_factors, load_optimiser_state, optimiser_state
from training.options import TrainingOptions


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Linear(2, 2)
        self.blocks = nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2)])
        self.norm = nn.LayerNorm(2)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.image = Encoder()
        self.text = Encoder()
        self.head = nn.Linear(2, 3)


def options(**changes: Any) -> TrainingOptions:
    return TrainingOptions(**{"lr": 0.1, **changes})


def settings(optimiser: torch.optim.Optimizer, net: nn.Module, key: str) -> dict[str, float]:
    found = {id(parameter): group[key] for group in optimiser.param_groups for parameter in group["params"]}
    return {name: found[id(parameter)] for name, parameter in net.named_parameters() if id(parameter) in found}


def test_schedule_by_hand() -> None:
    schedule = Schedule(total=10, warmup=2)
    assert [schedule(0), schedule(1), schedule(2)] == pytest.approx([1 / 3, 2 / 3, 1.0])
    assert schedule(6) == pytest.approx(0.5)
    assert schedule(8) == pytest.approx(0.5 * (1 + math.cos(0.75 * math.pi)))
    assert schedule(10) == pytest.approx(0.0)
    assert Schedule(total=5, warmup=0)(0) == 1.0
    constant = Schedule(total=10, warmup=2, course="constant")
    assert [constant(step) for step in (0, 2, 9)] == pytest.approx([1 / 3, 1.0, 1.0])


def test_learning_rates_and_decay_of_each_weight() -> None:
    net = Net()
    optimiser, schedule = build_optimiser(
        net, options(weight_decay=0.01), 100, {"image": net.image, "text": net.text}, pretrained={"image"}
    )
    rates = settings(optimiser, net, "base_lr")
    assert rates["image.blocks.0.weight"] == pytest.approx(0.02)
    assert rates["text.blocks.0.weight"] == rates["head.weight"] == 0.1
    decays = settings(optimiser, net, "weight_decay")
    assert {name for name, decay in decays.items() if decay} == {
        name for name, parameter in net.named_parameters() if parameter.ndim == 2
    }
    assert set(rates) == {name for name, _ in net.named_parameters()}
    schedule.apply(optimiser, 0)
    assert settings(optimiser, net, "lr")["head.weight"] == pytest.approx(0.1 / 6)  # 5 steps of warm-up


def test_layer_decay_from_the_top_down() -> None:
    assert layer_factors(Encoder(), 0.5) == {
        **dict.fromkeys(["embedding.weight", "embedding.bias"], 0.125),
        **dict.fromkeys(["blocks.0.weight", "blocks.0.bias"], 0.25),
        **dict.fromkeys(["blocks.1.weight", "blocks.1.bias"], 0.5),
        **dict.fromkeys(["norm.weight", "norm.bias"], 1.0),
    }
    net = Net()
    optimiser, _ = build_optimiser(
        net, options(encoder_lr=0.01, layer_decay=0.5), 10, {"image": net.image}, pretrained={"image"}
    )
    rates = settings(optimiser, net, "base_lr")
    assert rates["image.embedding.weight"] == pytest.approx(0.00125)
    assert rates["text.embedding.weight"] == 0.1


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        # transformers' BERT, timm's ResNet and MobileNet
        (["embeddings.word", "encoder.layer.0.output", "encoder.layer.10.output", "pooler.dense"], [0, 1, 2, 3]),
        (["conv1", "layer1.0.conv1", "layer1.1.conv1", "layer2.0.conv1", "fc"], [0, 1, 2, 3, 4]),
        (["conv_stem", "blocks.0.0.conv", "blocks.1.0.conv", "blocks.1.1.conv", "conv_head"], [0, 1, 2, 3, 4]),
        (["patch_embed.proj", "layers.0.blocks.0.attn", "layers.0.blocks.1.attn", "layers.1.blocks.0.attn"], range(4)),
        (["0", "2"], [0, 0]),  # no layers known by name: none is decayed
    ],
)
def test_layers_are_known_by_the_names_of_the_field(names: list[str], expected: list[int]) -> None:
    class Named(nn.Module):
        def named_parameters(self, *args: Any, **more: Any) -> Any:
            return [(f"{name}.weight", nn.Parameter(torch.ones(1))) for name in names]

    factors = layer_factors(Named(), 0.5)
    top = max(expected) if names[-1] in ("pooler.dense", "fc", "conv_head", "2") else max(expected) + 1
    assert list(factors.values()) == [0.5 ** (top - level) for level in expected]


def test_frozen_weights_are_left_out() -> None:
    net = Net()
    net.image.requires_grad_(False)
    optimiser, _ = build_optimiser(net, options(), 10)
    assert not any(name.startswith("image") for name in settings(optimiser, net, "lr"))
    net.requires_grad_(False)
    with pytest.raises(ValueError, match="nothing is left to train"):
        build_optimiser(net, options(), 10)


@pytest.mark.parametrize("optim", ["AdamW", "RAdam", "SGD"])
def test_a_bad_step_is_left_out_even_the_first(optim: str) -> None:
    net = nn.Linear(2, 1)
    optimiser, _ = build_optimiser(net, options(optim=optim), 10)
    other = nn.Linear(2, 1)
    other.load_state_dict(net.state_dict())
    reference, _ = build_optimiser(other, options(optim=optim), 10)
    for step in range(3):
        for module, stepper in ((net, optimiser), (other, reference)):
            if module is other and step != 1:
                continue
            bad = step != 1
            for parameter in module.parameters():
                parameter.grad = torch.full_like(parameter, float("nan") if bad else 1.0)
            stepper.found_inf = torch.tensor(float(bad))  # type: ignore[attr-defined]
            stepper.step()
    for one, two in zip(net.parameters(), other.parameters(), strict=True):
        assert torch.equal(one, two)
    for name, state in optimiser_state(optimiser, net).items():
        for key, value in state.items():
            assert torch.equal(value, optimiser_state(reference, other)[name][key])


def test_sgd_is_nesterov_momentum_by_hand() -> None:
    net = nn.Linear(1, 1, bias=False)
    nn.init.constant_(net.weight, 1.0)
    optimiser, schedule = build_optimiser(net, options(optim="SGD", weight_decay=0.0, warmup=0.0), 10**9)
    for step in range(2):
        schedule.apply(optimiser, step)
        net.weight.grad = torch.ones(1, 1)
        optimiser.step()
    # buffer 1, 1.9; update 1 + 0.9 · 1, 1 + 0.9 · 1.9
    assert net.weight.item() == pytest.approx(1 - 0.1 * 1.9 - 0.1 * 2.71, abs=1e-6)


def test_radam_is_that_of_torch_with_weight_decay_apart() -> None:
    nets = [nn.Linear(3, 2), nn.Linear(3, 2)]
    nets[1].load_state_dict(nets[0].state_dict())
    ours, schedule = build_optimiser(nets[0], options(optim="RAdam", schedule="constant", warmup=0.0), 40)
    theirs = torch.optim.RAdam(
        [{"params": [nets[1].weight], "weight_decay": 0.05}, {"params": [nets[1].bias], "weight_decay": 0.0}],
        lr=0.1, decoupled_weight_decay=True,
    )  # fmt: skip
    draw = torch.Generator().manual_seed(0)
    for step in range(40):  # from the sixth on the variance is tractable
        inputs = torch.randn(4, 3, generator=draw)
        for net, optimiser in zip(nets, (ours, theirs), strict=True):
            net(inputs).square().sum().backward()
            schedule.apply(ours, step)
            optimiser.step()
            optimiser.zero_grad()
        for one, two in zip(nets[0].parameters(), nets[1].parameters(), strict=True):
            torch.testing.assert_close(one, two, atol=1e-5, rtol=1e-4)


def test_encoders_wait_while_the_heads_learn() -> None:
    net = Net()
    encoders = {"image": net.image, "text": net.text}
    optimiser, schedule = build_optimiser(
        net, options(head_first=0.25, schedule="constant", warmup=0.0), 8, encoders, pretrained={"image"}
    )
    for step, share in ((0, 0.0), (1, 0.0), (2, 1.0), (7, 1.0)):
        schedule.apply(optimiser, step)
        found = settings(optimiser, net, "lr")
        assert found["head.weight"] == 0.1
        assert found["image.norm.weight"] == pytest.approx(0.02 * share)
        assert found["text.blocks.0.bias"] == pytest.approx(0.1 * share)


def test_state_goes_by_name_whatever_the_groups() -> None:
    net = Net()
    optimiser, _ = build_optimiser(net, options(), 10)
    for place, parameter in enumerate(net.parameters()):
        parameter.grad = torch.full_like(parameter, float(place + 1))
    optimiser.step()
    state = optimiser_state(optimiser, net)
    again, _ = build_optimiser(net, options(layer_decay=0.5), 10, {"text": net.text, "image": net.image})
    load_optimiser_state(again, net, state)
    for place, parameter in enumerate(net.parameters()):
        assert again.state[parameter]["exp_avg"].flatten()[0].item() == pytest.approx(0.1 * (place + 1))


@pytest.mark.parametrize("change", [{"lr": 0.0}, {"layer_decay": 0.0}, {"layer_decay": 1.5}, {"warmup": 1.0}])
def test_values_out_of_range_are_named(change: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=f"--{next(iter(change))} "):
        build_optimiser(Net(), options(**change), 10)
