"""Options out of range name their flag, whichever algorithm has them."""

from __future__ import annotations

import pytest

import algorithms

WRONG = [
    ("supervised", "class_balance", 1.5),
    ("supervised", "logit_adjustment", -1.0),
    ("pseudo_label", "unsup_warm_up", 1.5),
    ("pseudo_label", "threshold", -0.1),
    ("pi_model", "ulb_loss_ratio", -1.0),
    ("uda", "temperature", 0.0),
    ("uda", "threshold", float("inf")),
    ("mixmatch", "mixup_alpha", 0.0),
    ("mixmatch", "temperature", float("nan")),
    ("mixmatch", "unsup_warm_up", -0.1),
    ("remixmatch", "strong_loss_ratio", -0.5),
    ("remixmatch", "rotation_loss_ratio", float("nan")),
    ("vat", "vat_eps", 0.0),
    ("vat", "vat_iterations", 0),
    ("vat", "entropy_loss_ratio", -1.0),
    ("scrd", "plf_scale", -2.0),
    ("scrd", "plf_epochs", -2),
    ("scrd", "modality_loss_ratio", -1.0),
    ("scrd", "decoupling_loss_ratio", float("nan")),
    ("scrd", "selection_loss_ratio", float("inf")),
    ("scrd", "selection_temperature", 0.0),
    ("scrd", "label_filter_floor", -3.0),
    ("scrd", "final_label_ratio", -0.5),
    ("scrd", "label_smoothing", 1.5),
]


@pytest.mark.parametrize(("name", "option", "value"), WRONG)
def test_options_out_of_range_name_their_flag(name, option, value):
    with pytest.raises(ValueError, match=f"--{option} {value} "):
        algorithms.find(name).Options(**{option: value})
