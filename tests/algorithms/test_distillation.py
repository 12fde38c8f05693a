"""Distillation: targets and weights by hand, and who learns from whom."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch.nn.functional import cross_entropy

from algorithms.distillation import Distillation, first_largest
from tests.algorithms.clusters import FIRST, gradients, make, posts

SAID = torch.tensor([
    [0.75, 0.20, 0.05],  # negative, above 0.7
    [0.05, 0.90, 0.05],  # neutral, at 0.9 and not above
    [0.02, 0.03, 0.95],  # positive, above 0.9
    [0.00, 0.00, 0.00],  # nothing was said
    [0.40, 0.40, 0.20],  # two equal ones: the first
    [0.10, 0.15, 0.75],  # positive, below 0.9
])  # fmt: skip


def taught(seed: int = 5):
    return replace(posts(len(SAID), seed, labelled=False), teacher=SAID)


def lesson(**options):
    return make("distillation", **options).lesson(taught())


def loss_of_unlabelled(algorithm: Distillation) -> tuple[torch.Tensor, torch.Tensor]:
    """The loss of the step, and the logits that it was computed from."""
    losses = algorithm({"weak": posts(4)}, {"strong": taught()}, FIRST)
    return losses.parts["unsup_loss"], algorithm.net(taught()).logits.detach()


def test_hard_targets_are_the_answers_strictly_above_the_threshold_of_their_class():
    target, pseudo = lesson(distillation_target="hard")
    assert pseudo.label.tolist()[:3] == [0, 1, 2] and pseudo.label.tolist()[4:] == [0, 2]
    assert pseudo.mask.tolist() == [1, 0, 1, 0, 0, 0]
    assert target[0].tolist() == [1, 0, 0]
    _, all_same = lesson(distillation_target="hard", teacher_thresholds="0.7")
    assert all_same.mask.tolist() == [1, 1, 1, 0, 0, 1]
    _, none = lesson(distillation_target="hard", teacher_thresholds="1.01")
    assert none.mask.sum() == 0


def test_soft_targets_are_the_probabilities():
    target, pseudo = lesson(distillation_target="soft")
    said = SAID.sum(1) > 0
    torch.testing.assert_close(target[said], SAID[said])
    assert pseudo.mask.tolist() == said.float().tolist()


def test_weights_say_how_sure_the_teacher_is():
    _, pseudo = lesson(distillation_target="weighted")
    expected = [(3 * 0.75 - 1) / 2, (3 * 0.9 - 1) / 2, (3 * 0.95 - 1) / 2, 0, (3 * 0.4 - 1) / 2, (3 * 0.75 - 1) / 2]
    torch.testing.assert_close(pseudo.mask, torch.tensor(expected))


@pytest.mark.parametrize("target", ["hard", "soft", "weighted"])
def test_the_loss_by_hand(target):
    algorithm = make("distillation", distillation_target=target, label_smoothing=0.2)
    found, logits = loss_of_unlabelled(algorithm)
    log_probability = logits.log_softmax(1)
    wanted, pseudo = lesson(distillation_target=target)
    smooth = 0.8 * wanted + 0.2 / 3
    expected = sum(
        float(weight) * -float((row * answer).sum())
        for weight, row, answer in zip(pseudo.mask, smooth, log_probability, strict=True)
    ) / len(SAID)
    assert float(found) == pytest.approx(expected, rel=1e-5)


def test_hard_targets_smoothed_are_torchs_label_smoothing():
    algorithm = make("distillation", distillation_target="hard", teacher_thresholds="0", label_smoothing=0.2)
    said = [0, 1, 2, 4, 5]
    found, logits = loss_of_unlabelled(algorithm)
    expected = cross_entropy(logits[said], torch.tensor([0, 1, 2, 0, 2]), label_smoothing=0.2, reduction="sum") / 6
    torch.testing.assert_close(found, expected)


def test_a_temperature_makes_answers_softer():
    target, _ = lesson(distillation_target="soft", teacher_temperature=2.0)
    root = [math.sqrt(value) for value in (0.75, 0.2, 0.05)]
    torch.testing.assert_close(target[0], torch.tensor([value / sum(root) for value in root]))


def test_balanced_classes_weigh_by_what_the_teacher_said_so_far():
    algorithm = make("distillation", distillation_target="hard", teacher_thresholds="0.7", teacher_balance=True)
    _, pseudo = algorithm.lesson(taught())
    # 1 each at the start, then one negative, one neutral, two positive
    counts = torch.tensor([2.0, 2.0, 3.0])
    assert torch.equal(algorithm.answered, counts)
    weight = counts.sum() / (3 * counts)
    torch.testing.assert_close(pseudo.mask, torch.tensor([1, 1, 1, 0, 0, 1.0]) * weight[pseudo.label])
    for _ in range(400):
        algorithm.lesson(taught())
    _, pseudo = algorithm.lesson(taught())
    by_class = torch.zeros(3).index_add(0, pseudo.label, pseudo.mask)
    torch.testing.assert_close(by_class, torch.full((3,), 4 / 3), atol=0.01, rtol=0)
    assert "answered" in algorithm.state_dict()


def test_soft_answers_are_balanced_by_their_shares():
    algorithm = make("distillation", distillation_target="soft", teacher_balance=True)
    _, pseudo = algorithm.lesson(taught())
    counts = 1 + SAID.sum(0)
    torch.testing.assert_close(algorithm.answered, counts)
    torch.testing.assert_close(pseudo.mask, SAID @ (counts.mean() / counts))


def test_a_threshold_is_strict_to_the_last_bit():
    said = torch.rand(4000, 1, generator=torch.Generator().manual_seed(0)) / 2 + 0.5
    answers = torch.cat([said, 1 - said, torch.zeros_like(said)], dim=1)
    batch = replace(posts(4000, labelled=False), teacher=answers)
    algorithm = make("distillation", distillation_target="hard")
    for row in (0, 7, 12):
        algorithm.thresholds.fill_(said[row, 0])
        mask = algorithm.lesson(batch)[1].mask
        assert mask[row] == 0 and mask.sum() == (said > said[row]).sum()


def test_silence_is_no_answer_to_the_alignment():
    algorithm = make("distillation", align="uniform")
    silent = replace(taught(), teacher=torch.zeros_like(SAID))
    before = algorithm.alignment.mean_prediction.clone()
    algorithm.lesson(taught())
    after = algorithm.alignment.mean_prediction.clone()
    assert not torch.equal(before, after)
    algorithm.lesson(silent)
    torch.testing.assert_close(algorithm.alignment.mean_prediction, after)


def test_of_equal_probabilities_the_first_is_taken():
    values = torch.tensor([[0.5, 0.5, 0.0], [0.2, 0.4, 0.4], [1 / 3, 1 / 3, 1 / 3]])
    assert first_largest(values).tolist() == [0, 1, 0]


def test_labelled_posts_teach_by_their_weight_or_are_not_read():
    both = make("distillation", labelled_weight=0.5)
    losses = both({"weak": posts(4)}, {"strong": taught()}, FIRST)
    torch.testing.assert_close(losses.total.detach(), 0.5 * losses.parts["sup_loss"] + losses.parts["unsup_loss"])
    torch.testing.assert_close(losses.parts["sup_loss"], cross_entropy(both.net(posts(4)).logits, posts(4).label))
    alone = make("distillation", labelled_weight=0.0)
    assert alone.labelled_views == () and Distillation.labelled_views == ("weak",)
    losses = alone({}, {"strong": taught()}, FIRST)
    assert set(losses.parts) == {"unsup_loss", "total_loss"}


def test_views_are_those_that_were_asked_for():
    clean = make("distillation", student_view="clean")
    assert (clean.labelled_views, clean.unlabelled_views) == (("clean",), ("clean",))
    assert make("distillation", student_view="weak").unlabelled_views == ("weak",)
    losses = clean({"clean": posts(4)}, {"clean": taught()}, FIRST)
    assert losses.total.isfinite()


def test_posts_of_which_nothing_was_said_teach_nothing():
    silent = replace(posts(6, 5, labelled=False), teacher=torch.zeros(6, 3))
    algorithm = make("distillation")
    taught_by_labels = gradients(algorithm, {"weak": posts(4)}, {"strong": silent})
    without = gradients(algorithm, {"weak": posts(4)}, {"strong": posts(6, 5, labelled=False)})
    alone = gradients(make("supervised", algorithm.net), {"weak": posts(4)}, {})
    for name, value in alone.items():
        torch.testing.assert_close(taught_by_labels[name], value, atol=1e-6, rtol=1e-5)
        torch.testing.assert_close(without[name], value, atol=1e-6, rtol=1e-5)


def test_the_net_learns_what_the_teacher_says():
    algorithm = make("distillation", labelled_weight=0.0)
    optimiser = torch.optim.AdamW(algorithm.net.parameters(), lr=0.02)
    batch = taught()
    for _ in range(60):
        optimiser.zero_grad()
        algorithm({}, {"strong": batch}, FIRST).total.backward()
        optimiser.step()
    sure = [0, 1, 2, 5]
    assert algorithm.net(batch).logits.argmax(1)[sure].tolist() == [0, 1, 2, 2]


def test_hard_targets_that_no_post_has_are_named():
    kind = Distillation
    classes = ("negative", "neutral", "positive")
    answers = torch.tensor([[0.75, 0.15, 0.10], [0.30, 0.36, 0.34], [0.0, 0.0, 0.0], [0.1, 0.2, 0.7]])

    def note(**options):
        return kind.note_on_teacher(kind.Options(**options), answers, classes)

    assert note(distillation_target="hard") == (
        "no unlabelled post has from the teacher the class neutral (which it gives 0.360 at most, and its threshold is "
        "0.9), positive (which it gives 0.700 at most, and its threshold is 0.9): lower --teacher_thresholds"
    )
    assert "class positive (which it gives 0.700 at most" in note(
        distillation_target="hard", teacher_thresholds=".7,.3,.7"
    )
    assert note(distillation_target="hard", teacher_thresholds="0.3") == ""
    assert "neutral" in note(distillation_target="hard", teacher_thresholds="0.34", teacher_temperature=5.0)
    assert note(distillation_target="weighted") == note(distillation_target="hard", align="uniform") == ""
    silent = kind.note_on_teacher(kind.Options(distillation_target="hard"), torch.zeros(2, 3), classes)
    assert silent.count("gives 0.000 at most") == 3


@pytest.mark.parametrize(("options", "sentence"), [
    ({"teacher_thresholds": "0.7,high"}, "--teacher_thresholds '0.7,high' must be numbers"),
    ({"teacher_thresholds": "-1"}, "--teacher_thresholds"),
    ({"teacher_thresholds": "0.6"}, "--teacher_thresholds 0.6 chooses among hard .* is weighted: leave it out"),
    ({"teacher_thresholds": "0", "distillation_target": "soft"}, "--teacher_thresholds 0 chooses .* is soft"),
    ({"teacher_thresholds": "0.5,0.6", "distillation_target": "hard"}, "has 2 numbers for 3 classes"),
    ({"label_smoothing": 1.0}, "--label_smoothing 1.0"),
    ({"teacher_temperature": 0.0}, "--teacher_temperature 0.0"),
    ({"labelled_weight": -1.0}, "--labelled_weight -1.0"),
])  # fmt: skip
def test_mistakes_are_named(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        make("distillation", **options)
