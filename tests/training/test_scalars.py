"""Figures gathered on the device."""

from __future__ import annotations

import pytest
import torch

from training.scalars import ScalarMeans, SkipCounter, add_pseudo_label_accuracy, pseudo_label_figures

GOOD, BAD = torch.tensor(0.0), torch.tensor(1.0)
CPU = torch.device("cpu")


def test_means_over_the_steps_that_count() -> None:
    means = ScalarMeans(CPU)
    means.add({"a": torch.tensor(1.0), "b": torch.tensor(4)}, GOOD)
    means.add({"a": torch.tensor(float("nan")), "b": torch.tensor(9)}, BAD)
    means.add({"a": torch.tensor(3.0), "b": torch.tensor(6)}, GOOD)
    means.add({"a": torch.tensor(8.0)}, GOOD)  # a part that only some steps have
    sent = means.send()
    means.add({"a": torch.tensor(100.0)}, GOOD)  # of the next interval
    assert sent.read() == pytest.approx({"a": 4.0, "b": 5.0})
    assert means.send().read() == {"a": 100.0}
    assert means.send().read() == {}


def test_only_bad_steps_give_no_mean() -> None:
    means = ScalarMeans(CPU)
    means.add({"a": torch.tensor(float("inf"))}, BAD)
    assert means.send().read() == {}


def test_skips_are_counted_in_all_and_in_a_row() -> None:
    skips = SkipCounter(2, CPU)
    for step, bad in enumerate([BAD, GOOD, BAD, BAD, BAD, GOOD, BAD, BAD]):
        skips.add(bad, step)
    assert skips.values.tolist() == [6, 2, 3]  # the limit was first met in step 3


def test_pseudo_label_figures_by_hand() -> None:
    label, mask = torch.tensor([0, 1, 1, 2]), torch.tensor([1.0, 0.5, 0.0, 1.0])
    truth = torch.tensor([0, 2, 1, -1])
    figures = {name: value.item() for name, value in pseudo_label_figures(label, mask, truth, "abc").items()}
    add_pseudo_label_accuracy(figures)
    assert figures == pytest.approx({
        "train/pseudo_label/a": 0.25,
        "train/pseudo_label/b": 0.125,  # it weighs half
        "train/pseudo_label/c": 0.25,
        "train/pseudo_acc": 1 / 1.5,  # of the first two; the third is not accepted, the truth of the last not known
    })  # fmt: skip
    nothing = {name: value.item() for name, value in pseudo_label_figures(label, mask * 0, truth, "abc").items()}
    add_pseudo_label_accuracy(nothing)
    assert "train/pseudo_acc" not in nothing and set(nothing.values()) == {0.0}
