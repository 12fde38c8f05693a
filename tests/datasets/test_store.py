from __future__ import annotations

import os
import pickle
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.ipc
import pytest

from datasets import store_writer
from datasets.posts import Post
from datasets.store import PostStore, StoreWriter, is_store, set_columns

CLASSES = ("negative", "neutral", "positive")
ROOT = Path(__file__).parents[2]


def write(path: Path, classes=CLASSES, rows: int = 5) -> PostStore:
    """Post `i` has class i % 3 (none for every fifth), text but for 1, image but for 2."""
    with StoreWriter(path, classes, source="here") as writer:
        for row in range(rows):
            writer.add(
                f"id{row}",
                text=None if row == 1 else f"text {row} é😀",
                image=None if row == 2 else bytes([row]) * (row + 1),
                label=None if row % 5 == 4 else CLASSES[row % 3],
                text_label="neutral" if row == 0 else None,
                split=(None, "train", "validation", "test")[row % 4],
                group="together" if row in (1, 3) else None,
                extra={"stars": row / 2, "city": f"c{row}", "seen": row > 1},
            )
    return PostStore(path)


def test_columns_are_what_was_written(tmp_path):
    store = write(tmp_path / "s")
    assert len(store) == 5
    assert store.classes == CLASSES
    assert store.label.tolist() == [0, 1, 2, 0, -1]
    assert store.label.dtype == np.int64
    assert store.text_label.tolist() == [1, -1, -1, -1, -1]
    assert store.image_label.tolist() == [-1] * 5
    assert store.has_text.tolist() == [True, False, True, True, True]
    assert store.has_image.tolist() == [True, True, False, True, True]
    assert store.split.tolist() == [0, 1, 2, 3, 0]
    assert store.group.tolist() == [0, 1, 2, 1, 4]
    assert store.teacher is None
    assert not store.has_paraphrase
    assert store.column("stars").tolist() == [0, 0.5, 1, 1.5, 2]
    assert store.column("seen").tolist() == [False, False, True, True, True]
    assert store.column("city").tolist() == ["c0", "c1", "c2", "c3", "c4"]
    assert store.column("label").tolist() == [0, 1, 2, 0, -1]
    assert {"stars", "city", "seen", "label"} <= set(store.columns)
    with pytest.raises(ValueError, match=r"no column 'mood'.*stars"):
        store.column("mood")


def test_rows_are_read_in_any_order_across_batches_and_files(tmp_path, monkeypatch):
    monkeypatch.setattr(store_writer, "BATCH_ROWS", 7)
    monkeypatch.setattr(store_writer, "FILE_BYTES", 4000)
    store = write(tmp_path / "s", rows=100)
    assert len(list(store.path.glob("posts-*.arrow"))) > 1
    rows = np.random.default_rng(0).integers(0, 100, 300)
    assert store.ids(rows) == [f"id{row}" for row in rows]
    assert store.texts(rows) == ["" if row == 1 else f"text {row} é😀" for row in rows]
    assert store.texts([]) == []
    for row in rows[:50]:
        assert store.image(row) == (None if row == 2 else bytes([row]) * (row + 1))
    assert store.label.tolist() == [-1 if row % 5 == 4 else row % 3 for row in range(100)]
    assert store.group[3] == 1
    with pytest.raises(AssertionError):
        store.ids([100])


def test_a_store_pickles_as_its_path(tmp_path):
    store = write(tmp_path / "s")
    store.label  # noqa: B018 (cached columns do not travel)
    sent = pickle.dumps(store)
    assert len(sent) < 500
    again = pickle.loads(sent)
    assert again.fingerprint == store.fingerprint
    assert again.texts([0]) == store.texts([0])


def test_the_fingerprint_is_of_the_contents(tmp_path, monkeypatch):
    first = write(tmp_path / "a")
    monkeypatch.setattr(store_writer, "BATCH_ROWS", 2)
    assert write(tmp_path / "b").fingerprint == first.fingerprint
    assert write(tmp_path / "c", rows=4).fingerprint != first.fingerprint
    assert write(tmp_path / "d", classes=(*CLASSES, "other")).fingerprint != first.fingerprint

    def fingerprint_of(name, **post):
        with StoreWriter(tmp_path / name, CLASSES) as writer:
            writer.add("1", **{"text": "ab", **post})
            writer.add("2", text="c")
        return PostStore(tmp_path / name).fingerprint

    variants = [{}, {"text": "a"}, {"image": b"x"}, {"label": "neutral"}, {"image_label": "neutral"}, {"split": "test"}]
    variants += [{"group": "g"}, {"teacher": (0, 0, 1)}, {"paraphrase": "ab"}, {"extra": {"x": 0}}, {"extra": {"x": 1}}]
    assert len({fingerprint_of(str(number), **post) for number, post in enumerate(variants)}) == len(variants)


