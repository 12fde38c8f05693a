"""What the monitor of a run may know of the posts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.runs import TINY
from training.assembly import assemble, choose_device
from training.command_line import parse
from training.distributed import ALONE
from training.session import _truth


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
