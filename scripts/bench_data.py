"""Bench of what surrounds the step: loader, cached features, post store, checkpoints."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from PIL import Image

from datasets.images import decode
from datasets.store import PostStore, StoreWriter
from scripts.bench_timing import Row, interleave, per_second, ratios, synchronise, take_turns
from scripts.bench_world import FROZEN, Bench, make_trainer, posts_per_step
from training.assembly import Assembly
from training.checkpoint import load_checkpoint
from training.step_log import timed
from training.trainer import Trainer

MEGABYTE = 1e6
WRITE_ROWS = 50_000
"""Rows of the million that are written at a time."""
TEXT_BATCH, LABEL_BATCH, IMAGE_BATCH = 1024, 65_536, 64
"""Random rows read at a time."""


def loading(bench: Bench) -> Iterator[Row]:
    """The loader by itself, the loader with the step of the run, and the step by itself; workers are up already."""
    flags = ("--image_size", "224", "--world_size", "256") if bench.cuda and not bench.tiny else ()
    assembly = bench.assembly(*flags)
    trainer = make_trainer(assembly, bench.folder / "loading")
    count, posts = bench.sized(2, 6, 40), posts_per_step(assembly)
    kept = list(assembly.make_loader(0, 2))
    waits: list[float] = []

    def run(steps: int, learn: bool) -> float:
        """Seconds per step, from the second one on; the share of them spent waiting for data goes to `waits`."""
        batches, waited = iter(assembly.make_loader(0, steps + 1)), list[float]()
        first = next(batches)
        if learn:
            trainer.step(*first)
        synchronise(bench.device)
        begun = time.perf_counter()
        for batch in timed(batches, waited.append):
            if learn:
                trainer.step(*batch)
        synchronise(bench.device)
        seconds = time.perf_counter() - begun
        if learn:
            waits.append(100 * sum(waited) / seconds)
        return seconds / steps

    def step_alone() -> float:
        synchronise(bench.device)
        begun = time.perf_counter()
        for number in range(count):
            trainer.step(*kept[number % len(kept)])
        synchronise(bench.device)
        return (time.perf_counter() - begun) / count

    variants = {"alone": lambda: run(3 * count, False), "together": lambda: run(count, True), "step": step_alone}
    seconds = take_turns(variants, bench.repeats)
    workers = assembly.options.data.num_workers
    yield Row(f"loader alone, {workers} worker processes", "posts/s", per_second(seconds["alone"], posts))
    yield Row("step alone", "posts/s", per_second(seconds["step"], posts))
    yield Row("loader and step", "posts/s", per_second(seconds["together"], posts))
    yield Row("step alone over loader and step, in time", "×", ratios(seconds["step"], seconds["together"]))
    yield Row("loader and step: share of the time waiting for data", "%", tuple(waits[1:]))


def cached_features(bench: Bench) -> Iterator[Row]:
    """Loader and step with cached features of frozen encoders, against encoders that are trained with the rest."""
    live, frozen = bench.assembly(), bench.assembly(*FROZEN)
    counts = {"live": bench.sized(2, 4, 20), "frozen": bench.sized(4, 40, 200)}

    def runner(name: str, assembly: Assembly) -> Callable[[], int]:
        """Loader and steps of one of the two, from the start each time."""
        trainer = make_trainer(assembly, bench.folder / f"features-{name}")

        def run() -> int:
            for batch in assembly.make_loader(0, counts[name]):
                trainer.step(*batch)
            return counts[name]

        return run

    variants = {"live": runner("live", live), "frozen": runner("frozen", frozen)}
    seconds = interleave(variants, bench.repeats, bench.device)
    yield Row("cached features over live encoders", "×", ratios(seconds["live"], seconds["frozen"]))
    for name, words in (("frozen", "cached features"), ("live", "live encoders")):
        yield Row(f"{words}, {posts_per_step(live)} posts a step", "steps/s", per_second(seconds[name]))


def store_access(bench: Bench) -> Iterator[Row]:
    """The post store: opening, and rows at random; what the operating system keeps of the files in memory is warm."""
    rows = min(bench.store_rows, 10_000) if bench.tiny else bench.store_rows
    begun = time.perf_counter()
    _write_texts(bench.folder / "texts", rows)
    yield Row(f"write {rows:,} texts", "rows/s", (rows / (time.perf_counter() - begun),))
    pictures = bench.sized(40, 2000, 5000)
    _write_pictures(bench.folder / "pictures", pictures)
    opened = interleave({"open": lambda: _open(bench.folder / "texts")}, bench.repeats, bench.device)["open"]
    yield Row(f"open the store of {rows:,}", "ms", tuple(1e3 * value for value in opened))
    texts, images = PostStore(bench.folder / "texts"), PostStore(bench.folder / "pictures")
    draw = np.random.default_rng(0)

    def read_texts() -> int:
        for _ in range(5):
            texts.texts(draw.integers(rows, size=TEXT_BATCH))
        return 5 * TEXT_BATCH

    def read_labels() -> int:
        return int(texts.label[draw.integers(rows, size=LABEL_BATCH)].size)

    def read_images() -> int:
        for row in draw.integers(pictures, size=IMAGE_BATCH):
            images.image(int(row))
        return IMAGE_BATCH

    def decode_images() -> int:
        for row in draw.integers(pictures, size=IMAGE_BATCH):
            decode(images.image(int(row)) or b"", 224, 0.5)
        return IMAGE_BATCH

    variants = {
        f"texts, {TEXT_BATCH:,} random rows at a time": read_texts,
        f"labels, {LABEL_BATCH:,} random rows at a time": read_labels,
        f"images as JPEG bytes, one random row at a time of {pictures:,}": read_images,
        "the same, decoded to 224 px": decode_images,
    }
    for name, seconds in interleave(variants, bench.repeats, bench.device).items():
        yield Row(name, "rows/s", per_second(seconds))


def _open(path: Path) -> int:
    return int(len(PostStore(path)) > 0)


def _write_texts(path: Path, rows: int) -> None:
    """A store of `rows` posts of ten random words each, made column by column."""
    draw = np.random.default_rng(0)
    words = pa.array(["".join(draw.choice(list("abcdefghijklmnop"), draw.integers(2, 9))) for _ in range(2000)])
    names = pa.array(["negative", "neutral", "positive"])
    with StoreWriter(path, tuple(names.to_pylist()), source="bench") as writer:
        for start in range(0, rows, WRITE_ROWS):
            size = min(WRITE_ROWS, rows - start)
            columns = [words.take(pa.array(draw.integers(len(words), size=size))) for _ in range(10)]
            batch = {
                "id": pc.cast(pa.array(np.arange(start, start + size)), pa.string()),
                "text": pc.binary_join_element_wise(*columns, " "),
                "label": names.take(pa.array(draw.integers(3, size=size))),
            }
            writer.add_batch(pa.RecordBatch.from_pydict(batch))


def _write_pictures(path: Path, rows: int) -> None:
    """A store of `rows` JPEGs of 341 x 256 pixels, 16 different ones in turn: smooth colours with some noise."""
    draw = np.random.default_rng(0)
    made = []
    for _ in range(16):
        coarse = Image.fromarray(draw.integers(256, size=(12, 16, 3), dtype=np.uint8)).resize((341, 256))
        noisy = np.asarray(coarse, dtype=np.int16) + draw.integers(-12, 13, size=(256, 341, 3), dtype=np.int16)
        packed = io.BytesIO()
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(packed, "JPEG", quality=90)
        made.append(packed.getvalue())
    with StoreWriter(path, ("negative", "positive"), source="bench") as writer:
        for row in range(rows):
            writer.add(str(row), image=made[row % len(made)], label=("negative", "positive")[row % 2])


def checkpoint(bench: Bench) -> Iterator[Row]:
    """Writing and reading back a checkpoint of the default run, synced to the disk, checksums and all."""
    yield from _checkpoint(bench, "default nets", ())
    if bench.cuda and not bench.tiny:
        yield from _checkpoint(bench, "ViT-B/16 and BERT-base", bench.large_flags())


def _checkpoint(bench: Bench, nets: str, flags: tuple[str, ...]) -> Iterator[Row]:
    assembly = bench.assembly(*flags)
    trainer = make_trainer(assembly, bench.folder / f"checkpoint-{len(flags)}")
    trainer.step(*next(iter(assembly.make_loader(0, 1))))

    def save() -> int:
        trainer.progress.step += 1
        trainer._save()  # what the loop calls: state gathered from the device, written, synced, older ones removed
        return 1

    def load() -> int:
        found = load_checkpoint(trainer.folder.path, trainer.meta)
        assert found is not None
        trainer.resume(found)
        return 1

    seconds = interleave({"save": save, "load": load}, bench.repeats, bench.device)
    yield Row(f"{nets}: size ({_weights(trainer):,} weights, their average, two moments)", "MB", (_size(trainer),))
    yield Row(f"{nets}: save", "s", seconds["save"])
    yield Row(f"{nets}: load and put in place", "s", seconds["load"])


def _weights(trainer: Trainer) -> int:
    return sum(parameter.numel() for parameter in trainer.algorithm.net.parameters())


def _size(trainer: Trainer) -> float:
    newest = max(trainer.folder.checkpoints.iterdir())
    return sum(file.stat().st_size for file in newest.iterdir()) / MEGABYTE
