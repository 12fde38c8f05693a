"""Train a text teacher: `python scripts/train_teacher.py --train_data_dir train.tsv --test_data_dir test.tsv
--text_weights FOLDER`. Takes every flag of main.py; what they are without one is in configs/teacher.yaml."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from main import main

CONFIG = Path(__file__).resolve().parent.parent / "configs" / "teacher.yaml"


def after(assembly: Any, folder: Any, answers: Any) -> str:
    """Imports what it needs only now: `--help` is quick."""
    from training.text_teacher import make_teacher

    return make_teacher(assembly, folder, answers)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:], CONFIG, after))