def test_a_column_has_a_fingerprint_of_its_own(tmp_path):
    def prints_of(name, **post):
        with StoreWriter(tmp_path / name, CLASSES) as writer:
            writer.add("1", **{"text": "ab", "image": b"x", "label": "neutral", **post})
        store = PostStore(tmp_path / name)
        return [store.fingerprint_of(column) for column in ("text", "image", "label")]

    text, image, label = prints_of("plain")
    assert len({text, image, label}) == 3
    assert prints_of("text", text="abc")[1:] == [image, label]
    assert prints_of("label", label="positive")[:2] == [text, image]
    changed = prints_of("image", image=b"y")
    assert (changed[0], changed[2]) == (text, label) and changed[1] != image


def test_text_cannot_move_between_rows_unnoticed(tmp_path):
    prints = set()
    for name, texts in (("a", ("ab", "c")), ("b", ("a", "bc"))):
        with StoreWriter(tmp_path / name, CLASSES) as writer:
            for text in texts:
                writer.add("1", text=text)
        prints.add(PostStore(tmp_path / name).fingerprint)
    assert len(prints) == 2


def test_teacher_and_paraphrase(tmp_path):
    with StoreWriter(tmp_path / "s", CLASSES) as writer:
        writer.add("1", text="a", teacher=(0.2, 0.3, 0.5))
        writer.add("2", text="b", paraphrase="B")
    store = PostStore(tmp_path / "s")
    assert store.has_paraphrase
    assert store.paraphrases([1, 0]) == ["B", ""]
    assert store.teacher is not None
    assert store.teacher.dtype == np.float32
    assert np.allclose(store.teacher, [[0.2, 0.3, 0.5], [0, 0, 0]])
    set_columns(tmp_path / "s", teacher=np.eye(3, dtype=np.float32)[:2])
    assert np.array_equal(PostStore(tmp_path / "s").teacher, np.eye(3)[:2])


def test_classes_come_from_the_labels_in_the_order_of_sentiment(tmp_path):
    for name, labels, expected in (
        ("a", ("positive", "negative"), ("negative", "positive")),
        ("b", ("neutral", "positive", "negative"), CLASSES),
        ("c", ("joy", "anger", "neutral"), ("anger", "joy", "neutral")),
    ):
        with StoreWriter(tmp_path / name) as writer:
            for label in labels:
                writer.add("1", text="a", label=label)
        store = PostStore(tmp_path / name)
        assert store.classes == expected
        assert [store.classes[number] for number in store.label] == list(labels)


def test_columns_may_appear_late_or_become_fractions(tmp_path, monkeypatch):
    monkeypatch.setattr(store_writer, "BATCH_ROWS", 1)
    with StoreWriter(tmp_path / "s", CLASSES) as writer:
        writer.add("1", text="a", extra={"n": 1})
        writer.add("2", text="b", extra={"n": 1.5, "late": "x"})
        writer.add("3", text="c", teacher=(1, 0, 0))
    store = PostStore(tmp_path / "s")
    assert np.array_equal(store.column("n"), [1, 1.5, np.nan], equal_nan=True)
    assert store.column("late").tolist() == [None, "x", None]
    assert np.array_equal(store.teacher, [[0, 0, 0], [0, 0, 0], [1, 0, 0]])


def test_not_a_number_is_nothing_and_what_no_type_holds_is_refused(tmp_path, monkeypatch):
    with StoreWriter(tmp_path / "s", CLASSES) as writer:
        writer.add("1", text="a", extra={"n": 1})
        writer.add("2", text="b", extra={"n": float("nan")})
    assert np.array_equal(PostStore(tmp_path / "s").column("n"), [1, np.nan], equal_nan=True)
    monkeypatch.setattr(store_writer, "BATCH_ROWS", 1)
    for number, (first, second) in enumerate([(2**53 + 1, 0.5), (0.5, -(2**53) - 1), (1, 2**64)]):
        refused = pytest.raises(ValueError, match=r"column 'n' of the posts")
        with refused, StoreWriter(tmp_path / str(number), CLASSES) as writer:
            writer.add("1", text="a", extra={"n": first})
            writer.add("2", text="b", extra={"n": second})


