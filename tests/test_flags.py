"""The command line is a promise: a flag that appears or vanishes must do so on purpose, in tests/flags.txt too."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

import algorithms
from training.command_line import SHARED, flags, flags_of

SNAPSHOT = Path(__file__).with_name("flags.txt")


def lines() -> list[str]:
    """One line a flag: the dataclass or algorithm that has it, and its spellings."""
    found = [(group, flag) for group, options in SHARED.items() for flag in flags_of(group, options)]
    found += [(name, flag) for name in algorithms.names() for flag in flags(name) if flag.group == "algorithm"]
    return [f"{owner}: {' '.join(flag.spellings)}" for owner, flag in found]


def test_no_flag_appears_or_vanishes_unnoticed():
    kept, there = SNAPSHOT.read_text().splitlines(), lines()
    changes = [f"- {line}" for line in kept if line not in there] + [f"+ {line}" for line in there if line not in kept]
    assert not changes, "edit tests/flags.txt where this is meant:\n" + "\n".join(changes)


@pytest.mark.parametrize("name", algorithms.names())
def test_no_two_flags_share_a_spelling(name):
    spellings = [spelling for flag in flags(name) for spelling in flag.spellings] + ["--config", "--help", "-h"]
    spellings += [f"--no_{flag.name}" for flag in flags(name) if flag.is_bool]
    assert [spelling for spelling, times in Counter(spellings).items() if times > 1] == []


def test_flags_of_the_seeds_are_there():
    seeds = """--save_dir -sn --save_name --resume --load_path -o --overwrite --epoch --num_train_iter -nl --num_labels
        -bsz --batch_size --uratio --eval_batch_size --threshold --p_cutoff --ema_m --ulb_loss_ratio --optim --lr
        --momentum --weight_decay --amp --clip --data_dir --train_data_dir --test_data_dir -ds --dataset -nc
        --num_classes --num_workers --seed --gpu --net --dropout""".split()
    assert set(seeds) - {spelling for flag in flags("scrd") for spelling in flag.spellings} == set()
