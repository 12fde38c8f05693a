"""What must hold for every algorithm of the house, whichever it is: a new file is tested at once."""

from __future__ import annotations

import math
from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from torch import Tensor

import algorithms
from algorithms.base import Algorithm, Losses, Step, Task
from datasets.batch import Batch
from tests.algorithms.clusters import (
    CLASSES,
    HALF_WAY,
    POSTS,
    feature_net,
    known_options,
    make,
    own_net,
    posts,
    views_for,
    with_batch_norm,
)
from training.ema import Ema

NAMES = algorithms.names()
PLAIN = [name for name in NAMES if own_net(name) == "concat"]
ACROSS_NETS = [(name, net) for name in NAMES for net in (("concat", "image", "text") if name in PLAIN else (name,))]
SEMI_SUPERVISED = [name for name in NAMES if algorithms.find(name).unlabelled_views]

LEARNS_FROM_WEAK = {
    "pseudo_label": "the view that a label is taken from learns it",
    "vat": "the answer for the perturbed view must be that for the view itself, and be sure",
    "mixmatch": "weak views are mixed, and the mixed ones learned from",
    "remixmatch": "weak views are mixed as the strong ones are",
    "scrd_released": "its decoupling losses read all views, and all have a gradient in the released code",
}
"""The algorithms in which weak unlabelled views are learned from, and why. In all others they make the labels only."""

FIRST_UNLABELLED = 64
"""The first row of the store that is not labelled."""


def with_option(option: str) -> list[str]:
    return [name for name in NAMES if known_options(name, **{option: None})]


def batches(name: str, labelled: int = 6, uratio: int = 3, seed: int = 0, change=lambda batch: batch):
    """The views of labelled and unlabelled posts that the algorithm asks for."""
    start = FIRST_UNLABELLED + 50 * seed
    known = change(posts(labelled, seed))
    return views_for(name, known, change(posts(labelled * uratio, seed + 100, labelled=False, start=start)))


def run(algorithm: Algorithm, *arguments, step: Step = HALF_WAY) -> Losses:
    """One step whose draws are always the same, as the trainer's are, and its backward pass."""
    torch.manual_seed(step.number)
    losses = algorithm(*arguments, step)
    losses.total.backward()
    return losses


def assert_sound(algorithm: Algorithm, losses: Losses) -> None:
    """Losses and gradients are finite, what is shown has no gradient, and the teacher never gets one."""
    assert losses.total.dtype == torch.float32 and losses.total.shape == () and losses.total.isfinite()
    shown = losses.parts | losses.seen
    assert all(value.shape == () and value.isfinite() for value in shown.values()), shown
    assert not any(value.requires_grad for value in (shown | losses.histograms).values())
    for key, parameter in algorithm.named_parameters():
        assert parameter.grad is None or parameter.grad.isfinite().all(), key
    assert all(parameter.grad is None for parameter in algorithm.teacher.parameters())


# ---- every net, every batch --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "net"), ACROSS_NETS)
def test_gradients_reach_the_whole_net(name, net):
    algorithm = make(name, feature_net(net).train(), **known_options(name, threshold=0.0))
    assert_sound(algorithm, run(algorithm, *batches(name)))
    if name in PLAIN:
        for key, parameter in algorithm.net.named_parameters():
            assert parameter.grad is not None and parameter.grad.abs().max() > 0, key


@pytest.mark.parametrize("name", NAMES)
def test_weights_of_its_own_learn_too(name):
    algorithm = make(name, **known_options(name, threshold=0.0))
    for number in range(2):  # what compares with earlier posts has none at the first step
        run(algorithm, *batches(name, seed=number), step=Step(number, 0, 100))
    own = [(key, value) for key, value in algorithm.named_parameters() if not key.startswith("net.")]
    assert [key for key, value in own if value.requires_grad and value.grad is None] == []


@pytest.mark.parametrize("uratio", [1, 7])
@pytest.mark.parametrize("name", NAMES)
def test_any_ratio_of_unlabelled_posts(name, uratio):
    algorithm = make(name)
    losses = run(algorithm, *batches(name, labelled=4, uratio=uratio))
    assert_sound(algorithm, losses)
    assert all(len(value) == 4 * uratio for value in losses.histograms.values())


