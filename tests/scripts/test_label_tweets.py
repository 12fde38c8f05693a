"""The script labels a store or a table; killed at any moment and called again it ends with equal answers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from datasets.options import DataOptions
from datasets.store import PostStore, StoreWriter
from scripts.label_tweets import LabelOptions, main
from tests.nets.classifiers import WORDS, write_classifier
from tests.runs import ROOT

DRIVER = """
import os, signal, sys
from pathlib import Path
import training.tweet_labelling as labelling
from scripts.label_tweets import LabelOptions, main
labelling.CHUNK = 8
inner, inner_columns = labelling.write_file, labelling.set_columns
calls = 0

def killed_in_a_chunk(path, content):
    global calls
    calls += 1
    if calls == 3:
        path.with_name(path.name + ".partial").write_bytes(content[: len(content) // 2])
        os.kill(os.getpid(), signal.SIGKILL)
    inner(path, content)

def killed_before_the_column(path, **columns):
    os.kill(os.getpid(), signal.SIGKILL)

for name, value in (("write_file", killed_in_a_chunk), ("set_columns", killed_before_the_column), (None, None)):
    child = os.fork()
    if not child:
        if name:
            setattr(labelling, name, value)
        store, teacher, output, cache = sys.argv[1:]
        main(LabelOptions(Path(store), teacher, output, gpu=-1, cache_dir=cache, token_budget=64))
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    print("ended", code, len(list(Path(sys.argv[4]).glob("teachers/*/*.npy"))), Path(sys.argv[3]).exists(), flush=True)
"""


def write_store(path: Path, posts: int = 60) -> Path:
    draw = np.random.default_rng(0)
    with StoreWriter(path) as writer:
        for number in range(posts):
            writer.add(f"t{number}", text=" ".join(draw.choice(WORDS, draw.integers(1, 13))))
    return path


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_classifier(tmp_path_factory.mktemp("teacher"))


def test_killed_and_called_again_it_ends_with_equal_answers(teacher: Path, tmp_path: Path) -> None:
    store = write_store(tmp_path / "store")
    arguments = [str(path) for path in (store, teacher, tmp_path / "answers.csv", tmp_path / "cache")]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    command = [sys.executable, "-c", DRIVER, *arguments]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600)
    ends = [line for line in done.stdout.splitlines() if line.startswith("ended")]
    killed = -signal.SIGKILL
    assert ends == [f"ended {killed} 2 False", f"ended {killed} 8 False", "ended 0 8 True"], done.stdout + done.stderr
    whole = write_store(tmp_path / "whole")
    words = {"gpu": -1, "cache_dir": str(tmp_path / "other cache"), "token_budget": 64}
    main(LabelOptions(whole, str(teacher), str(tmp_path / "whole.csv"), **words))  # type: ignore[arg-type]
    first, second = PostStore(store).teacher, PostStore(whole).teacher
    assert first is not None and second is not None
    np.testing.assert_allclose(first, second, atol=1e-6)  # other chunks, so other batches
    again = write_store(tmp_path / "again")
    run = tmp_path / "run"  # of scripts/train_teacher.py
    run.mkdir()
    (run / "teacher").symlink_to(teacher)
    done = subprocess.run(
        [*command[:3], str(again), str(run), str(tmp_path / "again.csv"), str(tmp_path / "third cache")],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    third = PostStore(again).teacher
    assert third is not None and np.array_equal(first, third)
    assert (tmp_path / "again.csv").read_bytes() == (tmp_path / "answers.csv").read_bytes()


def test_a_table_becomes_a_store_with_answers(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    table = tmp_path / "posts.csv"
    table.write_text("number,tweet\n1,I love this wonderful day\n2,awful and sad\n3,a table\n")
    words = {"id_column": "number", "text_column": "tweet", "gpu": -1, "num_workers": 0}
    options = LabelOptions(table, "lexicon", str(tmp_path / "a.csv"), cache_dir=str(tmp_path), **words)  # type: ignore[arg-type]
    main(options)
    said = capsys.readouterr().out
    (path,) = (tmp_path / "stores").glob("*/store.json")
    assert f"{path.parent}: 3 texts answered by lexicon" in said
    assert "1 negative, 1 neutral, 1 positive" in said
    store = PostStore(path.parent, labels_from="teacher")
    assert store.label.tolist() == [2, 0, 1]
    assert [line.split(",")[0] for line in (tmp_path / "a.csv").read_text().splitlines()] == ["TWID", "1", "2", "3"]


def test_mistakes_are_one_sentence(tmp_path: Path) -> None:
    store = write_store(tmp_path / "store", 3)
    words = [store, "--teacher", tmp_path / "nowhere", "--gpu", -1, "--cache_dir", tmp_path]
    command = [sys.executable, "scripts/label_tweets.py", *map(str, words)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "no classifier could be loaded" in done.stderr
    angry = tmp_path / "angry"
    with StoreWriter(angry, ("angry", "sad")) as writer:
        writer.add("a", text="so what")
    with pytest.raises(ValueError, match="has the class angry"):
        main(LabelOptions(angry, "lexicon", gpu=-1, cache_dir=str(tmp_path)))
    with pytest.raises(ValueError, match="--token_budget -1"):
        LabelOptions(store, token_budget=-1)
    with pytest.raises(ValueError, match=r"--output .* cannot be written"):
        main(LabelOptions(store, "lexicon", str(store / "store.json" / "a.csv"), gpu=-1, cache_dir=str(tmp_path)))


def test_help_imports_no_torch_and_columns_are_called_as_in_main() -> None:
    code = (
        "import runpy, sys\nsys.argv = ['label_tweets.py', '--help']\n"
        "try:\n    runpy.run_path('scripts/label_tweets.py', run_name='__main__')\n"
        "except SystemExit as stop:\n    assert not stop.code, stop.code\n"
        "assert not {'torch', 'transformers', 'timm'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "--token_budget" in done.stdout
    shared = set(LabelOptions.__annotations__) & set(DataOptions.__annotations__)
    assert len(shared) == 7
    assert all(getattr(LabelOptions(Path("a")), name) == getattr(DataOptions(), name) for name in shared)
