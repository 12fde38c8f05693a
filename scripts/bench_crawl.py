"""Bench of the way from a crawl to data sets: on a synthetic crawl, program by program, each killed once."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from datasets.folders import unfinished
from datasets.store import PostStore
from scripts.bench_process import Cost, digests, kill_at, run_apart, size_of
from scripts.bench_timing import Row
from scripts.bench_world import Bench

MEBIBYTE, GIGABYTE = 1 << 20, 1e9
POSTS_OF_A_TWEET = 1.13
"""Posts that ingest makes of a tweet of the synthetic crawl: four fifths are kept, with 1.4 photos on average."""
PICTURES_OF_A_TWEET = 0.8
"""Different pictures for each tweet: most are shown once, as in T4SA 2.0, some a hundred times."""
LATEST = 0.75
"""Share of a program's work after which it is not killed any more: what it takes varies, and it must not be done."""
CACHE = "cache"


@dataclass
class Stage:
    """A program on the way, and how it can be seen to have begun to write."""

    name: str
    arguments: list[str]
    has_begun: Callable[[], bool]
    begins_at: float = 0.0
    """Seconds of the processor after which an unbroken run had begun to write."""
    cost: Cost | None = None
    left: dict[str, str] = field(default_factory=dict)
    """sha256 of every file when an unbroken run was done."""


def stages(crawl: Path, place: Path) -> list[Stage]:
    """The programs that make data sets of a crawl, with what they leave in `place`."""
    store, chunks, variants = place / "store", place / CACHE / "teachers", place / "variants"
    labelled = ["--gpu", "-1", "--output", str(place / "answers.csv"), "--cache_dir", str(place / CACHE)]
    # The lexicon is 0.35 sure of neutral at most.
    lower = [
        "--flat_threshold",
        "0.3",
        "--thresholds",
        "0.3",
        "0.3",
        "0.3",
    ]
    return [
        Stage(
            "ingest.py",
            ["scripts/ingest.py", str(crawl), "--output", str(store)],
            lambda: any(unfinished(store).glob("*.arrow")),
        ),
        Stage(
            "label_tweets.py --teacher lexicon",
            ["scripts/label_tweets.py", str(store), "--teacher", "lexicon", *labelled],
            lambda: any(chunks.glob("*/*.npy")),
        ),
        Stage(
            "find_duplicates.py",
            ["scripts/find_duplicates.py", str(store), "--output", str(place / "duplicates.csv")],
            lambda: (store / "columns" / "image_group.npy").exists(),
        ),
        Stage(
            "build_t4sa.py",
            ["scripts/build_t4sa.py", "--t4sa2", str(store), "--output", str(variants), *lower],
            variants.exists,
        ),
    ]


def crawl_to_datasets(bench: Bench) -> Iterator[Row]:
    """From a crawl to data sets, program by program; each killed once and called again must leave the same bytes."""
    posts = 300 if bench.tiny else bench.crawl_posts
    kill_posts = min(posts, bench.crawl_kill_posts or posts)
    crawl, place = bench.folder / "crawl", bench.folder / "unbroken"
    yield from _make(crawl, posts, place)
    done = stages(crawl, place)
    yield from _run(done, place, compared=kill_posts == posts)
    store = PostStore(place / "store")
    yield from _sizes(crawl, place, len(store))
    yield from _found(crawl, store)
    if kill_posts != posts:
        for folder in (crawl, place):
            shutil.rmtree(folder)
        yield from _make(crawl, kill_posts, place)
        done = stages(crawl, place)
        for _ in _run(done, place, compared=True):
            pass  # that these took so long is told by the larger crawl
    yield from _kill(done, stages(crawl, bench.folder / "killed"), bench.folder / "killed")


def _make(crawl: Path, posts: int, place: Path) -> Iterator[Row]:
    tweets = max(1, round(posts / POSTS_OF_A_TWEET))
    pictures = max(1, round(PICTURES_OF_A_TWEET * tweets))
    options = {"--output": crawl, "--tweets": tweets, "--pictures": pictures}
    words = [str(word) for pair in options.items() for word in pair]
    cost = run_apart(["scripts/make_crawl.py", *words, "--quick_pictures"])
    place.mkdir()
    yield Row(f"make_crawl.py, {tweets:,} tweets", "s", (cost.seconds,))
    yield Row(f"make_crawl.py, {tweets:,} tweets: of the processor", "s", (cost.cpu_seconds,))