@pytest.mark.parametrize("absent", ["text", "image"])
@pytest.mark.parametrize(("name", "net"), ACROSS_NETS)
def test_a_batch_in_which_no_post_has_one_modality(name, net, absent):
    def without(batch: Batch) -> Batch:
        gone = {f"has_{absent}": torch.zeros(len(batch), dtype=torch.bool)}
        return replace(batch, **gone, **{absent: torch.zeros_like(getattr(batch, absent))})

    algorithm = make(name, feature_net(net).train(), **known_options(name, threshold=0.0))
    assert_sound(algorithm, run(algorithm, *batches(name, change=without)))


@pytest.mark.parametrize("label", [0, 2])
@pytest.mark.parametrize("name", NAMES)
def test_one_class_only_among_the_labelled_posts(name, label):
    def of_one_class(batch: Batch) -> Batch:
        return replace(batch, label=torch.where(batch.label >= 0, label, batch.label))

    algorithm = make(name, **known_options(name, threshold=0.0, align="labelled"))
    assert_sound(algorithm, run(algorithm, *batches(name, change=of_one_class)))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("net", ["concat", "image", "text"])
@pytest.mark.parametrize("name", PLAIN)
def test_batch_norm(name, net, training):
    """In evaluation mode its statistics stay as they are, and no pass may change that."""
    made = with_batch_norm(training, net)
    before = {key: value.clone() for key, value in made.named_buffers()}
    algorithm = make(name, made, **known_options(name, threshold=0.0))
    assert_sound(algorithm, run(algorithm, *batches(name)))
    assert any(not torch.equal(value, before[key]) for key, value in made.named_buffers()) == training
    assert all(module.training == training for module in made.modules() if isinstance(module, torch.nn.BatchNorm1d))


@pytest.mark.parametrize("name", NAMES)
def test_low_precision_loses_no_gradient_and_losses_stay_in_full(name):
    options = known_options(name, threshold=0.0)
    full, low = make(name, **options), make(name, **options)
    run(full, *batches(name))
    torch.manual_seed(HALF_WAY.number)
    with torch.autocast("cpu", torch.bfloat16):
        losses = low(*batches(name), HALF_WAY)
    losses.total.backward()
    assert_sound(low, losses)
    learned, found = ({key for key, value in some.named_parameters() if value.grad is not None} for some in (full, low))
    assert learned == found and learned


# ---- pseudo-labels -----------------------------------------------------------------------------------------------


def weak_gradient(name: str) -> Tensor:
    """What reaches the features of the weak unlabelled views."""
    algorithm = make(name, feature_net(own_net(name)).train(), **known_options(name, threshold=0.0))
    known, unknown = batches(name)
    weak = unknown["weak"]
    unknown["weak"] = replace(weak, text=weak.text.clone().requires_grad_(), image=weak.image.clone().requires_grad_())
    run(algorithm, known, unknown)
    found = [getattr(unknown["weak"], modality).grad for modality in ("text", "image")]
    return torch.stack([torch.zeros(1) if grad is None else grad.abs().max().reshape(1) for grad in found])


@pytest.mark.parametrize("name", [name for name in SEMI_SUPERVISED if "weak" in algorithms.find(name).unlabelled_views])
def test_weak_views_that_only_make_labels_get_no_gradient(name):
    assert (weak_gradient(name).max() > 0) == (name in LEARNS_FROM_WEAK)


@pytest.mark.parametrize(("threshold", "share"), [(0.0, 1), (1.01, 0)])
@pytest.mark.parametrize("name", with_option("threshold"))
def test_threshold_zero_takes_all_and_above_one_none(name, threshold, share):
    algorithm = make(name, **known_options(name, threshold=threshold, plf="none"))
    losses = run(algorithm, *batches(name))
    assert_sound(algorithm, losses)
    assert losses.seen["util_ratio"] == share and (losses.histograms["mask"] == share).all()
    assert (losses.parts["unsup_loss"] == 0) == (share == 0)


@pytest.mark.parametrize("name", SEMI_SUPERVISED)
def test_unlabelled_posts_weigh_as_their_option_says(name):
    """The total is linear in it, so nothing else depends on it and it does something."""
    total = []
    for ratio in (0.0, 1.0, 2.0):
        algorithm = make(name, **known_options(name, threshold=0.0, ulb_loss_ratio=ratio))
        total.append(run(algorithm, *batches(name)).total.detach())
    assert total[1] != total[0]
    torch.testing.assert_close(total[2] - total[0], 2 * (total[1] - total[0]))


# ---- options that all share --------------------------------------------------------------------------------------

SKEWED = Task(CLASSES, POSTS, POSTS, torch.arange(7), torch.tensor([0, 0, 0, 0, 1, 1, 2]))
"""Four, two and one labelled post of the three classes."""


