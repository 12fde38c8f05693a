"""What a table calls a run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from training.command_line import parse
from training.defaults import resolve
from training.outcome import _name

NAMES = {
    "": "scrd",
    "--algorithm supervised": "supervised",
    "--algorithm fixmatch --net image": "fixmatch net=image",
    "--algorithm fixmatch --fusion joint --joint_pooling sum": "fixmatch net=joint joint_pooling=sum",
    "--algorithm fixmatch --fusion mmbt --image_tokens 5": "fixmatch net=mmbt image_tokens=5",
    "--label_smoothing 0 --decision fused": "scrd decision=fused label_smoothing=0.0",
    "--final_label_ratio 1": "scrd final_label_ratio=1.0",
    "--missing_image_rate 0.5": "scrd missing_image_rate=0.5",
    "--modality_dropout 0.3": "scrd modality_dropout=0.3",
    "--guard none --selection none": "scrd guard=none selection=none",
    "--algorithm fixmatch --threshold 0.8 --lr 0.1": "fixmatch threshold=0.8",
    "--freeze image,text --image_weights none --text_weights none --plf code": "scrd freeze=image,text plf=code",
    "--scrd_variant released": "scrd_released",
}


@pytest.mark.parametrize("line, name", NAMES.items())
def test_a_run_is_called_by_what_makes_it_another_method(line: str, name: str, tmp_path: Path):
    assert _name(resolve(parse([*line.split(), "--save_dir", str(tmp_path)]))) == name


def test_a_run_is_called_the_same_where_its_weights_are_gone(tmp_path: Path):
    options = resolve(parse(["--algorithm", "fixmatch", "--image_net", "resnet18", "--save_dir", str(tmp_path)]))
    gone = replace(options, net=replace(options.net, image_weights=str(tmp_path / "gone.safetensors")))
    assert _name(gone) == _name(options)
