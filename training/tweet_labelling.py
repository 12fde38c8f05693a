"""A teacher answers for every text of a post store: quick, over several devices, and safe to kill at any moment.

Texts are sorted by length and cut into chunks, the same ones however many processes there are. A chunk's answers are a
file that is there whole or not at all, in a folder named by all that decides them; what is there is not computed again.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from datasets.duplicates import column_keys, equal_pairs
from datasets.folders import new_file, writing
from datasets.posts import SENTIMENTS
from datasets.store import PostStore, set_columns, write_file
from datasets.text import rule_of
from datasets.tokens import WIDTH_STEP, TokenCache
from nets.lexicon import BORDER, SHARPNESS, Lexicon
from nets.text_teacher import TextTeacher
from training.distributed import ALONE, Processes

CHUNK = 4096
"""Texts of a chunk; a kill loses the two that are under way."""
FORMAT = 1
LENGTH = 128
"""Tokens of a text at most."""
COLUMNS = ("TWID", "NEG", "NEU", "POS")
"""Header of T4SA 2.0's file of answers."""
REFUSED_FILE, ABOUT_FILE = "teacher_refused.csv", "teacher.json"


class Teacher(Protocol):
    """Answers for the texts of one store."""

    name: str
    fingerprint: str

    def order(self) -> np.ndarray:
        """(M,) int64: the rows that it answers for, in the order that suits it."""

    def answer(self, rows: np.ndarray) -> Tensor:
        """(len(rows), 3) float32 probabilities, perhaps still being computed on a device."""


class LexiconTeacher:
    """The lexicon over the texts of a store."""

    name = "lexicon"

    def __init__(self, store: PostStore) -> None:
        self.store = store
        self.lexicon = Lexicon()
        self.fingerprint = f"lexicon {BORDER} {SHARPNESS}"

    def order(self) -> np.ndarray:
        """All rows with a text."""
        return np.flatnonzero(self.store.has_text)

    def answer(self, rows: np.ndarray) -> Tensor:
        """See Teacher."""
        return torch.from_numpy(self.lexicon(self.store.texts(rows)))