def test_set_columns_adds_without_rewriting(tmp_path):
    store = write(tmp_path / "s")
    before = {path: path.stat().st_mtime_ns for path in store.path.glob("*.arrow")}
    set_columns(store.path, group=np.array([0, 0, 2, 2, 2]), score=np.arange(5.0))
    again = PostStore(store.path)
    assert again.group.tolist() == [0, 0, 2, 2, 2]
    assert again.column("score").tolist() == [0, 1, 2, 3, 4]
    assert again.fingerprint == store.fingerprint
    assert "score" in again.columns
    assert {path: path.stat().st_mtime_ns for path in store.path.glob("*.arrow")} == before
    set_columns(store.path, score=np.zeros(5))
    assert PostStore(store.path).column("score").sum() == 0


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"label": np.zeros(5)}, "'label' was written at ingest"),
        ({"score": np.zeros(4)}, "4 rows, the store 5"),
        ({"score": np.array(list("abcde"))}, "no column of numbers"),
        ({"teacher": np.zeros((5, 2))}, "a column for each class"),
    ],
)
def test_set_columns_refuses(tmp_path, columns, message):
    write(tmp_path / "s")
    with pytest.raises(ValueError, match=message):
        set_columns(tmp_path / "s", **columns)


@pytest.mark.parametrize(
    ("post", "message"),
    [
        ({"label": "happy"}, "post 7: unknown label 'happy'; the classes are negative, neutral, positive"),
        ({"image_label": "Positive"}, "unknown label 'Positive'"),
        ({"split": "dev"}, "'dev'"),
        ({"extra": {"text": 1}}, "called 'text'"),
        ({"teacher": (0.5, 0.5)}, "2 classes.*3"),
        ({"extra": {"mixed": "word"}}, "mixed"),
    ],
)
def test_the_writer_refuses(tmp_path, post, message):
    with pytest.raises(ValueError, match=message), StoreWriter(tmp_path / "s", CLASSES) as writer:
        writer.add("6", text="a", extra={"mixed": 1} if "mixed" in message else {})
        writer.add("7", text="a", **post)
    assert not is_store(tmp_path / "s")


def test_no_posts_and_a_store_that_is_there_are_refused(tmp_path):
    with pytest.raises(ValueError, match="no posts"), StoreWriter(tmp_path / "empty", CLASSES):
        pass
    write(tmp_path / "s")
    with pytest.raises(ValueError, match="is a post store already"):
        StoreWriter(tmp_path / "s", CLASSES)


def test_what_is_no_whole_store_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no post store"):
        PostStore(tmp_path)
    store = write(tmp_path / "s")
    file = store.path / "posts-00000.arrow"
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"posts-00000\.arrow is damaged"):
        PostStore(store.path)
    file.unlink()
    with pytest.raises(ValueError, match=r"posts-00000\.arrow is damaged or missing"):
        PostStore(store.path)
    file.write_bytes(whole)
    about = (store.path / "store.json").read_text()
    assert about.count('"rows": 5') == 2
    (store.path / "store.json").write_text(about.replace('"rows": 5', '"rows": 6'))
    with pytest.raises(ValueError, match="the 6 rows"):
        PostStore(store.path)
    (store.path / "store.json").write_text(about.replace('"format": 1', '"format": 99'))
    with pytest.raises(ValueError, match="format 99"):
        PostStore(store.path)
    (store.path / "store.json").write_text(about[:20])
    with pytest.raises(ValueError, match="damaged"):
        PostStore(store.path)


def test_a_damaged_added_column_is_named(tmp_path):
    store = write(tmp_path / "s")
    set_columns(store.path, score=np.arange(5))
    (store.path / "columns" / "score.npy").write_bytes(b"broken")
    with pytest.raises(ValueError, match=r"score\.npy cannot be read"):
        PostStore(store.path).column("score")


