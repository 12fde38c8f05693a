from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from datasets.store import PostStore
from tests.datasets.pictures import encoded, scene

ROOT = Path(__file__).parents[2]


def run(*words: object, limit: int | None = None) -> subprocess.CompletedProcess:
    """The script as a person calls it; `limit`: bytes that a file may grow to, which stands for a full disk."""

    def restrict() -> None:
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    command = [sys.executable, "scripts/ingest.py", *map(str, words)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, preexec_fn=restrict)


@pytest.fixture
def posts(tmp_path) -> Path:
    folder = tmp_path / "posts"
    folder.mkdir()
    lines = ["number,tweet,mood,picture"]
    for row in range(20):
        lines.append(f"{row},tweet number {row},{('negative', 'positive')[row % 2]},{row}.jpg")
        (folder / f"{row}.jpg").write_bytes(encoded(scene(400, 300, seed=row)))
    (folder / "3.jpg").write_bytes(b"<html>not found</html>")
    (folder / "table.csv").write_text("\n".join(lines) + "\n")
    return folder / "table.csv"


COLUMNS = ("--id_column", "number", "--text_column", "tweet", "--label_column", "mood", "--image_column", "picture")


def test_a_table_becomes_a_store(posts, tmp_path):
    done = run(posts, "--output", tmp_path / "store", *COLUMNS)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1
    assert "1 image (html)" in done.stdout
    store = PostStore(tmp_path / "store")
    assert len(store) == 20
    assert store.has_image.sum() == 19
    assert store.ids([7]) == ["7"]
    again = run(posts, "--output", tmp_path / "store", *COLUMNS)
    assert again.returncode == 2
    assert again.stderr.startswith("ingest.py: ")
    assert "is there already" in again.stderr
    assert again.stderr.count("\n") == 1


def test_a_full_disk_is_one_sentence_and_leaves_nothing(posts, tmp_path):
    done = run(posts, "--output", tmp_path / "out" / "store", *COLUMNS, limit=50_000)
    assert done.returncode == 2
    assert done.stderr.startswith("ingest.py: "), done.stderr
    assert done.stderr.count("\n") == 1
    assert str(tmp_path / "out" / "store") in done.stderr
    assert list((tmp_path / "out").iterdir()) == []


def test_a_missing_folder_is_one_sentence(tmp_path):
    done = run(tmp_path / "nowhere", "--output", tmp_path / "store")
    assert done.returncode == 2
    assert done.stderr.startswith("ingest.py: ")
    assert "nowhere" in done.stderr
    assert done.stderr.count("\n") == 1
