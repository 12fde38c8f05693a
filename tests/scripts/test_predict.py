"""New posts are labelled as the run itself labelled its test posts."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest

from datasets.options import DataOptions
from datasets.store import PostStore
from scripts.predict import PredictOptions, main
from tests.datasets.pictures import encoded, scene
from tests.runs import ROOT, TINY, run_main
from training.labelling import COLUMNS, known_labels


def rows(path: Path) -> dict[str, dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return {row["id"]: row for row in csv.DictReader(file)}


def numbers(table: dict[str, dict[str, str]], ids: list[str]) -> np.ndarray:
    """All numeric columns for these posts, NaN where there is none."""
    names = [name for name in next(iter(table.values())) if name not in ("id", "prediction", "label")]
    return np.array([[float(table[one][name] or "nan") for name in names] for one in ids])


def store_of(cache: Path, posts: int = 300) -> Path:
    stores = [path.parent for path in (cache / "stores").glob("synthetic*/store.json")]
    (found,) = [path for path in stores if len(PostStore(path)) == posts]
    return found


def test_the_test_posts_get_the_probabilities_of_the_run(finished: Path, cache: Path, tmp_path: Path) -> None:
    output = tmp_path / "new" / "posts.csv"
    main(PredictOptions(finished, store_of(cache), output, num_workers=0, batch_size=7, cache_dir=str(cache)))
    ours, theirs = rows(output), rows(finished / "predictions.csv")
    assert len(ours) == 300 > len(theirs)
    ids = list(theirs)
    np.testing.assert_allclose(numbers(ours, ids), numbers(theirs, ids), atol=2e-5)
    assert [ours[one]["label"] for one in ids] == [theirs[one]["label"] for one in ids]


def test_encoders_that_were_frozen_are_run(cache: Path, tmp_path: Path) -> None:
    words = ("--epoch", 1, "--algorithm", "fixmatch", "--freeze", "image,text", "--cache_dir", cache)
    words += ("--image_weights", "none", "--text_weights", "none")
    assert run_main(*TINY, *words, "--save_dir", tmp_path, "--save_name", "frozen").code == 0
    output = tmp_path / "posts.parquet"
    main(PredictOptions(tmp_path / "frozen", store_of(cache), output, num_workers=0, cache_dir=str(cache)))
    found = {row["id"]: row for row in pyarrow.parquet.read_table(output).to_pylist()}
    theirs = rows(tmp_path / "frozen" / "predictions.csv")
    classes = ("negative", "neutral", "positive")
    ours = [[found[one][name] for name in classes] for one in theirs]
    # the run read its features from a cache in half precision
    np.testing.assert_allclose(ours, [[float(row[name]) for name in classes] for row in theirs.values()], atol=3e-3)


def test_a_table_without_labels_and_with_what_may_be_missing(finished: Path, cache: Path, tmp_path: Path) -> None:
    (tmp_path / "1.jpg").write_bytes(encoded(scene(80, 60, seed=1)))
    (tmp_path / "2.jpg").write_bytes(b"<html>")
    table = tmp_path / "posts.csv"
    table.write_text("number,tweet,image\n0,what a lovely day,\n1,,1.jpg\n2,both,2.jpg\n3,,\n")
    words = [finished, table, "--output", tmp_path / "out.csv", "--id_column", "number", "--text_column", "tweet"]
    command = [sys.executable, "scripts/predict.py", *map(str, [*words, "--cache_dir", cache, "--gpu", -1])]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "1 image (html)" in done.stdout
    found = rows(tmp_path / "out.csv")
    assert list(found) == ["0", "1", "2"]
    for row in found.values():
        assert sum(float(row[name]) for name in ("negative", "neutral", "positive")) == pytest.approx(1, abs=1e-5)
        assert row["label"] == ""
    assert float(found["0"]["selection_image"]) == 0
    assert float(found["1"]["selection_text"]) == 0


def test_a_table_is_read_and_told_of_as_the_run_reads_it(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    words = {"bad": "awful rain", "good": "lovely sun"}
    lines = [f"{n},{words[label]} {n % 7},{label}" for n, label in enumerate(["bad", "good"] * 60)]
    table = tmp_path / "posts.csv"
    table.write_text("\n".join(["number,tweet,mood", *lines, "x,no more,n/a"]) + "\n")
    columns = ["--id_column", "number", "--text_column", "tweet", "--label_column", "mood"]
    more = tmp_path / "more.jsonl"
    more.write_text("".join(f'{{"number": "m{n}", "tweet": "{text} {n}"}}\n' for n, text in enumerate(words.values())))
    where = [
        "--unlabelled_dir",
        more,
        "--save_dir",
        tmp_path,
        "--save_name",
        "run",
        "--cache_dir",
        tmp_path / "cache",
        "--gpu",
        -1,
    ]
    course = [
        "--net",
        "text",
        "--text_net",
        "small",
        "--text_weights",
        "none",
        "--algorithm",
        "supervised",
        "--num_labels",
        40,
        "--num_train_iter",
        30,
        "--epoch",
        1,
    ]
    given = [*course, "--batch_size", 8, "--lr", 0.01, "--text_length", 8, "--num_workers", 0]
    done = run_main("--train_data_dir", table, *columns, *where, *given)
    assert done.code == 0, done.err
    assert "120 with a label (60 bad, 60 good)" in done.out
    assert "40 labelled, 87 unlabelled, 12 validation and 24 test posts" in done.out  # 84 of the table, "x", two more
    card = (tmp_path / "run" / "best" / "README.md").read_text()
    assert "of a post from its text alone: bad, good (" in card and "text-classification, semi-supervised]" in card
    assert "| text | 24 |" in card
    page = (tmp_path / "run" / "report.html").read_text()
    assert "Figures on the test posts" in page and "from 40 labelled posts" in page and "Image only" not in page

    output = tmp_path / "out.csv"
    new = tmp_path / "new.csv"
    new.write_text("number,tweet,mood\n1,what lovely sun,good\n2,awful rain,bad\n3,sun and awful,\n")
    main(PredictOptions(tmp_path / "run", new, output, num_workers=0, cache_dir=str(tmp_path / "cache"), gpu=-1))
    assert [row["prediction"] for row in rows(output).values()][:2] == ["good", "bad"]
    said = "those with a label: accuracy 1.000, macro-F1 1.000, recall bad 1.00, good 1.00 (2 posts)"
    assert said in capsys.readouterr().out


def test_known_labels_go_by_name() -> None:
    class Store:
        classes = ("positive", "angry", "negative")
        label = np.array([0, 1, 2, -1])

    assert known_labels(Store(), ("negative", "neutral", "positive")).tolist() == [2, -1, 0, -1]  # type: ignore[arg-type]


def test_help_imports_no_torch() -> None:
    code = (
        "import runpy, sys\nsys.argv = ['predict.py', '--help']\n"
        "try:\n    runpy.run_path('scripts/predict.py', run_name='__main__')\n"
        "except SystemExit as stop:\n    assert not stop.code, stop.code\n"
        "assert not {'torch', 'transformers', 'timm'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    for flag in ("--output", "--dataset", "--id_column", "--gpu", "--batch_size", "--num_workers", "--cache_dir"):
        assert flag in done.stdout


def test_mistakes_are_one_sentence(finished: Path, tmp_path: Path) -> None:
    command = [sys.executable, "scripts/predict.py", str(tmp_path), "posts.csv", "--output", "out.txt"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert "out.txt: a prediction file is .csv or .parquet" in " ".join(done.stderr.replace("│", " ").split())
    assert "Traceback" not in done.stderr
    posts = tmp_path / "posts.csv"
    posts.write_text("id,text\n1,a text\n")
    with pytest.raises(ValueError, match="is the file of the posts"):
        PredictOptions(finished, posts, posts)
    with pytest.raises(ValueError, match="holds no trained model"):
        main(PredictOptions(tmp_path, posts, tmp_path / "out.csv"))
    with pytest.raises(ValueError, match=r"nowhere\.csv does not exist"):
        main(PredictOptions(finished, tmp_path / "nowhere.csv", tmp_path / "out.csv", cache_dir=str(tmp_path / "c")))
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"--output .*cannot be written"):
        main(
            PredictOptions(finished, posts, tmp_path / "file" / "out.csv", cache_dir=str(tmp_path / "c"), num_workers=0)
        )


def test_options_are_called_as_in_main() -> None:
    shared = set(PredictOptions.__annotations__) & set(DataOptions.__annotations__)
    options = PredictOptions(Path("a"), Path("b"), Path("c.csv"))
    assert shared == {*COLUMNS, "dataset", "region_features", "num_workers", "cache_dir"}
    assert all(getattr(options, name) == getattr(DataOptions(), name) for name in shared - set(COLUMNS))
