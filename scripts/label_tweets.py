"""Have a text teacher answer for every post: `python scripts/label_tweets.py POSTS --teacher FOLDER`; on several GPUs
`torchrun --nproc_per_node N scripts/label_tweets.py POSTS`. Killed, it goes on where it was when called again."""

from __future__ import annotations

import sys
import time
from contextlib import nullcontext, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from datasets.options import DataOptions
from training.entry import start


@dataclass(frozen=True)
class LabelOptions:
    """Have a text teacher answer for every post of a store; the store then has its probabilities"""

    posts: tyro.conf.Positional[Path]
    """A post store; or posts in another layout, of which a store is made in --cache_dir."""
    teacher: str = ""
    """Sequence classifier: folder, run of scripts/train_teacher.py, or hub name; lexicon: VADER, which needs no
    weights; empty: cardiffnlp/twitter-roberta-base-sentiment-latest."""
    output: Annotated[str, tyro.conf.arg(aliases=["-o"])] = ""
    """CSV file for the answers too: TWID,NEG,NEU,POS."""
    dataset: Annotated[str, tyro.conf.arg(aliases=["-ds"])] = DataOptions.dataset
    """Reader of the layout, as the README lists them, or store; auto: the one that fits."""
    id_column: str = DataOptions.id_column
    """Table column of the id."""
    text_column: str = DataOptions.text_column
    """Table column of the text."""
    image_column: str = DataOptions.image_column
    """Table column of the image file, relative to the table's folder."""
    label_column: str = DataOptions.label_column
    """Table column of the label, where there is one."""
    token_budget: int = 0
    """Tokens of a batch, padding counted; 0: 32768 on CUDA, else 1024."""
    gpu: int = 0
    """CUDA device; without CUDA the CPU is used; -1: the CPU."""
    num_workers: int = DataOptions.num_workers
    """Threads that read and shrink images, where a store is made."""
    cache_dir: str = DataOptions.cache_dir
    """Where token ids and the answers so far are kept."""

    def __post_init__(self) -> None:
        for name, low in {"token_budget": 0, "gpu": -1, "num_workers": 0}.items():
            if getattr(self, name) < low:
                raise ValueError(f"--{name} {getattr(self, name)} must be {low} or more")


def main(options: LabelOptions) -> None:
    """Tokenise, answer and write. Raises ValueError for a user's mistake."""
    import numpy as np
    import torch

    from datasets.ingest import open_posts
    from datasets.options import WorldOptions
    from datasets.posts import SENTIMENTS
    from nets.text_teacher import DEFAULT_TEACHER
    from training.assembly import cuda_or_cpu
    from training.distributed import start_processes, stop_processes
    from training.run_folder import RunFolder
    from training.tweet_labelling import (
        LexiconTeacher,
        NetTeacher,
        Teacher,
        answer_all,
        classes_of,
        default_budget,
        write_answers,
    )

    shared = ("dataset", "id_column", "text_column", "image_column", "label_column", "num_workers", "cache_dir")
    data = DataOptions(data_dir=str(options.posts), **{name: getattr(options, name) for name in shared})
    cache = Path(options.cache_dir)
    processes = start_processes(options.gpu >= 0 and torch.cuda.is_available())
    try:
        device = cuda_or_cpu(options.gpu, processes.local_rank, print if processes.first else lambda _: None)
        with nullcontext() if processes.first else redirect_stdout(None):
            if not processes.first:
                processes.barrier()  # the first makes store and token ids, the others find them
            store = open_posts(data, WorldOptions(), labels_needed=False)
            classes_of(store)  # before hours of work, not after
            teacher: Teacher
            if options.teacher == "lexicon":
                teacher = LexiconTeacher(store)
            else:
                budget = options.token_budget or default_budget(device)
                source = options.teacher or DEFAULT_TEACHER
                kept = RunFolder(source).teacher
                source = str(kept) if kept.is_dir() else source
                teacher = NetTeacher(store, source, cache / "tokens", device, budget)
            if processes.first:
                processes.barrier()
            begun = time.perf_counter()
            answers = answer_all(store, teacher, cache / "teachers", processes)
            if answers is None:
                return
            seconds = time.perf_counter() - begun
            there = write_answers(store, teacher, answers, Path(options.output) if options.output else None)
            counts = np.bincount(answers[there].argmax(axis=1), minlength=len(SENTIMENTS))
            said = ", ".join(f"{count:,} {name}" for name, count in zip(SENTIMENTS, counts, strict=True))
            print(
                f"{store.path}: {there.sum():,} texts answered by {teacher.name} in {seconds:.1f} s: {said}; "
                f"{int((store.has_text & ~there).sum()):,} listed in teacher_refused.csv"
            )
    finally:
        stop_processes()


if __name__ == "__main__":
    start(LabelOptions, main)
