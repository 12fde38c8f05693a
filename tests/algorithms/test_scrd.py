"""SCRD's losses, filters and masks by hand, and where gradients go."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import algorithms
from algorithms.base import Step
from algorithms.losses.text_teacher import joined
from datasets.batch import Batch
from nets.prediction import COMMON, IMAGE, TEXT, FullPrediction
from tests.algorithms.clusters import CLASSES, FIRST, feature_net, gradients, make, posts, views

NEGATIVE, NEUTRAL, POSITIVE = range(3)
LN2, LN4, LN10 = math.log(2), math.log(4), math.log(10)


def says(*classes: int, confidence: float = 0.8) -> Tensor:
    """Logits of one post a row: this class with `confidence`, the two others share the rest."""
    rows = torch.full((len(classes), CLASSES), (1 - confidence) / 2)
    rows[range(len(classes)), list(classes)] = confidence
    return rows.log()


def present(text: list[int], image: list[int]) -> Batch:
    nothing = torch.zeros(len(text), dtype=torch.int64)
    return Batch(nothing, nothing, torch.tensor(image).bool(), torch.tensor(text).bool())


def predicted(final: Tensor, text: Tensor, image: Tensor, common: Tensor, chosen: list[int]) -> FullPrediction:
    """An answer by hand, in which each part is what its own head says."""
    selection_logits = 4 * nn.functional.one_hot(torch.tensor(chosen), 3).float()
    return FullPrediction(
        final, image, text, common, selection_logits.softmax(1), selection_logits, final,
        {"text": text, "image": image, "common": common},
    )  # fmt: skip


def transparent(**options):
    """SCRD whose heads pass a part on as it is, and whose usual loss is 1."""
    net = feature_net("scrd", feature_dim=CLASSES)
    for name in net.heads:
        net.heads[name] = nn.Identity()
    algorithm = make("scrd", net, **options)
    algorithm.running_loss.fill_(0.5)
    algorithm.running_weight.fill_(0.5)
    return algorithm


def test_it_learns_with_its_own_net_only():
    with pytest.raises(ValueError, match=r"--algorithm scrd learns with --net scrd"):
        make("scrd", feature_net("concat"))


# ---- pseudo-label filters ----------------------------------------------------------------------------------------


def test_match_asks_the_deciding_modality():
    algorithm = transparent(plf="match")
    label = torch.tensor([POSITIVE] * 5)
    answer = predicted(
        says(*label), text=says(POSITIVE, NEGATIVE, NEGATIVE, NEGATIVE, POSITIVE),
        image=says(NEGATIVE, POSITIVE, POSITIVE, NEGATIVE, NEUTRAL), common=says(*[NEUTRAL] * 5),
        chosen=[TEXT, TEXT, IMAGE, COMMON, IMAGE],
    )  # fmt: skip
    kept = algorithm.supported(answer, label, present([1] * 5, [1] * 5), FIRST)
    assert kept.tolist() == [True, False, True, True, False]


def test_agree_asks_every_modality_that_is_there():
    algorithm = transparent(plf="agree")
    label = torch.tensor([POSITIVE] * 6)
    answer = predicted(
        says(*label), text=says(POSITIVE, POSITIVE, NEGATIVE, NEGATIVE, POSITIVE, NEGATIVE),
        image=says(POSITIVE, NEGATIVE, POSITIVE, POSITIVE, NEUTRAL, NEUTRAL), common=says(*[NEUTRAL] * 6),
        chosen=[TEXT] * 6,
    )  # fmt: skip
    kept = algorithm.supported(answer, label, present([1, 1, 1, 0, 1, 0], [1, 1, 1, 1, 0, 0]), FIRST)
    assert kept.tolist() == [True, False, False, True, True, True]  # the last has nothing that could disagree


def test_match_lets_all_pass_where_no_part_decides():
    answer = predicted(says(POSITIVE), says(NEGATIVE), says(NEGATIVE), says(NEGATIVE), [TEXT])
    undecided = replace(answer, selection=torch.full((1, 3), 1 / 3))
    given = (torch.tensor([POSITIVE]), present([1], [1]), FIRST)
    assert transparent(plf="match").supported(undecided, *given).item()
    assert not transparent(plf="match").supported(answer, *given).item()


def test_figure_asks_for_a_private_part_that_supports_the_pseudo_label():
    """CE of a part at 0.8 is 0.22 for its own class and ln 10 = 2.3 for another, and the limit is the usual loss 1."""
    algorithm = transparent(plf="figure")
    label = torch.tensor([POSITIVE] * 5)
    answer = predicted(
        says(*label), text=says(POSITIVE, NEGATIVE, NEGATIVE, POSITIVE, POSITIVE),
        image=says(NEGATIVE, POSITIVE, NEGATIVE, NEGATIVE, NEGATIVE), common=says(*label), chosen=[COMMON] * 5,
    )  # fmt: skip
    here = present([1, 1, 1, 0, 1], [1, 1, 1, 1, 0])
    assert algorithm.supported(answer, label, here, FIRST).tolist() == [True, True, False, False, True]
    generous = transparent(plf="figure", plf_scale=LN10 + 0.01)
    assert generous.supported(answer, label, here, FIRST).all()


def test_code_asks_a_deciding_common_part_to_support_both_modalities():
    algorithm = transparent(plf="code")
    label = torch.tensor([POSITIVE] * 5)
    answer = predicted(
        says(*label), text=says(POSITIVE, POSITIVE, POSITIVE, NEGATIVE, NEGATIVE),
        image=says(POSITIVE, NEGATIVE, NEGATIVE, NEGATIVE, POSITIVE), common=says(*label),
        chosen=[COMMON, COMMON, IMAGE, COMMON, COMMON],
    )  # fmt: skip
    here = present([1, 1, 1, 1, 0], [1, 1, 1, 1, 1])
    assert algorithm.supported(answer, label, here, FIRST).tolist() == [True, False, True, False, True]


@pytest.mark.parametrize("rule", ["figure", "code"])
def test_figure_and_code_filter_in_their_epochs_only(rule):
    algorithm = transparent(plf=rule, plf_epochs=2)
    answer = predicted(says(POSITIVE), says(NEGATIVE), says(NEGATIVE), says(POSITIVE), [COMMON])
    given = (answer, torch.tensor([POSITIVE]), present([1], [1]))
    kept = [algorithm.supported(*given, Step(10 * epoch, epoch, 100)).item() for epoch in range(4)]
    assert kept == [False, False, True, True]


def test_without_a_filter_all_pass():
    answer = predicted(says(POSITIVE), says(NEGATIVE), says(NEGATIVE), says(NEGATIVE), [TEXT])
    given = (answer, torch.tensor([POSITIVE]), present([1], [1]), FIRST)
    assert transparent(plf="none").supported(*given).item()


# ---- masks -------------------------------------------------------------------------------------------------------


def test_masks_by_hand():
    own = {"modality_pseudo_label": "own"}
    algorithm, shared = (transparent(plf="match", threshold=0.7, guard="none", **more) for more in (own, {}))
    sure, unsure = says(POSITIVE, NEGATIVE, POSITIVE), says(NEUTRAL, NEUTRAL, NEUTRAL, confidence=0.5)
    final = torch.stack([sure[0], sure[1], unsure[2]])
    answer = predicted(
        final, text=sure, image=says(POSITIVE, POSITIVE, NEGATIVE), common=final, chosen=[TEXT, IMAGE, TEXT]
    )
    here = present([1, 1, 0], [1, 0, 1])
    pseudo = algorithm.pseudo_labels(answer, here, FIRST)
    assert pseudo["label"].tolist() == [POSITIVE, NEGATIVE, NEUTRAL]
    assert pseudo["mask"].tolist() == [1, 0, 0]  # the image disagrees with the second, the third is not sure
    assert pseudo["dropped"].tolist() == [0, 1, 0]
    assert pseudo["text_label"].tolist() == [POSITIVE, NEGATIVE, POSITIVE]
    assert pseudo["text_mask"].tolist() == [1, 1, 0] and pseudo["image_mask"].tolist() == [1, 0, 1]
    lent = shared.pseudo_labels(answer, here, FIRST)
    assert lent["text_label"].tolist() == lent["image_label"].tolist() == [POSITIVE, NEGATIVE, NEUTRAL]
    assert lent["text_mask"].tolist() == [1, 0, 0] and lent["image_mask"].tolist() == [1, 0, 0]
    assert pseudo["confidence"].tolist() == pytest.approx([0.8, 0.8, 0.5])


def test_a_class_that_is_seldom_predicted_is_accepted_from_a_lower_threshold():
    """The seldom class is accepted from 0.9 of 0.95, which is 0.855, the frequent one from 0.95."""
    seldom = torch.cat([says(NEGATIVE, confidence=0.86), says(NEGATIVE, confidence=0.85)])
    frequent = torch.cat([says(POSITIVE, confidence=0.94), says(POSITIVE, confidence=0.96)])
    answer = predicted(*[torch.cat([seldom, frequent])] * 4, [COMMON] * 4)
    accepted = {}
    for guard in ("threshold", "none"):
        algorithm = transparent(threshold=0.95, guard=guard)
        algorithm.thresholds.mean_prediction.copy_(torch.tensor([0.1, 0.1, 0.8]))
        accepted[guard] = algorithm.pseudo_labels(answer, present([1] * 4, [1] * 4), FIRST)["mask"].tolist()
    assert accepted == {"threshold": [1, 0, 0, 1], "none": [0, 0, 0, 1]}


def test_alignment_changes_the_pseudo_label_of_a_post_between_two_classes():
    algorithm = transparent(align="uniform")
    algorithm.alignment.mean_prediction.copy_(torch.tensor([0.1, 0.1, 0.8]))
    between = torch.tensor([[0.4, 0.1, 0.5]]).log()
    pseudo = algorithm.pseudo_labels(predicted(*[between] * 4, [COMMON]), present([1], [1]), FIRST)
    assert pseudo["label"].item() == NEGATIVE


# ---- losses by hand ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("options", "floor", "ratio"), [
    ({}, 0.5, 1.0), ({"label_filter_floor": 0.25, "modality_loss_ratio": 0.4}, 0.25, 0.4),
])  # fmt: skip
def test_supervised_loss_and_label_filter_by_hand(options, floor, ratio):
    """Text of post 0 finds the label (doubt 0.22 < 1), image of post 0 does not (ln 10), post 1 has no image."""
    algorithm = transparent(**options)
    half = says(POSITIVE, POSITIVE, confidence=0.5)
    answer = predicted(half, text=says(POSITIVE, NEGATIVE), image=says(NEGATIVE, NEGATIVE), common=half, chosen=[0, 0])
    batch = replace(present([1, 1], [1, 0]), label=torch.tensor([POSITIVE, NEGATIVE]))
    loss, final = algorithm.supervised_loss(answer, batch)
    assert final.item() == pytest.approx((LN2 + LN4) / 2)
    text = (-math.log(0.8) + -math.log(0.8)) / 2
    image = (floor * LN10 + 0) / 2
    assert loss.item() == pytest.approx((LN2 + LN4) / 2 + ratio * ((LN2 + LN4) / 2 + text + image))


def test_the_final_answers_labelled_loss_and_smoothed_labels_by_hand():
    """A smoothed label of positive is (0.1, 0.1, 0.8): the cross-entropy of text at 0.8 is 0.2 ln 10 − 0.8 ln 0.8."""
    algorithm = transparent(final_label_ratio=0.25, label_smoothing=0.3)
    answer = predicted(*[says(POSITIVE)] * 4, chosen=[0])
    loss, final = algorithm.supervised_loss(answer, replace(present([1], [1]), label=torch.tensor([POSITIVE])))
    right = -math.log(0.8)
    assert final.item() == pytest.approx(right)
    assert loss.item() == pytest.approx(0.25 * right + right + 2 * (0.2 * LN10 + 0.8 * right))


def test_a_text_teacher_is_learned_as_far_as_it_is_trusted():
    """The net's weak view says 0.8 of its class, 0.1 of the others. Post 0: the teacher agrees. Post 1: weak and strong
    view agree on another class, the less sure at 0.6, so the teacher's odds of 8 count to the power of 0.4. Post 2: the
    views do not agree with each other, and a teacher against the net leaves two classes equal. Post 3: a teacher that
    knows nothing changes nothing. Post 4: silent, nothing is learned. The image's head learns nothing of post 0. The
    text's head learns the teacher's answers as they are, but nothing of post 1."""
    sure, even = says(POSITIVE)[0].softmax(0), torch.full((3,), 1 / 3)
    said = torch.stack([sure, sure, sure, even, torch.zeros(3)])
    weak = predicted(says(POSITIVE, NEGATIVE, NEGATIVE, POSITIVE, POSITIVE), *[says(*[0] * 5)] * 3, [0] * 5)
    strong = torch.cat([
        says(POSITIVE), says(NEGATIVE, confidence=0.6), says(NEUTRAL), says(POSITIVE), says(POSITIVE),
    ])  # fmt: skip
    learner = predicted(strong, *[says(*[POSITIVE] * 5)] * 3, [0] * 5)
    batch = replace(present([1, 0, 1, 1, 1], [0, 1, 1, 1, 1]), teacher=said)
    odds = [[1, 1, 64], [8, 1, 8**0.4], [8, 1, 8], [1, 1, 8]]  # of negative, neutral, positive
    finals = strong.log_softmax(dim=1).tolist()
    image = text = [math.log(0.1), math.log(0.1), math.log(0.8)]
    expected = -sum(q * t for row in (0, 2, 3) for q, t in zip(said[row].tolist(), text, strict=True)) / 5
    for row, final, heard in zip(odds, finals, [0, 1, 1, 1], strict=False):
        expected -= sum(o / sum(row) * (f + heard * i) for o, f, i in zip(row, final, image, strict=True)) / 5
    algorithm = transparent(teacher_weight=0.5)
    assert algorithm.teacher_loss(learner, weak, batch).item() == pytest.approx(expected, rel=1e-5)
    assert transparent().teacher_loss(learner, weak, batch).item() == 0


def test_a_teacher_that_is_certain_can_still_be_outvoted():
    """It says 1 of positive and 0 of the others, which counts as 1000 to 1, and the net says 10,000 to 1 against it."""
    told = joined(torch.tensor([[0.0, 0.0, 1.0]]), torch.tensor([[math.log(1e4), 0.0, 0.0]]), torch.ones(1))
    assert told[0].tolist() == pytest.approx([10 / 11.001, 0.001 / 11.001, 1 / 11.001], rel=1e-4)


def test_only_with_a_weight_a_text_teacher_is_read_and_it_adds_to_the_total():
    kind = algorithms.find("scrd")
    assert [kind.asks_teacher(kind.Options(teacher_weight=w)) for w in (0, 0.5)] == ["", "--teacher_weight"]
    known, unknown = batches()
    unknown = {name: replace(batch, teacher=torch.full((len(batch), 3), 0.1).index_fill_(1, torch.tensor(2), 0.8))
               for name, batch in unknown.items()}  # fmt: skip
    plain, taught = (
        make("scrd", feature_net("scrd").eval(), teacher_weight=w)(known, unknown, FIRST) for w in (0.0, 0.5)
    )
    assert "teacher_loss" not in plain.parts and taught.parts["teacher_loss"] > 0
    torch.testing.assert_close(taught.total - plain.total, 0.5 * taught.parts["teacher_loss"])


def test_the_first_step_filters_by_its_own_loss():
    """Which is ln 2 = 0.69: above the text's doubt of 0.51, which is above the least limit 0.3 ln 3 = 0.33."""
    algorithm = transparent(label_filter_floor=0.0)
    algorithm.running_loss.zero_()
    algorithm.running_weight.zero_()
    likely, wrong = says(POSITIVE, confidence=0.6), says(NEGATIVE)
    batch = replace(present([1], [1]), label=torch.tensor([POSITIVE]))
    half = says(POSITIVE, confidence=0.5)
    loss, _ = algorithm.supervised_loss(predicted(half, text=likely, image=wrong, common=half, chosen=[0]), batch)
    assert loss.item() == pytest.approx(2 * LN2 - math.log(0.6))