class NetTeacher:
    """A classifier over the texts of a store: tokenised once, in batches of like length, bf16 on CUDA.

    Args:
        store: the posts.
        source: folder or hub name of the classifier.
        folder: where token ids are kept.
        device: where it runs.
        token_budget: tokens of a batch, padding counted.
    """

    def __init__(self, store: PostStore, source: str, folder: Path, device: torch.device, token_budget: int) -> None:
        from transformers import AutoTokenizer

        self.name, self.device, self.token_budget = source, device, token_budget
        net = TextTeacher(source)
        self.rule = rule_of(source)
        try:
            tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
        except (OSError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise ValueError(f"--teacher {source}: its tokenizer cannot be loaded ({reason})") from error
        self.tokens = TokenCache(store, tokenizer, min(LENGTH, net.longest), folder, rule=self.rule)
        self.special = tokenizer.num_special_tokens_to_add()
        self.amp = torch.bfloat16 if device.type == "cuda" else None
        self.fingerprint = f"{net.fingerprint} {self.tokens.fingerprint} {self.amp} {token_budget}"
        self.net = net.to(device)

    def order(self) -> np.ndarray:
        """Rows whose text has more than special tokens, the longest first: too large a budget shows at once."""
        lengths = self.tokens.lengths
        rows = np.flatnonzero(lengths > self.special)
        return rows[np.argsort(-lengths[rows], kind="stable")]

    @torch.inference_mode()
    def answer(self, rows: np.ndarray) -> Tensor:
        """See Teacher. `rows` as `order` sorts them."""
        answers = []
        lengths = self.tokens.count(rows)
        start = 0
        while start < len(rows):
            width = -(-int(lengths[start]) // WIDTH_STEP) * WIDTH_STEP
            stop = start + max(1, self.token_budget // width)
            ids, mask = (self._sent(value) for value in self.tokens.rows(rows[start:stop]))
            with torch.autocast(self.device.type, self.amp, enabled=self.amp is not None):
                answers.append(self.net(ids, mask))
            start = stop
        return torch.cat(answers)

    def _sent(self, value: Tensor) -> Tensor:
        value = value.pin_memory() if self.device.type == "cuda" else value
        return value.to(self.device, non_blocking=True)


def default_budget(device: torch.device) -> int:
    """Tokens of a batch that suit a device. On a CPU small batches stay in its caches: with MiniLM on one core, 4096
    tokens took 1.16 to 1.35 times as long as 1024."""
    return 32_768 if device.type == "cuda" else 1024


def answer_all(store: PostStore, teacher: Teacher, folder: Path, processes: Processes = ALONE) -> np.ndarray | None:
    """(N, 3) float32 answers for all rows, zeros where there is none; None in every process but the first.

    Chunks that are in `folder` already are read, the others computed, each process its share of them.
    """
    order = teacher.order()
    key = hashlib.sha256(repr((FORMAT, CHUNK, store.fingerprint, teacher.fingerprint)).encode()).hexdigest()[:16]
    path = folder / f"teacher-{key}"
    path.mkdir(parents=True, exist_ok=True)
    chunks = [order[start : start + CHUNK] for start in range(0, len(order), CHUNK)]
    files = [path / f"chunk-{number:06d}.npy" for number in range(len(chunks))]
    mine = range(processes.rank, len(chunks), processes.world)
    left = [number for number in mine if not files[number].is_file()]
    total, to_do = (sum(len(chunks[number]) for number in numbers) for numbers in (mine, left))
    with tqdm(total=total, initial=total - to_do, desc="teacher", unit="tweet", disable=_silent(processes)) as bar:
        for number, answers in _ahead(teacher, chunks, left):
            packed = io.BytesIO()
            np.save(packed, answers.cpu().numpy())
            write_file(files[number], packed.getvalue())
            bar.update(len(chunks[number]))
    processes.barrier()
    if not processes.first:
        return None
    found = np.zeros((len(store), len(SENTIMENTS)), np.float32)
    for rows, file in zip(chunks, files, strict=True):
        found[rows] = np.load(file, allow_pickle=False)
    return found


def _silent(processes: Processes) -> bool | None:
    """Whether this process has no progress bar; None: where nobody looks on."""
    return None if processes.first else True


def _ahead(teacher: Teacher, chunks: list[np.ndarray], numbers: list[int]) -> Iterator[tuple[int, Tensor]]:
    """The answers of the chunks; each is handed out when the next one is already under way on the device."""
    waiting: tuple[int, Tensor] | None = None
    for number in numbers:
        coming = number, teacher.answer(chunks[number])
        if waiting is not None:
            yield waiting
        waiting = coming
    if waiting is not None:
        yield waiting


def classes_of(store: PostStore) -> tuple[str, ...]:
    """The classes of the store, all three where nobody labelled its posts. Raises ValueError for other ones."""
    classes = store.classes or SENTIMENTS
    foreign = [name for name in classes if name not in SENTIMENTS]
    if foreign:
        raise ValueError(
            f"{store.path} has the class {foreign[0]}, of which a sentiment teacher knows nothing: "
            f"its classes should be among {', '.join(SENTIMENTS)}"
        )
    return classes


def write_answers(store: PostStore, teacher: Teacher, answers: np.ndarray, output: Path | None) -> np.ndarray:
    """Put (N, 3) `answers` into the store as its teacher's column, and into the CSV file `output` where one is asked.

    Texts without a readable answer are listed in the store's teacher_refused.csv and have zeros. A store with only some
    of the sentiments as classes gets these, made to add up to 1. Returns (N,) bool: which posts have an answer. Raises
    ValueError as `classes_of` does.
    """
    finite = np.isfinite(answers).all(axis=1)
    answers = np.where(finite[:, None], answers, np.float32(0))
    there = answers.sum(axis=1) > 0
    _list_refused(store, finite, np.flatnonzero(store.has_text & ~there))
    column = answers[:, [SENTIMENTS.index(name) for name in classes_of(store)]]
    total = column.sum(axis=1, keepdims=True)
    set_columns(store.path, teacher=np.divide(column, total, out=np.zeros_like(column), where=total > 0))
    about = {"teacher": teacher.name, "fingerprint": teacher.fingerprint, "answers": int(there.sum())}
    write_file(store.path / ABOUT_FILE, json.dumps(about, indent=1).encode())
    if output is not None:
        _write_csv(store, answers, np.flatnonzero(there), output)
    return there


def _list_refused(store: PostStore, finite: np.ndarray, rows: np.ndarray) -> None:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["id", "reason"])
    for row, name in zip(rows, store.ids(rows), strict=True):
        table.writerow([name, "no word that the teacher reads" if finite[row] else "the answer is not finite"])
    write_file(store.path / REFUSED_FILE, text.getvalue().encode())


def _write_csv(store: PostStore, answers: np.ndarray, rows: np.ndarray, output: Path) -> None:
    """The answers for `rows` with six decimals, as T4SA 2.0 has them; the file is there whole or not at all.

    Of a crawl, where each photo is a post, a tweet has one row, by its own id: its photos have one text.
    """
    of_crawl = "tweet" in store.columns
    rows = _one_a_tweet(store, rows) if of_crawl else rows
    with (
        writing(f"--output {output}"),
        new_file(output) as partial,
        partial.open("w", newline="", encoding="utf-8") as file,
    ):
        table = csv.writer(file, lineterminator="\n")
        table.writerow(COLUMNS)
        for start in range(0, len(rows), CHUNK):
            some = rows[start : start + CHUNK]
            tweets = store.strings("tweet", some) if of_crawl else [""] * len(some)
            table.writerows(
                [tweet or name, *(f"{value:.6f}" for value in answer)]
                for tweet, name, answer in zip(tweets, store.ids(some), answers[some].tolist(), strict=True)
            )


def _one_a_tweet(store: PostStore, rows: np.ndarray) -> np.ndarray:
    """Those of `rows` (M,) that are the first of their tweet, or of none; ascending."""
    wanted = np.zeros(len(store), bool)
    wanted[rows] = True
    keys, of_tweet = column_keys(store, "tweet")
    here = wanted[of_tweet]
    later, first = equal_pairs(keys[here], of_tweet[here])
    wanted[later[later != first]] = False
    return np.flatnonzero(wanted)
