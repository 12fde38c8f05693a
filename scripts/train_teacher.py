"""Train a text teacher: `python scripts/train_teacher.py --train_data_dir train.tsv --test_data_dir test.tsv
--text_weights FOLDER`. Takes every flag of main.py; what they are without one is in configs/teacher.yaml."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import main as house

CONFIG = Path(__file__).resolve().parent.parent / "configs" / "teacher.yaml"
SCRIPT = "scripts/train_teacher.py"
NET = "sequence_classifier"


def after(assembly: Any, folder: Any, answers: Any) -> str:
    """Imports what it needs only now: `--help` is quick."""
    from training.text_teacher import make_teacher

    return make_teacher(assembly, folder, answers)


def main(argv: list[str]) -> int:
    """Train by main.py, then calibrate and keep the teacher in `<run>/teacher`."""
    options = house.read_options(argv, CONFIG, SCRIPT)
    if options.net.net != NET or options.net.freeze:
        print(f"train_teacher.py: a teacher is trained with --net {NET} and nothing frozen", file=sys.stderr)
        return 2
    return house.attempt(options, argv, after, script=SCRIPT)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