def test_no_limit_falls_under_a_share_of_the_loss_of_a_blind_guess():
    """All labels are known by heart, and the limit stays 0.33: over a doubt of 0.22 (text), under 0.51 (image)."""
    algorithm = transparent(label_filter_floor=0.0)
    assert algorithm.usual_loss().item() == pytest.approx(1.0)
    algorithm.running_loss.fill_(0.01)
    assert algorithm.usual_loss().item() == pytest.approx(0.3 * math.log(3))
    batch = replace(present([1], [1]), label=torch.tensor([POSITIVE]))
    half, likely = says(POSITIVE, confidence=0.5), says(POSITIVE, confidence=0.6)
    answer = predicted(half, text=says(POSITIVE), image=likely, common=half, chosen=[0])
    loss, _ = algorithm.supervised_loss(answer, batch)
    assert loss.item() == pytest.approx(2 * LN2 - math.log(0.8))


def test_selection_loss_is_the_divergence_from_how_the_teachers_heads_support_the_pseudo_label():
    """Post 1 lacks its image."""
    algorithm = transparent(selection_temperature=0.5)
    label = [POSITIVE] * 2
    target = predicted(
        says(*label), text=says(*label), image=says(*[NEGATIVE] * 2), common=says(*label, confidence=0.5),
        chosen=[TEXT] * 2,
    )  # fmt: skip
    logits = torch.tensor([[1.0, 0.0, 2.0], [0.5, -torch.inf, 0.0]], requires_grad=True)
    learner = replace(predicted(*[says(*[NEUTRAL] * 2)] * 4, [COMMON] * 2), selection_logits=logits)
    pseudo = {"label": torch.tensor(label)}
    loss = algorithm.selection_loss(learner, target, pseudo)

    def divergence(likelihoods, logits):
        target = [p**2 for p in likelihoods]  # exp(-CE / 0.5)
        target = [value / sum(target) for value in target]
        chosen = [math.exp(value) / sum(map(math.exp, logits)) for value in logits]
        return sum(u * math.log(u / p) for u, p in zip(target, chosen, strict=True))

    expected = (divergence([0.8, 0.1, 0.5], [1.0, 0.0, 2.0]) + divergence([0.8, 0.5], [0.5, 0.0])) / 2
    assert loss.item() == pytest.approx(expected, abs=1e-6)
    loss.backward()
    assert logits.grad.isfinite().all() and logits.grad[1, IMAGE] == 0 and logits.grad[0].abs().min() > 0


