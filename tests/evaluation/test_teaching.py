"""The summary of what pseudo-labels taught."""

from __future__ import annotations

from evaluation.teaching import teaching


def test_means_over_the_last_tenth() -> None:
    lines = [
        {
            "step": step,
            "train/total_loss": 1.0,
            "train/util_ratio": step / 100,
            "train/pseudo_acc": None if step == 95 else 0.5,
            "train/pseudo_label/negative": 0.25,
        }
        for step in range(5, 101, 5)
    ]
    lines.append({"step": 100, "eval/F1": 0.5})
    assert teaching(lines, ("negative", "positive")) == {
        "accepted": 0.975,
        "pseudo_label_accuracy": 0.5,
        "accepted_by_class": {"negative": 0.25, "positive": None},
    }


def test_the_last_interval_where_none_ends_earlier_and_nothing_where_nothing_was_learned() -> None:
    lines = [{"step": 10, "train/total_loss": 1.0, "train/util_ratio": 0.2}]
    assert teaching(lines, ("negative",))["accepted"] == 0.2
    nothing = {"accepted": None, "pseudo_label_accuracy": None, "accepted_by_class": {"negative": None}}
    assert teaching([{"step": 10, "train/total_loss": 1.0}], ("negative",)) == nothing
    assert teaching([], ("negative",)) == nothing