def labelled_loss(name: str, **options) -> Tensor:
    algorithm = make(name, task=SKEWED, **options)
    losses = run(algorithm, *batches(name))
    assert_sound(algorithm, losses)
    return losses.parts["sup_loss"]


@pytest.mark.parametrize("name", NAMES)
def test_rare_classes_weigh_more_where_the_option_says_so(name):
    weights = [0.5 / (1 - 0.5**4), 0.5 / (1 - 0.5**2), 0.5 / (1 - 0.5**1)]
    expected = [3 * weight / sum(weights) for weight in weights]
    assert make(name, task=SKEWED, class_balance=0.5).class_weight.tolist() == pytest.approx(expected)
    assert make(name, task=SKEWED).class_weight.tolist() == [1, 1, 1]
    assert labelled_loss(name, class_balance=0.5) != labelled_loss(name)


@pytest.mark.parametrize("name", NAMES)
def test_logits_are_adjusted_where_the_option_says_so(name):
    expected = [2 * math.log(share) for share in (4 / 7, 2 / 7, 1 / 7)]
    assert make(name, task=SKEWED, logit_adjustment=2.0).logit_shift.tolist() == pytest.approx(expected)
    assert labelled_loss(name, logit_adjustment=2.0) != labelled_loss(name)


@pytest.mark.parametrize("name", with_option("align"))
def test_alignment_changes_what_unlabelled_posts_are_taken_for(name):
    options = known_options(name, threshold=0.0, statistics_momentum=0.0)
    plain, uniform, labelled = (
        make(name, task=SKEWED, align=how, **options) for how in ("none", "uniform", "labelled")
    )
    assert plain.alignment is None
    assert uniform.alignment.target.tolist() == pytest.approx([1 / 3] * 3)
    assert labelled.alignment.target.tolist() == pytest.approx([4 / 7, 2 / 7, 1 / 7])
    taken_for = [run(plain, *batches(name)).total.detach()]
    for often in range(CLASSES):  # one of them is what the net says
        aligned = deepcopy(uniform)  # with the statistics that it begins with
        aligned.alignment.mean_prediction.copy_(torch.tensor([0.9, 0.05, 0.05]).roll(often))
        losses = run(aligned, *batches(name))
        assert_sound(aligned, losses)
        taken_for.append(losses.total.detach())
    assert len(set(map(float, taken_for))) > 1


# ---- a run that is taken up again --------------------------------------------------------------------------------


class Run:
    """An algorithm that is trained as the trainer does it: draws seeded by the step, moving average, plain descent."""

    def __init__(self, name: str, seed: int) -> None:
        net = feature_net(own_net(name), seed=seed, dropout=0.3).train()
        self.name, self.ema = name, Ema(net, 0.9)
        options = known_options(name, threshold=0.4, align="uniform")
        self.algorithm = make(name, net, self.ema.net, **options).train()

    def steps(self, numbers: range) -> list[Tensor]:
        """The total losses of these steps."""
        totals = []
        for number in numbers:
            self.algorithm.zero_grad()
            step = Step(number, number // 3, 20)
            totals.append(run(self.algorithm, *batches(self.name, seed=number), step=step).total.detach())
            with torch.no_grad():
                for parameter in self.algorithm.parameters():
                    if parameter.grad is not None:
                        parameter.sub_(0.05 * parameter.grad)
            self.ema.update(self.algorithm.net, number)
        return totals

    def state(self) -> dict[str, Tensor]:
        """All that a checkpoint would hold."""
        own = {f"average.{key}": value for key, value in self.ema.net.state_dict().items()}
        return deepcopy(own | dict(self.algorithm.state_dict()))


@pytest.mark.parametrize("name", NAMES)
def test_a_run_taken_up_from_its_state_goes_on_bit_for_bit(name):
    whole, first, second = Run(name, 0), Run(name, 0), Run(name, 1)
    totals = whole.steps(range(7))
    assert torch.equal(torch.stack(first.steps(range(4))), torch.stack(totals[:4]))
    second.ema.net.load_state_dict(first.ema.net.state_dict())
    second.algorithm.load_state_dict(first.algorithm.state_dict())
    assert torch.equal(torch.stack(second.steps(range(4, 7))), torch.stack(totals[4:]))
    expected = whole.state()
    for key, value in second.state().items():
        assert torch.equal(value, expected[key]), key
    assert len(set(map(float, totals))) == len(totals)