@pytest.mark.parametrize(("options", "ratio"), [({}, 1.0), ({"modality_loss_ratio": 0.4}, 0.4)])
def test_unsupervised_loss_by_hand(options, ratio):
    algorithm = transparent(**options)
    learner = predicted(says(POSITIVE, NEUTRAL), says(NEGATIVE, NEUTRAL), says(POSITIVE, NEUTRAL), says(0, 0), [0, 0])
    positive, one, both = torch.tensor([POSITIVE, POSITIVE]), torch.tensor([1.0, 0.0]), torch.ones(2)
    pseudo = {
        "label": positive, "mask": one, "text_label": positive, "text_mask": both, "image_label": positive,
        "image_mask": torch.zeros(2),
    }  # fmt: skip
    expected = -math.log(0.8) / 2 + ratio * (LN10 + LN10) / 2
    strong = present([1, 1], [1, 1])
    assert algorithm.unsupervised_loss(learner, strong, pseudo).item() == pytest.approx(expected)


# ---- whole steps -------------------------------------------------------------------------------------------------


def batches(uratio: int = 3, labelled: int = 6):
    return {"weak": posts(labelled)}, views(posts(labelled * uratio, 2, labelled=False))


def lacking(batch: Batch, name: str) -> Batch:
    """The view in which every post has lost one modality."""
    return replace(batch, **{f"has_{name}": torch.zeros(len(batch), dtype=torch.bool)})


