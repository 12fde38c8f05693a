"""The bench of the way from a crawl to data sets: what it measures of a program, and what it calls a pair found."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch

from datasets.image_vectors import Looks
from datasets.near_duplicates import image_groups
from datasets.neighbours import SearchOptions
from datasets.store import PostStore
from datasets.synthetic_crawl import SyntheticCrawlOptions
from scripts import bench_crawl
from scripts.bench_crawl import Stage, planted, precision_and_recall, stages
from scripts.bench_process import Cost, Killed, digests, kill_at, run_apart, size_of
from scripts.bench_world import Bench
from scripts.ingest import IngestOptions
from scripts.ingest import main as ingest
from scripts.make_crawl import MakeCrawlOptions
from scripts.make_crawl import main as make_crawl


def program(folder: Path, text: str) -> list[str]:
    file = folder / "program.py"
    file.write_text(text)
    return [str(file)]


def test_a_program_is_measured(tmp_path):
    work = "import time\nlarge = b'x' * (200 << 20)\nwhile time.process_time() < 0.5: pass\n"
    cost = run_apart(program(tmp_path, work))
    assert 0.5 <= cost.cpu_seconds < 5
    assert cost.seconds >= 0.4
    if Path("/proc").is_dir():
        # Linux counts the pages of a process in batches, so that a figure may lag by some of them
        assert 190 << 20 <= cost.own_peak_bytes <= cost.peak_bytes < 400 << 20


def test_a_program_that_fails_says_why(tmp_path):
    with pytest.raises(RuntimeError, match=r"program.py ended with 1: ValueError: no such crawl"):
        run_apart(program(tmp_path, "print('begins')\nraise ValueError('no such crawl')\n"))


def test_a_program_is_killed_once_it_has_begun_to_write(tmp_path):
    begun, done = tmp_path / "begun", tmp_path / "done"
    work = f"import time\nopen({str(begun)!r}, 'w')\ntime.sleep(20)\nopen({str(done)!r}, 'w')\n"
    kill_at(program(tmp_path, work), 0.0, begun.exists)
    assert begun.exists()
    assert not done.exists()
    with pytest.raises(RuntimeError, match="was done before it could be killed"):
        kill_at(program(tmp_path, "pass"), 0.0, lambda: False)
    with pytest.raises(Killed):
        run_apart(program(tmp_path, "import time\ntime.sleep(20)\n"), lambda spent: True)


def test_digests_and_size_of_a_folder(tmp_path):
    for name, content in {"a/b": b"1", "a/c": b"23", "cache/d": b"456"}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    before = digests(tmp_path, ("cache",))
    assert list(before) == ["a/b", "a/c"]
    (tmp_path / "a/c").write_bytes(b"32")
    assert [name for name, value in digests(tmp_path, ("cache",)).items() if value != before[name]] == ["a/c"]
    assert size_of(tmp_path) == 6


def test_pairs_found_and_planted_by_hand():
    true = np.array([1, 1, 1, 2, 2, 3])  # four pairs
    found = np.array([0, 0, 2, 3, 3, 3])  # four pairs, two of them true
    assert precision_and_recall(true, found) == (0.5, 0.5)
    assert precision_and_recall(true, true) == (1, 1)
    assert precision_and_recall(true, np.arange(6)) == (0, 0)


@pytest.mark.parametrize("goes_on", [True, False])
def test_what_a_killed_program_leaves_must_be_that_of_an_unbroken_one(tmp_path, goes_on):
    """A program that adds to its file when it is called again is found out."""
    unbroken, killed = tmp_path / "unbroken", tmp_path / "killed"
    mode = "w" if goes_on else "a"
    work = (
        "import pathlib, sys, time\nfile = pathlib.Path(sys.argv[1])\n"
        f"with file.open({mode!r}) as opened:\n    opened.write('x')\n"
        "while time.process_time() < 0.6: pass\n"
    )
    command = program(tmp_path, work)
    whole, broken = (Stage("it", [*command, str(place / "f")], (place / "f").exists) for place in (unbroken, killed))
    unbroken.mkdir()
    rows = list(bench_crawl._run([whole], unbroken, compared=True))
    assert rows[0].what == "it" and 0 < whole.begins_at < 0.6
    kill = bench_crawl._kill([whole], [broken], killed)
    if goes_on:
        assert [row.values[0] for row in kill][-1] == 1
    else:
        with pytest.raises(RuntimeError, match="killed and called again, it leaves another f"):
            list(kill)


@pytest.mark.parametrize("kill_posts", [0, 200])
def test_every_program_is_run_killed_and_run_again(tmp_path, monkeypatch, kill_posts):
    """All but the programs themselves, which have tests of their own."""
    ran: list[str] = []

    def pretended(arguments, until=lambda spent: False) -> Cost:
        ran.append(Path(arguments[0]).name)
        if ran[-1] == "make_crawl.py":
            (tmp_path / "crawl").mkdir()
            (tmp_path / "crawl" / "tweets.jsonl").write_text("{}")
        return Cost(1.0, 1.0, 3 << 20, 2 << 20)

    monkeypatch.setattr(bench_crawl, "run_apart", pretended)
    monkeypatch.setattr(bench_crawl, "kill_at", lambda arguments, moment, has_begun: ran.append("kill"))
    monkeypatch.setattr(bench_crawl, "PostStore", lambda path: range(5))
    monkeypatch.setattr(bench_crawl, "_found", lambda crawl, store: iter(()))
    bench = Bench(torch.device("cpu"), 1, tmp_path, crawl_posts=400, crawl_kill_posts=kill_posts)
    (tmp_path / "unbroken").mkdir(exist_ok=True)
    (tmp_path / "unbroken").rmdir()
    rows = {row.what: row for row in bench_crawl.crawl_to_datasets(bench)}
    names = [Path(stage.arguments[0]).name for stage in stages(tmp_path, tmp_path)]
    again = [name for name in names for name in ("kill", name)]
    once = ["make_crawl.py", *names]
    assert ran == once * (2 if kill_posts else 1) + again
    assert rows["find_duplicates.py: peak of memory"].values == (3,)
    assert rows["store on disk, each post"].values == (0,)


def test_the_truth_is_that_of_the_images_that_are_stored_and_quick_pictures_are_found(tmp_path):

    crawl = tmp_path / "crawl"
    make_crawl(MakeCrawlOptions(crawl, SyntheticCrawlOptions(60, pictures=20, broken=0.1, quick_pictures=True)))
    ingest(IngestOptions(str(crawl), str(tmp_path / "store")))
    store = PostStore(tmp_path / "store")
    with (crawl / "truth.csv").open() as file:
        picture = {row["path"]: int(row["picture"]) for row in csv.DictReader(file)}
    paths = store.strings("path", np.flatnonzero(store.has_image))
    assert planted(crawl, store).tolist() == [picture[path] for path in paths]
    assert len(paths) < len(picture)
    found = image_groups(store, Looks(store), SearchOptions())[store.has_image]
    precision, recall = precision_and_recall(planted(crawl, store), found)
    assert precision == 1
    assert recall > 0.9
