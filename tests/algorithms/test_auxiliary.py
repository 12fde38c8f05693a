"""Auxiliary losses by hand, and what an algorithm makes of them."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch.nn.functional import cross_entropy

import algorithms
from algorithms.base import Algorithm, Losses
from algorithms.losses.class_negatives import class_negative_loss
from algorithms.losses.itc import ImageTextContrast, contrastive_loss
from algorithms.losses.itm import ImageTextMatching, choose_texts
from algorithms.losses.pairs import pairs_of, text_key
from algorithms.options import AlgorithmOptions
from algorithms.supervised import Supervised
from datasets.batch import Batch
from tests.algorithms.clusters import (
    FIRST,
    TASK,
    WIDTH,
    feature_net,
    make,
    own_net,
    posts,
    views,
    views_for,
    with_batch_norm,
)
from tests.nets.tiny import padded, tiny_net, tiny_posts

FUSED = ("concat", "gmu", "late", "joint", "common_space", "aspect_attention")
ALL = {"itc_loss_ratio": 0.1, "itm_loss_ratio": 0.2, "class_negative_loss_ratio": 0.3}


def yes(*values: int) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.bool)


def negative_log_share(own: float, *others: float) -> float:
    return -math.log(math.exp(own) / (math.exp(own) + sum(map(math.exp, others))))


def test_contrast_by_hand_leaves_out_posts_without_a_pair():
    similarity = torch.tensor([[2.0, 1.0, 7.0], [0.0, 3.0, 7.0], [7.0, 7.0, 7.0]], requires_grad=True)
    both = yes(1, 1, 0)
    loss = contrastive_loss(similarity, both, both.unsqueeze(0) & both.unsqueeze(1))
    rows = negative_log_share(2, 1) + negative_log_share(3, 0)
    columns = negative_log_share(2, 0) + negative_log_share(3, 1)
    torch.testing.assert_close(loss, torch.tensor((rows + columns) / 4))
    loss.backward()
    assert (similarity.grad[2] == 0).all() and (similarity.grad[:, 2] == 0).all()
    assert contrastive_loss(similarity, yes(0, 0, 0), yes(0).expand(3, 3)) == 0


def test_similarity_is_the_scaled_cosine_of_projections():
    contrast = ImageTextContrast({"text": 3, "image": 2})
    assert math.isclose(contrast.log_scale.exp().item(), 14.29, abs_tol=0.01)
    pooled = {"text": torch.randn(2, 3), "image": torch.randn(2, 2)}
    text, image = contrast.project["text"](pooled["text"]), contrast.project["image"](pooled["image"])
    expected = 14.2846 * torch.cosine_similarity(text[1], image[0], dim=0)
    torch.testing.assert_close(contrast.similarity(pooled)[1, 0], expected, atol=1e-3, rtol=1e-3)
    with torch.no_grad():
        contrast.log_scale.fill_(10.0)
    assert contrast.similarity(pooled).abs().max() <= 100.001
    contrast.similarity(pooled)[0, 0].backward()
    assert contrast.log_scale.grad.abs() > 0, "at the limit it can still come down"


def test_equal_texts_have_equal_keys_and_no_others():
    batch = tiny_posts(both=True)
    assert batch.text is not None and batch.text_mask is not None
    key = text_key(batch)
    assert len(key.unique()) == len(key)
    assert torch.equal(text_key(padded(batch, 24)), key)
    turned = replace(batch, text=batch.text.flip(1), text_mask=torch.ones_like(batch.text_mask))
    straight = replace(batch, text_mask=torch.ones_like(batch.text_mask))
    assert (text_key(turned) != text_key(straight)).all()
    features = posts(6, lacking=False)
    assert len(text_key(features).unique()) == 6
    assert torch.equal(text_key(features.map(torch.clone)), text_key(features))


def test_the_same_post_and_the_same_text_are_no_wrong_pair():
    net = feature_net("concat")
    batch = posts(5, lacking=False)
    assert batch.text is not None
    batch.text[3] = batch.text[0]
    batch.index[4] = batch.index[1]
    batch.has_text[2] = False
    can_swap = pairs_of(net, [(batch, net(batch))]).can_swap
    expected = [[1], [0, 3], [], [1], [0, 3]]
    expected[0] += [4]
    expected[3] += [4]
    assert [sorted(row.nonzero().flatten().tolist()) for row in can_swap] == [sorted(row) for row in expected]


def test_near_duplicates_are_no_wrong_pair_whatever_the_views_made_of_their_texts():
    net = feature_net("concat")
    batch = replace(posts(5, lacking=False), group=torch.tensor([0, 1, 2, 0, 4]))
    weak, strong = views(batch).values()
    assert weak.text is not None and not (text_key(weak) == text_key(strong)).any()
    answers = [(view, net(view)) for view in (weak, strong)]
    group = batch.group.repeat(2)
    assert torch.equal(pairs_of(net, answers).can_swap, group.unsqueeze(1) != group.unsqueeze(0))
    answers[1] = replace(strong, group=None), answers[1][1]  # then the texts alone tell
    row = batch.index.repeat(2)
    assert torch.equal(pairs_of(net, answers).can_swap, row.unsqueeze(1) != row.unsqueeze(0))


def test_other_texts_are_drawn_evenly_or_by_likeness():
    possible = ~torch.eye(3, dtype=torch.bool)
    torch.manual_seed(0)
    drawn = torch.stack([choose_texts(possible) for _ in range(600)])
    for row, others in enumerate([(1, 2), (0, 2), (0, 1)]):
        counts = drawn[:, row].bincount(minlength=3)
        assert counts[row] == 0 and all(240 < counts[other] < 360 for other in others)
    likeness = torch.tensor([[0.0, math.log(4), 0.0]] * 3)
    drawn = torch.stack([choose_texts(possible, likeness) for _ in range(600)])
    assert 440 < (drawn[:, 0] == 1).sum() < 520  # 4 in 5


def test_matching_by_hand():
    net = feature_net("gmu").eval()
    batch = posts(9)
    matching = ImageTextMatching(net.dim)
    pairs = pairs_of(net, [(batch, net(batch))])
    torch.manual_seed(3)
    loss = matching(net, pairs)
    torch.manual_seed(3)
    both = (batch.has_text & batch.has_image).nonzero().flatten().tolist()
    swapped = (torch.rand(9) < 0.5).tolist()
    chosen = choose_texts(pairs.can_swap).tolist()
    losses = []
    for row in both:
        other = chosen[row] if swapped[row] else row
        assert other in both and batch.text is not None
        shown = replace(batch, text=batch.text[[other] * 9]).rows(row, row + 1)
        losses.append(cross_entropy(matching.matches(net(shown).features), torch.tensor([int(not swapped[row])])))
    assert 0 < sum(swapped[row] for row in both) < len(both)
    torch.testing.assert_close(loss, torch.stack(losses).mean())


def test_a_post_that_is_alone_keeps_its_text():
    net = feature_net("concat")
    batch = posts(1)
    matching = ImageTextMatching(net.dim)
    answer = net(batch)
    for seed in range(4):
        torch.manual_seed(seed)
        loss = matching(net, pairs_of(net, [(batch, answer)]))
        torch.testing.assert_close(loss, cross_entropy(matching.matches(answer.features), torch.tensor([1])))


@pytest.mark.parametrize("form", ["logistic", "hinge"])
def test_class_negatives_by_hand(form):
    text = torch.tensor([[1.0, 0.0], [0.0, 2.0], [3.0, 3.0], [9.0, 9.0], [1.0, 1.0]], requires_grad=True)
    image = torch.tensor([[2.0, 1.0], [1.0, 1.0], [9.0, 9.0], [9.0, 9.0], [0.5, 0.0]])
    present = {"text": yes(1, 1, 1, 1, 1), "image": yes(1, 1, 0, 1, 1)}
    label = torch.tensor([0, 1, 1, -1, 0])  # the third has no image, the label of the fourth is not known
    score = {(i, k): float(image[i] @ text[k].detach()) for i in range(5) for k in range(5)}
    total = 0.0
    for i, negatives in ((0, (1, 2)), (1, (0, 4)), (4, (1, 2))):
        if form == "logistic":
            total += math.log(1 + math.exp(-score[i, i]))
            total += sum(math.log(1 + math.exp(score[i, k])) for k in negatives) / 2
        else:
            total += sum(max(0.0, 1 - score[i, i] + score[i, k]) for k in negatives) / 2
    loss = class_negative_loss(text, image, present, label, form)
    torch.testing.assert_close(loss, torch.tensor(total / 3))
    loss.backward()
    assert (text.grad[3] == 0).all() and text.grad[:3].any(dim=1).all()


def unlabelled(count: int = 8) -> dict[str, Batch]:
    batch = replace(posts(count, 5, labelled=False), index=torch.arange(100, 100 + count))
    made = views(batch)
    return {**made, "strong_1": views(batch, 2)["strong"]}


def with_all(name: str, **options: object) -> Algorithm:
    own = own_net(name)
    return make(name, feature_net("concat" if own == "image" else own), **{**ALL, **options})


def test_the_total_is_a_weighted_mean_of_the_algorithms_own_loss_and_the_auxiliary_ones():
    algorithm = with_all("fixmatch", threshold=0.4)
    known, unknown = {"weak": posts(6)}, unlabelled()
    own = make("fixmatch", algorithm.net, threshold=0.4)(known, unknown, FIRST)
    torch.manual_seed(1)
    losses = algorithm(known, unknown, FIRST)
    parts = losses.parts
    expected = 0.4 * own.total + 0.1 * parts["itc_loss"] + 0.2 * parts["itm_loss"] + 0.3 * parts["class_negative_loss"]
    torch.testing.assert_close(losses.total, expected)
    assert parts["total_loss"] == losses.total.detach() and parts["sup_loss"] == own.parts["sup_loss"]
    assert losses.seen == own.seen


def test_the_auxiliary_losses_read_what_was_answered_with_a_gradient():
    algorithm = with_all("fixmatch")
    sizes: list[int] = []
    algorithm.auxiliary.register_forward_pre_hook(lambda _, given: sizes.extend(len(batch) for batch, _ in given[1]))
    for _ in range(2):
        algorithm({"weak": posts(6)}, unlabelled(8), FIRST)
    assert sizes == [6, 8, 6, 8]  # labelled posts and strong views, in each step anew; weak views have no gradient


def test_a_second_pass_over_the_same_posts_does_not_count_them_twice():
    algorithm = make("adamatch", with_batch_norm(True), **ALL)
    sizes: list[int] = []
    algorithm.auxiliary.register_forward_pre_hook(lambda _, given: sizes.extend(len(batch) for batch, _ in given[1]))
    algorithm({"weak": posts(6), "strong": posts(6, 1)}, unlabelled(8), FIRST)
    assert sizes == [6, 8, 8, 6]


@pytest.mark.parametrize("name", algorithms.names())
def test_they_work_with_every_algorithm(name):
    algorithm = with_all(name, itm_hard_negatives=True)
    losses = algorithm(*views_for(name, posts(6), posts(8, 5, labelled=False, start=100)), FIRST)
    losses.total.backward()
    grads = {key: value.grad for key, value in algorithm.named_parameters() if value.grad is not None}
    assert {"itc_loss", "itm_loss", "class_negative_loss"} <= losses.parts.keys()
    assert all(value.isfinite().all() for value in grads.values())
    assert {"auxiliary.contrast.log_scale", "auxiliary.matching.matches.weight"} <= grads.keys()
    assert "auxiliary.contrast.project.text.weight" in algorithm.state_dict()


class Mixes(Supervised):
    """Never asks the net itself for its posts."""

    name = "mixes"

    def step(self, labelled, unlabelled, step):
        features = self.net.encoders(labelled["weak"])
        present = {"text": labelled["weak"].has_text, "image": labelled["weak"].has_image}
        return Losses(self.net.fuse(features, present).logits.square().mean())


def test_posts_that_the_step_did_not_ask_for_are_asked_for():
    net = feature_net("concat")
    losses = Mixes(Mixes.Options(**ALL), net, net, TASK)({"weak": posts(6)}, {}, FIRST)
    assert losses.parts["class_negative_loss"] > 0


def gradient_of(weights: dict[str, float], **changes: bool) -> set[str]:
    """Parts of a net with live encoders that the auxiliary losses alone reach."""
    net, _ = tiny_net("gmu")
    algorithm = make("supervised", net, net, **weights, **changes)
    batch = tiny_posts(both=True)
    found = algorithm.auxiliary(net, [(batch, net(batch))])
    torch.stack(list(found.values())).sum().backward()
    reached = {key for key, value in net.named_parameters() if value.grad is not None and value.grad.any()}
    return {".".join(key.split(".")[:3]) if key.startswith("enc") else key.split(".")[0] for key in reached}


def test_the_loss_of_posts_with_labels_alone_is_that_of_a_step_without_others():
    net = feature_net("concat")
    batch = posts(6, lacking=False)
    for ratios in ({}, {"itc_loss_ratio": 0.1, "itm_loss_ratio": 0.2}):
        algorithm = make("supervised", net, class_balance=1.0, **ratios)
        torch.manual_seed(0)
        total = algorithm({"weak": batch}, {}, FIRST).total
        torch.manual_seed(0)
        with torch.no_grad():
            torch.testing.assert_close(algorithm.known_loss(net, batch, net(batch)), total)


def test_what_each_loss_teaches():
    encoders = {"encoders.live.text", "encoders.live.image"}
    assert gradient_of({"itc_loss_ratio": 0.1}) == encoders
    assert gradient_of({"class_negative_loss_ratio": 0.1}) == encoders | {"map"}
    assert gradient_of({"itm_loss_ratio": 0.1}) == encoders | {"map", "gate", "output"}


@pytest.mark.parametrize(("name", "taught"), [("concat", "map"), ("scrd", "decoupling"), ("attention", "attention")])
def test_with_frozen_encoders_contrast_teaches_what_the_net_makes_of_them(name, taught):
    net, _ = tiny_net(name)
    batch = tiny_posts(both=True)
    features = net.eval().encoders(batch)
    for modality in ("text", "image"):
        net.encoders.take_out(modality)
    cached = Batch(batch.index, batch.label, batch.has_image, batch.has_text, features["image"], features["text"])
    algorithm = make("supervised", net, itc_loss_ratio=0.1)
    algorithm.auxiliary(net, [(cached, net(cached))])["itc_loss"].backward()
    assert taught in {key.split(".")[0] for key, value in net.named_parameters() if value.grad is not None}


@pytest.mark.parametrize("name", [*FUSED, "scrd"])
def test_every_head_can_learn_which_texts_and_images_belong_together(name):
    """Text and image of a post have the same features, so that a pair is right where they are equal."""
    net = feature_net(name, feature_dim=32)
    matching = ImageTextMatching(net.dim)
    optimiser = torch.optim.Adam([*net.parameters(), *matching.parameters()], lr=0.01)
    shown = torch.arange(64)
    late = []
    for step in range(250):
        torch.manual_seed(step)
        same = torch.randn(64, WIDTH)
        both = torch.ones(64, dtype=torch.bool)
        batch = Batch(shown, torch.zeros(64, dtype=torch.int64), both, both, same, same)
        loss = matching(net, pairs_of(net, [(batch, net(batch))]))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        late += [loss.item()] if step >= 200 else []
    assert sum(late) / len(late) < 0.6  # by chance log 2 = 0.693


def test_masking_of_duplicates_can_be_left_out():
    net = feature_net("concat")
    batch = posts(6, lacking=False)
    assert batch.text is not None
    batch.text[3] = batch.text[0]
    found = {}
    for masked in (True, False):
        torch.manual_seed(0)
        algorithm = make("supervised", net, itc_loss_ratio=0.1, itc_mask_duplicates=masked)
        found[masked] = algorithm({"weak": batch}, {}, FIRST).parts["itc_loss"]
    assert found[True] < found[False]


def test_nothing_is_added_that_is_not_asked_for():
    algorithm = make("fixmatch", feature_net("joint"))
    assert algorithm.auxiliary is None
    algorithm({"weak": posts(6)}, unlabelled(), FIRST)
    assert algorithm._answered == []


def test_common_space_is_constrained_and_joint_is_not():
    losses = make("supervised", feature_net("common_space"))({"weak": posts(6)}, {}, FIRST)
    expected = 0.9 * losses.parts["sup_loss"] + 0.1 * losses.parts["class_negative_loss"]
    torch.testing.assert_close(losses.total, expected)
    assert make("supervised", feature_net("common_space"), class_negative_loss_ratio=0.4).auxiliary.remainder == 0.6


def test_what_cannot_be_is_said():
    with pytest.raises(ValueError, match=r"--itc_loss_ratio 0.1: these losses need a net that reads text and image"):
        make("supervised", feature_net("text"), itc_loss_ratio=0.1)
    with pytest.raises(ValueError, match=r"--itc_loss_ratio 0.5, --itm_loss_ratio 0.5: their sum must be below 1"):
        make("supervised", itc_loss_ratio=0.5, itm_loss_ratio=0.5)
    with pytest.raises(ValueError, match=r"--itm_loss_ratio -1 must be from 0 up, and below 1"):
        AlgorithmOptions(itm_loss_ratio=-1)
    with pytest.raises(ValueError, match=r"--itm_hard_negatives .* needs --itm_loss_ratio and --itc_loss_ratio"):
        AlgorithmOptions(itm_hard_negatives=True)


def test_attention_nets_contrast_their_pooled_features():
    net, _ = tiny_net("cross_attention")
    algorithm = make("supervised", net, net, **ALL)
    losses = algorithm({"weak": tiny_posts()}, {}, FIRST)
    losses.total.backward()
    assert losses.total.isfinite()
    width = net.encoders.layouts["text"].width
    assert algorithm.auxiliary.contrast.project["text"].in_features == width < net.encoders.widths["text"]