@pytest.mark.parametrize("uratio", [1, 7])
@pytest.mark.parametrize("settings", [
    {}, {"selection": "gumbel"}, {"selection": "none"}, {"decoupling": False},
    {"selection": "none", "decoupling": False}, {"decision": "fused"}, {"decision": "fused", "selection": "gumbel"},
])  # fmt: skip
def test_every_parameter_of_every_variant_learns_from_posts_that_lack_a_modality(settings, uratio):
    net = feature_net("scrd", **settings)
    algorithm = make("scrd", net, threshold=0.0, plf="none")  # untrained modalities agree by chance alone
    losses = algorithm(*batches(uratio), FIRST)
    losses.total.backward()
    assert losses.total.isfinite()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
    assert (losses.parts["decouple_loss"] == 0) == (settings.get("decoupling") is False)
    assert (losses.parts["selection_loss"] == 0) == (settings.get("selection") == "none")


@pytest.mark.parametrize(("options", "weights"), [
    ({}, (1.0, 0.1, 0.1)),
    ({"ulb_loss_ratio": 0.7, "decoupling_loss_ratio": 0.3, "selection_loss_ratio": 0.2}, (0.7, 0.3, 0.2)),
])  # fmt: skip
def test_the_total_is_the_weighted_sum_of_the_parts(options, weights):
    losses = make("scrd", threshold=0.4, **options)(*batches(), FIRST)
    part, (u, d, s) = losses.parts, weights
    total = part["sup_loss"] + u * part["unsup_loss"] + d * part["decouple_loss"] + s * part["selection_loss"]
    assert all(value > 0 for value in part.values())
    torch.testing.assert_close(losses.total.detach(), total)
    assert not any(value.requires_grad for group in (part, losses.seen, losses.histograms) for value in group.values())