def mapped_mib():
    """Memory of this process that is pages of files."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssFile")) / 1024


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="needs Linux")
def test_pages_that_were_read_can_be_given_back_and_read_again(tmp_path):
    with StoreWriter(tmp_path / "s", CLASSES) as writer:
        for row in range(40):
            writer.add(str(row), image=bytes([row]) * 2**20)
    store = PostStore(tmp_path / "s")
    before, read = mapped_mib(), [store.image(row) for row in range(40)]
    held = mapped_mib()
    store.release()
    assert held > before + 30 and mapped_mib() < before + 10
    assert [store.image(row) for row in range(40)] == read


def test_files_are_plain_arrow(tmp_path):
    store = write(tmp_path / "s")
    table = pyarrow.ipc.open_file(str(store.path / "posts-00000.arrow")).read_all()
    assert table["label"].to_pylist() == ["negative", "neutral", "positive", "negative", None]


def test_posts_give_the_same_store_again(tmp_path):
    store = write(tmp_path / "s")
    posts = list(store.posts())
    assert posts[0] == Post(
        "id0",
        "text 0 é😀",
        b"\0",
        "negative",
        "neutral",
        extra={"stars": 0.0, "city": "c0", "seen": False},
    )
    with StoreWriter(tmp_path / "again", store.classes) as writer:
        for post in posts:
            labels = {name: getattr(post, name) for name in ("label", "text_label", "image_label")}
            parts = {"text": post.text, "image": post.image, "split": post.split, "group": post.group}
            writer.add(post.id, **labels, **parts, extra=post.extra)
    assert PostStore(tmp_path / "again").fingerprint == store.fingerprint


@pytest.fixture(scope="module")
def million(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("million") / "s"
    rows = 50_000
    with StoreWriter(path, CLASSES) as writer:
        for part in range(20):
            numbers = pa.array(np.arange(part * rows, (part + 1) * rows)).cast(pa.string())
            labels = pa.array(CLASSES).take(pa.array(np.arange(rows) % 3))
            text = pa.compute.binary_join_element_wise(numbers, "a tweet of about the usual length, sent on", " ")
            images = text.cast(pa.binary())
            columns = {"id": numbers, "text": text, "image": images, "label": labels}
            writer.add_batch(pa.RecordBatch.from_pydict(columns))
    return path


def test_a_million_rows_open_within_a_second(million):
    started = time.perf_counter()
    store = PostStore(million)
    assert len(store) == 1_000_000
    assert store.texts([999_999]) == ["999999 a tweet of about the usual length, sent on"]
    assert time.perf_counter() - started < 1
    started = time.perf_counter()
    assert np.bincount(store.label).tolist() == [333_340, 333_340, 333_320]
    assert store.has_image.all()
    assert np.array_equal(store.group, np.arange(1_000_000))
    assert time.perf_counter() - started < 3


WORKERS = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
import numpy as np
import torch
from datasets.store import PostStore

def private_mib():
    with open("/proc/self/smaps_rollup") as file:
        return sum(int(line.split()[1]) for line in file if line.startswith(("Private_Dirty", "Anonymous"))) / 1024

class Posts(torch.utils.data.Dataset):
    def __init__(self, path):
        self.store = PostStore(path)
        self.store.label

    def __len__(self):
        return 400

    def __getitem__(self, step):
        rows = np.random.default_rng(step).integers(0, len(self.store), 500)
        read = sum(map(len, self.store.texts(rows))) + sum(len(self.store.image(row)) for row in rows)
        return torch.utils.data.get_worker_info().id, step, read, private_mib()

if __name__ == "__main__":
    loader = torch.utils.data.DataLoader(Posts(sys.argv[1]), batch_size=None, num_workers=4)
    seen = {{}}
    for worker, step, read, used in loader:
        assert read > 0
        seen.setdefault(int(worker), []).append(used)
    assert len(seen) == 4
    print(max(used[-1] - used[9] for used in seen.values()))
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/smaps_rollup"), reason="needs Linux's smaps_rollup")
def test_four_workers_over_a_million_rows_do_not_grow(million, tmp_path):
    program = tmp_path / "workers.py"
    program.write_text(WORKERS)
    done = subprocess.run([sys.executable, str(program), str(million)], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 8, f"a worker grew by {done.stdout} MiB"


def with_teacher(path, classes=(), answers=((0.1, 0.2, 0.7), (0.0, 0.0, 0.0), (0.5, 0.4, 0.1))):
    with StoreWriter(path, classes) as writer:
        for number in range(3):
            writer.add(str(number), text="a text", label=classes[1] if classes and number < 2 else None)
    set_columns(path, teacher=np.array(answers, np.float32))
    return path


def test_posts_that_nobody_labelled_have_the_teachers_classes(tmp_path):
    path = with_teacher(tmp_path / "store")
    store = PostStore(path)
    assert store.classes == ("negative", "neutral", "positive") and store.label.tolist() == [-1, -1, -1]
    with pytest.raises(ValueError, match="must have a column for each class"):
        set_columns(path, teacher=np.zeros((3, 2), np.float32))


def test_labels_may_come_from_the_teacher(tmp_path):
    path = with_teacher(tmp_path / "store", ("negative", "neutral", "positive"))
    given, taught = PostStore(path), PostStore(path, labels_from="teacher")
    assert given.label.tolist() == [1, 1, -1]
    assert taught.label.tolist() == [2, -1, 0]  # of every post that it answered, whatever people said
    assert pickle.loads(pickle.dumps(taught)).label.tolist() == [2, -1, 0]
    assert given.fingerprint != taught.fingerprint
    set_columns(path, teacher=np.array([[0.1, 0.2, 0.7]] * 3, np.float32))
    assert PostStore(path).fingerprint == given.fingerprint
    again = PostStore(path, labels_from="teacher")
    assert again.fingerprint != taught.fingerprint and again.label.tolist() == [2, 2, 2]
    with StoreWriter(tmp_path / "silent") as writer:
        writer.add("a", text="a text")
    with pytest.raises(ValueError, match=r"--labels_from teacher: .* has no teacher's answers; .*label_tweets"):
        PostStore(tmp_path / "silent", labels_from="teacher")
