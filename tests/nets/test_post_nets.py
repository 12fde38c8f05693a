"""What every net promises: a post's answer is the post's own, and a missing modality has no say."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
import torch
from torch import Tensor

from datasets.batch import Batch
from nets.build import find, nets
from nets.post_net import mean_of_present
from nets.prediction import COMMON, IMAGE, TEXT, FullPrediction, Prediction
from tests.nets.tiny import CLASSES, padded, pick, tiny_net, tiny_posts

NETS = sorted(nets())
READS_TEXT = [name for name in NETS if "text" in find(name).reads]
READS_IMAGE = [name for name in NETS if "image" in find(name).reads]
close = {"atol": 1e-5, "rtol": 1e-5}


def tensors(prediction: Prediction) -> dict[str, Tensor]:
    """All of an answer by name; heads of modalities that may be missing are left out, they mean nothing there."""
    named = {field.name: getattr(prediction, field.name) for field in fields(prediction)}
    kept = ("logits", "common_logits", "selection", "selection_logits", "features")
    return {name: named[name] for name in kept if named[name] is not None}


@torch.no_grad()
def answer(name: str, batch: Batch, **changes: str) -> dict[str, Tensor]:
    return tensors(tiny_net(name, **changes)[0].eval()(batch))


def assert_same(left: dict[str, Tensor], right: dict[str, Tensor]) -> None:
    assert left.keys() == right.keys()
    for name in left:
        torch.testing.assert_close(left[name], right[name], msg=lambda text, name=name: f"{name}: {text}", **close)


@pytest.mark.parametrize("name", NETS)
def test_an_answer_does_not_depend_on_order_or_size_of_the_batch(name):
    batch = tiny_posts(net=name)
    whole = answer(name, batch)
    order = [4, 0, 5, 2, 1, 3]
    assert_same(answer(name, pick(batch, order)), {key: value[order] for key, value in whole.items()})
    for row in range(len(batch)):
        assert_same(answer(name, pick(batch, [row])), {key: value[[row]] for key, value in whole.items()})


@pytest.mark.parametrize("name", READS_TEXT)
def test_an_answer_does_not_depend_on_padding(name):
    batch = tiny_posts(net=name)
    assert_same(answer(name, padded(batch, 24)), answer(name, batch))


@pytest.mark.parametrize("image_net", ["small", "test_efficientnet"])
@pytest.mark.parametrize("name", NETS)
def test_an_answer_does_not_depend_on_the_other_posts_even_in_training(name, image_net):
    """With frozen BatchNorm statistics a training step sees each post as evaluation does."""
    net = tiny_net(name, image_net, batch_norm="frozen")[0].train()
    batch, others = tiny_posts(0, net=name), tiny_posts(1, net=name)
    mixed = Batch(**{
        field.name: torch.cat([getattr(batch, field.name)[:2], getattr(others, field.name)[2:]])
        for field in fields(batch) if getattr(batch, field.name) is not None
    })  # fmt: skip
    first = {key: value[:2] for key, value in tensors(net(mixed)).items()}
    assert_same(first, {key: value[:2] for key, value in tensors(net(batch)).items()})


@pytest.mark.parametrize("selection", ["soft", "gumbel", "none"])
@pytest.mark.parametrize("name", NETS)
def test_text_alone_image_alone_both_and_neither_are_answered(name, selection):
    batch = tiny_posts(both=True, net=name)
    nothing = torch.zeros(len(batch), dtype=torch.bool)
    for has_text, has_image in ((~nothing, ~nothing), (~nothing, nothing), (nothing, ~nothing), (nothing, nothing)):
        given = replace(batch, has_text=has_text, has_image=has_image)
        found = tensors(tiny_net(name, selection=selection)[0].train()(given))
        assert found["logits"].shape == (len(batch), CLASSES)
        for key, value in found.items():
            if key != "selection_logits":  # minus infinity where a part is missing, as it says
                assert value.isfinite().all(), key


@pytest.mark.parametrize("name", READS_IMAGE)
def test_the_image_of_a_post_without_one_changes_nothing(name):
    batch = tiny_posts(net=name)
    assert batch.image is not None and not batch.has_image.all()
    noise = 100 * torch.randn_like(batch.image)  # values above ½ tell of regions too
    other = torch.where(batch.has_image.view(-1, *[1] * (batch.image.dim() - 1)), batch.image, noise)
    before, after = answer(name, batch), answer(name, replace(batch, image=other))
    assert_same(after, before)
    shown = answer(name, replace(batch, image=other, has_image=torch.ones_like(batch.has_image)))
    assert not torch.allclose(shown["logits"][~batch.has_image], before["logits"][~batch.has_image])


@pytest.mark.parametrize("name", READS_TEXT)
def test_the_text_of_a_post_without_one_changes_nothing(name):
    batch = tiny_posts(net=name)
    assert batch.text is not None and batch.text_mask is not None and not batch.has_text.all()
    absent = ~batch.has_text.unsqueeze(1)
    other = replace(batch, text=torch.where(absent, 9, batch.text), text_mask=batch.text_mask | absent)
    before = answer(name, batch)
    assert_same(answer(name, other), before)
    shown = answer(name, replace(other, has_text=torch.ones_like(batch.has_text)))
    assert not torch.allclose(shown["logits"][~batch.has_text], before["logits"][~batch.has_text])


@pytest.mark.parametrize("name", NETS)
def test_gradients_are_finite_where_posts_lack_a_modality(name):
    net = tiny_net(name)[0].train()
    prediction = net(tiny_posts(net=name))
    loss = prediction.logits.square().sum()
    for head in (prediction.image_logits, prediction.text_logits, prediction.common_logits, prediction.selection):
        if head is not None:
            loss = loss + head.square().sum()
    loss.backward()
    gradients = {key: value.grad for key, value in net.named_parameters() if value.grad is not None}
    assert any(key.startswith("encoders.live") for key in gradients)
    assert [key for key, value in gradients.items() if not value.isfinite().all()] == []


@pytest.mark.parametrize("selection", ["soft", "gumbel"])
def test_the_modality_that_a_post_lacks_sends_no_gradient_to_its_encoder(selection):
    for absent, present in (("image", "text"), ("text", "image")):
        net = tiny_net("scrd", selection=selection)[0].train()
        batch = tiny_posts(both=True)
        net(
            replace(batch, **{f"has_{absent}": torch.zeros(len(batch), dtype=torch.bool)})
        ).logits.square().sum().backward()
        grads = {
            name: [p.grad for p in net.encoders.live[name].parameters() if p.grad is not None] for name in net.reads
        }
        assert all((grad == 0).all() for grad in grads[absent])
        assert any((grad != 0).any() for grad in grads[present])


@pytest.mark.parametrize("selection", ["soft", "gumbel", "none"])
def test_the_probability_that_a_missing_part_decides_is_exactly_zero(selection):
    batch = tiny_posts()
    for net in (tiny_net("scrd", selection=selection)[0].train(), tiny_net("scrd", selection=selection)[0].eval()):
        chosen = net(batch).selection
        assert (chosen[~batch.has_text, TEXT] == 0).all() and (chosen[~batch.has_image, IMAGE] == 0).all()
        assert (chosen[:, COMMON] > 0).all()
        torch.testing.assert_close(chosen.sum(dim=1), torch.ones(len(batch)))


@pytest.mark.parametrize("name", NETS)
def test_evaluation_is_deterministic(name):
    net = tiny_net(name, selection="gumbel")[0].eval()
    batch = tiny_posts(net=name)
    first = tensors(net(batch))
    torch.manual_seed(99)
    for key, value in tensors(net(batch)).items():
        assert torch.equal(value, first[key])


@pytest.mark.parametrize("decoupling", [True, False])
@pytest.mark.parametrize("selection", ["soft", "gumbel", "none"])
@pytest.mark.parametrize("decision", ["sum", "fused"])
def test_scrd_holds_no_parameter_that_its_answer_does_not_use(decoupling, selection, decision):
    net = tiny_net("scrd", decoupling=decoupling, selection=selection, decision=decision)[0]
    prediction = net(tiny_posts())
    assert isinstance(prediction, FullPrediction)
    heads = (prediction.logits, prediction.text_logits, prediction.image_logits, prediction.common_logits)
    loss = sum(head.sum() for head in heads) + sum(part.sum() for part in prediction.parts.values())
    (loss + prediction.features.sum()).backward()
    assert [name for name, value in net.named_parameters() if value.grad is None] == []
    assert ("rebuilt_text" in prediction.parts) == decoupling


@torch.no_grad()
def test_scrds_answer_is_the_sum_of_its_witnesses_or_what_the_fused_part_says():
    net, batch = tiny_net("scrd", selection="none")[0].eval(), tiny_posts()
    answer = net(batch)
    own = (answer.text_logits * batch.has_text[:, None], answer.image_logits * batch.has_image[:, None])
    torch.testing.assert_close(answer.logits, sum(own))
    fused = tiny_net("scrd", decision="fused")[0].eval()
    answer = fused(batch)
    torch.testing.assert_close(answer.logits, fused.heads["final"](answer.features))


def test_mean_of_present_by_hand():
    text, image = torch.tensor([[2.0], [2.0], [2.0], [2.0]]), torch.tensor([[6.0], [6.0], [6.0], [6.0]])
    present = [torch.tensor([True, True, False, False]), torch.tensor([True, False, True, False])]
    assert mean_of_present([text, image], present).flatten().tolist() == [4.0, 2.0, 6.0, 0.0]


def test_rows_and_float_reach_every_tensor_of_an_answer():
    prediction = tiny_net("scrd")[0](tiny_posts()).map(lambda value: value.half())
    some = prediction.rows(1, 3).float()
    assert isinstance(some, FullPrediction)
    assert len(some.logits) == len(some.selection) == len(some.parts["common_text"]) == 2
    assert {value.dtype for value in [some.logits, some.features, *some.parts.values()]} == {torch.float32}


def test_an_unknown_net_is_named():
    with pytest.raises(ValueError, match=r"--net scdr: there is none of that name; there are .*scrd"):
        find("scdr")


def test_the_nets_of_one_modality_hold_the_encoder_of_one():
    assert set(tiny_net("image")[0].encoders.live) == {"image"}
    assert set(tiny_net("text")[0].encoders.live) == {"text"}
    batch = tiny_posts()
    assert torch.equal(answer("text", replace(batch, image=None))["logits"], answer("text", batch)["logits"])


@torch.no_grad()
def test_scrd_rebuilds_nothing_where_no_loss_reads_it():
    net, batch = tiny_net("scrd")[0], tiny_posts()
    parts = net(batch).parts
    assert not [name for name in parts if name.startswith(("rebuilt_", "cycle_"))]
    with torch.enable_grad():
        whole = net(batch).parts
    assert all(torch.equal(part, whole[name]) for name, part in parts.items())