@pytest.mark.parametrize("selection", ["soft", "gumbel"])
@pytest.mark.parametrize("ratio", [0.1, 0.0])
def test_the_selection_of_a_fused_answer_learns_with_and_without_its_own_loss(selection, ratio):
    net = feature_net("scrd", selection=selection, decision="fused").train()
    options = {"selection_loss_ratio": ratio, "decoupling_loss_ratio": 0.0, "ulb_loss_ratio": 0.0}
    found = gradients(make("scrd", net, **options), *batches())
    chosen = {name: value for name, value in found.items() if name.startswith("selection.choose")}
    assert len(chosen) == 4 and all(value.abs().max() > 0 for value in chosen.values())


def test_the_selection_loss_teaches_the_selection_and_not_the_heads():
    algorithm = make("scrd")
    seen = views(posts(6, labelled=False))
    learner, target = algorithm.net(seen["strong"]), algorithm.teach(seen["weak"])
    pseudo = {"label": target.logits.argmax(1), "mask": torch.ones(6)}
    algorithm.selection_loss(learner, target, pseudo).backward()
    assert all(value.grad is None for value in algorithm.net.heads.parameters())
    assert all(value.grad is None for value in algorithm.teacher.parameters())
    assert all(value.grad.abs().max() > 0 for value in algorithm.net.selection.choose.parameters())


