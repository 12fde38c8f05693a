"""What a run says of itself, and what its monitor may know of the posts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nets.encoders import IMAGE_NAMES, ImageEncoder
from tests.runs import TINY
from training.assembly import assemble, choose_device
from training.checkpoint import plain_state, save_weights
from training.command_line import parse
from training.distributed import ALONE
from training.session import _opening, _truth


@pytest.mark.parametrize("among", ["True", "False"])
def test_pseudo_labels_are_judged_on_posts_whose_class_was_not_told(cache: Path, tmp_path: Path, among: str) -> None:
    words = ["--cache_dir", str(cache), "--save_dir", str(tmp_path), "--gpu", "-1", "--include_lb_to_ulb", among]
    options = parse([*TINY, *words])
    assembly = assemble(options, choose_device(options), ALONE)
    split, truth = assembly.split, _truth(assembly).numpy()
    judged = np.setdiff1d(split.unlabelled, split.labelled)
    assert len(judged) < len(split.unlabelled) if among == "True" else len(judged) == len(split.unlabelled)
    assert np.array_equal(truth[judged], assembly.store.label[judged])
    assert np.all(np.delete(truth, judged) == -1)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("", "fixmatch, net concat: image small (from scratch), text fasttext (from scratch); "),
        ("--image_weights {file} --freeze image --feature_views 0", "image test_mambaout (pretrained, frozen), text "),
        ("--net text --text_weights none --freeze text", "fixmatch, net text: text fasttext (random, frozen); "),
        ("--net vilt", "image vilt (from scratch), text small (from scratch); "),
    ],
)
def test_a_run_says_what_its_encoders_begin_with(cache: Path, tmp_path: Path, words: str, said: str) -> None:
    file = tmp_path / "small.safetensors"
    save_weights(file, plain_state(ImageEncoder("small", "none").net), {"timm": IMAGE_NAMES["small"]})
    more = ["--cache_dir", str(cache), "--gpu", "-1", "--algorithm", "fixmatch", *words.format(file=file).split()]
    options = parse([*TINY, *more])
    assert said in _opening(assemble(options, choose_device(options), ALONE))
