"""An ingest that was killed goes on where it stopped, and leaves the same bytes as one that was not."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from datasets import ingest as ingesting
from datasets import store_writer
from datasets.folders import resumable_folder, unfinished
from datasets.ingest import ingest
from datasets.posts import Post
from tests.datasets.pictures import BAD, encoded, scene

pytestmark = pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
ROOT = Path(__file__).parents[2]
POSTS = 100

PROGRAM = """
import os, signal, sys
from datasets import ingest as ingesting
from datasets import store_writer
from tests.datasets.test_resumed_ingest import posts, small_files

where, moment = sys.argv[2], int(sys.argv[3])

def dying(*_):
    os.kill(os.getpid(), signal.SIGKILL)

def until(moment):
    for number, post in enumerate(posts()):
        if number == moment:
            dying()
        yield post

small_files(setattr)
if where == "grouping":
    ingesting.group_posts = dying
if where == "restoring":
    write = store_writer.StoreWriter._write
    store_writer.StoreWriter._write = lambda writer, batch: dying() if writer.rows >= moment else write(writer, batch)
ingesting.ingest([(until(moment if where == "reading" else -1), None)], sys.argv[1], source="posts")
"""


def posts():
    """Pictures, broken pictures, refused records, and a column and a teacher that appear late."""
    broken = [data for data, _ in BAD.values()]
    for number in range(POSTS):
        image = broken[number % len(broken)] if number % 7 == 3 else encoded(scene(seed=number))
        post = Post(
            str(number), f"text of the post with number {number}", image, label=("negative", "positive")[number % 2]
        )
        post = replace(post, extra={"late": number}) if number > 50 else post
        post = replace(post, teacher=(0.25, 0.75)) if number > 60 else post
        yield Post(f"line {number}", refused="malformed JSON") if number % 10 == 9 else post


def small_files(set_attribute) -> None:
    set_attribute(store_writer, "BATCH_ROWS", 7)
    set_attribute(store_writer, "FILE_BYTES", 20_000)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory) -> dict[str, bytes]:
    with pytest.MonkeyPatch.context() as patch:
        small_files(patch.setattr)
        store = ingest([(posts(), None)], tmp_path_factory.mktemp("unbroken") / "s", source="posts")
    found = contents(store.path)
    assert set(found) >= {"posts-00002.arrow", "quarantine.csv", "store.json", "columns/group.npy"}
    assert "progress.json" not in found
    return found


def killed(store: Path, where: str, moment: int) -> None:
    command = [sys.executable, "-c", PROGRAM, str(store), where, str(moment)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert not store.exists()


@pytest.mark.parametrize(
    "moments",
    [
        [("reading", 3), ("reading", 30), ("restoring", 14), ("reading", 65), ("reading", 99)],
        [("reading", 80), ("grouping", 0)],
    ],
    ids=str,
)
def test_killed_and_started_again_it_ends_as_the_same_bytes(moments, unbroken, tmp_path, monkeypatch, capsys):
    small_files(monkeypatch.setattr)
    for where, moment in moments:
        killed(tmp_path / "s", where, moment)
    prepared = []
    prepare = ingesting.prepare
    monkeypatch.setattr(ingesting, "prepare", lambda post: prepared.append(post.id) or prepare(post))
    store = ingest([(posts(), None)], tmp_path / "s", source="posts", num_workers=2)
    assert contents(store.path) == unbroken
    assert list(tmp_path.iterdir()) == [store.path]
    last_read = max(moment for where, moment in moments if where != "restoring")
    assert len(prepared) <= POSTS - last_read + 10  # a batch, with what was refused among it
    assert ("goes on after" in capsys.readouterr().out) == (last_read > 20)


def interrupted(path: Path, monkeypatch) -> None:
    """Half an ingest, stopped as by Ctrl-C."""
    small_files(monkeypatch.setattr)

    def stopping():
        for number, post in enumerate(posts()):
            if number == 50:
                raise KeyboardInterrupt
            yield post

    with pytest.raises(KeyboardInterrupt):
        ingest([(stopping(), None)], path, source="posts")


def test_other_posts_do_not_go_on_and_leave_what_is_there(tmp_path, monkeypatch):
    interrupted(tmp_path / "s", monkeypatch)
    before = contents(unfinished(tmp_path / "s"))
    for change in ({"text": "another"}, {"label": "another"}, {"split": "test"}, {"extra": {"stars": 5}}):
        changed = [replace(post, **change) if post.id == "2" else post for post in posts()]
        told = r"\.s\.unfinished holds the beginning .*posts have changed since.*--output"
        with pytest.raises(ValueError, match=told):
            ingest([(changed, None)], tmp_path / "s", source="posts")
    with pytest.raises(ValueError, match=r"not of .*'splits': \['train', 'test'\]"):
        ingest([(posts(), "train"), ([], "test")], tmp_path / "s", source="posts")
    with pytest.raises(ValueError, match="there are fewer posts than then"):
        ingest([(list(posts())[:10], None)], tmp_path / "s", source="posts")
    with pytest.raises(ValueError, match=r"it is of .*'posts'.*not of .*'others'"):
        ingest([(posts(), None)], tmp_path / "s", source="others")
    after = contents(unfinished(tmp_path / "s"))
    assert {name for name in before if before[name] != after[name]} <= {"quarantine.csv"}  # cut to the last whole batch


def test_damage_is_told_and_removed(tmp_path, monkeypatch):
    interrupted(tmp_path / "s", monkeypatch)
    file = next(unfinished(tmp_path / "s").glob("*.arrow"))
    file.write_bytes(file.read_bytes()[:500])
    with pytest.raises(ValueError, match="what an interrupted ingest left is damaged"):
        ingest([(posts(), None)], tmp_path / "s", source="posts")
    assert list(tmp_path.iterdir()) == []


def test_two_processes_do_not_write_one_folder(tmp_path):
    with (
        resumable_folder(tmp_path / "s"),
        pytest.raises(ValueError, match="is being written by another process"),
        resumable_folder(tmp_path / "s"),
    ):
        pass