def test_no_gradient_reaches_teacher_or_weak_views_and_the_teacher_makes_the_labels():
    teacher = feature_net("scrd", seed=9).eval()
    algorithm = make("scrd", teacher=teacher, threshold=0.0, plf="none", guard="none")
    known, unknown = batches()
    for name in ("weak", "strong"):
        unknown[name].text.requires_grad_(True)
    losses = algorithm(known, unknown, FIRST)
    losses.total.backward()
    assert all(value.grad is None for value in teacher.parameters())
    assert unknown["weak"].text.grad is None and unknown["strong"].text.grad.abs().sum() > 0
    assert torch.equal(losses.histograms["pseudo_label"], teacher(unknown["weak"]).logits.argmax(1))


@pytest.mark.parametrize("guard", ["threshold", "none"])
@pytest.mark.parametrize("plf", ["agree", "match", "figure", "code", "none"])
def test_above_one_nothing_is_accepted_whatever_the_guard(guard, plf):
    algorithm = make("scrd", threshold=1.01, guard=guard, plf=plf)
    algorithm.thresholds.mean_prediction.copy_(torch.tensor([0.01, 0.01, 0.98]))
    losses = algorithm(*batches(), FIRST)
    losses.total.backward()
    assert losses.parts["unsup_loss"] == 0 and losses.seen["util_ratio"] == 0 and losses.total.isfinite()


@pytest.mark.parametrize("guard", ["threshold", "none"])
def test_at_zero_everything_is_accepted(guard):
    losses = make("scrd", threshold=0.0, guard=guard, plf="none")(*batches(), FIRST)
    assert losses.seen["util_ratio"] == 1 and losses.seen["plf_drop"] == 0 and losses.parts["unsup_loss"] > 0


@pytest.mark.parametrize("absent", ["text", "image"])
def test_a_batch_in_which_no_post_has_one_modality(absent):
    known, unknown = {"weak": lacking(posts(6, lacking=False), absent)}, posts(12, 1, labelled=False, lacking=False)
    unknown = {name: lacking(batch, absent) for name, batch in views(unknown).items()}
    algorithm = make("scrd", threshold=0.0)
    losses = algorithm(known, unknown, FIRST)
    losses.total.backward()
    assert losses.total.isfinite() and losses.seen[f"sel_{absent}"] == 0
    for name, parameter in algorithm.net.named_parameters():
        assert parameter.grad is None or parameter.grad.isfinite().all(), name
        if name.startswith(f"heads.{absent}"):
            assert (parameter.grad == 0).all(), name