def _run(done: list[Stage], place: Path, compared: bool) -> Iterator[Row]:
    """Run every stage to its end and note what it took; where it will be `compared`, what it left too."""
    for stage in done:
        begun: list[float] = []

        def watch(spent: float, stage: Stage = stage, begun: list[float] = begun) -> bool:
            if not begun and stage.has_begun():
                begun.append(spent)
            return False

        stage.cost = run_apart(stage.arguments, watch)
        stage.begins_at = begun[0] if begun else stage.cost.cpu_seconds
        if compared:
            stage.left = digests(place, (CACHE,))
        yield Row(stage.name, "s", (stage.cost.seconds,))
        yield Row(f"{stage.name}: of the processor", "s", (stage.cost.cpu_seconds,))
        if stage.cost.peak_bytes:
            yield Row(f"{stage.name}: peak of memory", "MiB", (stage.cost.peak_bytes / MEBIBYTE,))
            yield Row(f"{stage.name}: peak without mapped files", "MiB", (stage.cost.own_peak_bytes / MEBIBYTE,))


def _sizes(crawl: Path, place: Path, posts: int) -> Iterator[Row]:
    yield Row("posts in the store", "posts", (posts,))
    yield Row("crawl on disk", "GB", (size_of(crawl) / GIGABYTE,))
    yield Row("store on disk", "GB", (size_of(place / "store") / GIGABYTE,))
    yield Row("store on disk, each post", "B", (size_of(place / "store") / posts,))


def _found(crawl: Path, store: PostStore) -> Iterator[Row]:
    precision, recall = precision_and_recall(planted(crawl, store), store.column("image_group")[store.has_image])
    yield Row("near-duplicates: pairs found that are planted", "%", (100 * precision,))
    yield Row("near-duplicates: planted pairs that are found", "%", (100 * recall,))


def planted(crawl: Path, store: PostStore) -> np.ndarray:
    """(M,) int64: the number of the picture that each image of the store shows, by the crawl's truth.csv."""
    truth = pyarrow.csv.read_csv(crawl / "truth.csv")
    paths = pa.chunked_array(store.chunks("path")).filter(pa.array(store.has_image))
    found = pc.index_in(paths, value_set=truth.column("path"))
    return truth.column("picture").take(found).to_numpy()


def precision_and_recall(true: np.ndarray, found: np.ndarray) -> tuple[float, float]:
    """Of the pairs that the groups `found` (M,) join, the share that the groups `true` (M,) join, and the reverse."""
    both = np.unique(np.stack([true, found]), axis=1, return_inverse=True)[1]
    shared = _pairs(both)
    return shared / max(1, _pairs(found)), shared / max(1, _pairs(true))


def _pairs(groups: np.ndarray) -> int:
    counts = np.unique(groups, return_counts=True)[1].astype(np.int64)
    return int((counts * (counts - 1) // 2).sum())


def _kill(unbroken: list[Stage], killed: list[Stage], place: Path) -> Iterator[Row]:
    """Kill each stage once at a moment drawn anew each time, call it again, and compare all files with an unbroken run.

    Raises RuntimeError where one differs.
    """
    place.mkdir()
    draw = random.Random()  # another moment in every run of the bench is wanted
    for before, stage in zip(unbroken, killed, strict=True):
        assert before.cost is not None
        # A program that writes at its end only is killed in the second half of its work.
        first = min(before.begins_at, before.cost.cpu_seconds / 2)
        moment = first + draw.random() * max(0.0, LATEST * before.cost.cpu_seconds - first)
        writes_early = before.begins_at < LATEST * before.cost.cpu_seconds
        kill_at(stage.arguments, moment, stage.has_begun if writes_early else lambda: True)
        run_apart(stage.arguments)
        left = digests(place, (CACHE,))
        different = sorted(name for name in left.keys() | before.left.keys() if left.get(name) != before.left.get(name))
        if different:
            raise RuntimeError(f"killed and called again, {stage.name} leaves another {', '.join(different)}")
        yield Row(f"{stage.name}: killed at, of the processor", "s", (moment,))
        yield Row(f"{stage.name}: files equal to those of an unbroken run", "files", (len(left),))