@pytest.mark.parametrize("pseudo_label", ["shared", "own"])
@pytest.mark.parametrize("view", ["weak", "strong"])
@pytest.mark.parametrize("lost", ["text", "image"])
def test_a_head_learns_nothing_of_a_modality_that_one_of_the_views_has_lost(lost, view, pseudo_label):
    options = {"threshold": 0.0, "plf": "none", "modality_pseudo_label": pseudo_label}
    algorithm = make("scrd", feature_net("scrd", decision="fused"), **options)
    seen = views(posts(6, labelled=False, lacking=False))
    seen[view] = lacking(seen[view], lost)
    learner, target = algorithm.net(seen["strong"]), algorithm.teach(seen["weak"])
    pseudo = algorithm.pseudo_labels(target, seen["weak"], FIRST)
    algorithm.unsupervised_loss(learner, seen["strong"], pseudo).backward()
    taught = {
        name: head[-1].bias.grad.abs().sum() > 0 for name, head in algorithm.net.heads.items() if name != "common"
    }
    assert taught == {"text": lost != "text", "image": lost != "image", "final": True}


@pytest.mark.parametrize("view", ["weak", "strong"])
@pytest.mark.parametrize("lost", ["text", "image"])
def test_the_selection_is_not_taught_of_a_part_that_one_of_the_views_has_lost(lost, view):
    algorithm = make("scrd")
    seen = views(posts(6, labelled=False, lacking=False))
    seen[view] = lacking(seen[view], lost)
    learner, target = algorithm.net(seen["strong"]), algorithm.teach(seen["weak"])
    learner.selection_logits.retain_grad()
    pseudo = {"label": target.logits.argmax(1)}
    loss = algorithm.selection_loss(learner, target, pseudo)
    noise = torch.randn(6, CLASSES)
    assert torch.equal(loss, algorithm.selection_loss(learner, replace(target, **{f"{lost}_logits": noise}), pseudo))
    loss.backward()
    part, other = (TEXT, IMAGE) if lost == "text" else (IMAGE, TEXT)
    grad = learner.selection_logits.grad
    assert (grad[:, part] == 0).all() and (grad[:, other] != 0).all() and grad.isfinite().all()


def test_the_selection_is_taught_nothing_by_a_view_that_has_only_what_the_other_lacks():
    algorithm = make("scrd")
    seen = views(posts(6, labelled=False, lacking=False))
    learner, target = algorithm.net(lacking(seen["strong"], "text")), algorithm.teach(lacking(seen["weak"], "image"))
    loss = algorithm.selection_loss(learner, target, {"label": target.logits.argmax(1)})
    loss.backward()
    assert loss == 0
    assert all(value.grad.isfinite().all() for value in algorithm.net.selection.parameters() if value.grad is not None)


def test_running_loss_is_an_unbiased_average_and_survives_a_checkpoint():
    algorithm, again = make("scrd"), make("scrd")
    assert algorithm.usual_loss().item() == pytest.approx(0.3 * math.log(3)) and algorithm.running_loss == 0
    expected = []
    for seed in range(3):
        known, unknown = {"weak": posts(6, seed)}, views(posts(6, seed, labelled=False))
        expected.append(cross_entropy(algorithm.net(known["weak"]).logits, known["weak"].label).item())
        algorithm(known, unknown, FIRST)
    weights = [0.99**2, 0.99, 1.0]
    average = sum(w * value for w, value in zip(weights, expected, strict=True)) / sum(weights)
    assert algorithm.usual_loss().item() == pytest.approx(average, rel=1e-4)
    again.load_state_dict(algorithm.state_dict())
    for name in ("running_loss", "running_weight", "thresholds.mean_prediction"):
        assert torch.equal(again.get_buffer(name), algorithm.get_buffer(name)), name
    assert not torch.equal(algorithm.thresholds.mean_prediction, torch.full((CLASSES,), 1 / CLASSES))
