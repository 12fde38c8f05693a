from __future__ import annotations

import csv
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from datasets import ingest as ingesting
from datasets.images import MAX_BYTES
from datasets.ingest import ingest, open_posts, source_paths
from datasets.near_duplicates import write_groups
from datasets.options import DataOptions, WorldOptions
from datasets.posts import SENTIMENTS, Post
from datasets.splits import draw_split
from datasets.store import PostStore, set_columns
from datasets.text import clean_text
from tests.datasets.pictures import BAD, GOOD, LARGE, encoded, scene

MVSA = Path(__file__).parents[3] / "shared" / "data" / "mvsa_single"


def quarantine(store: PostStore) -> list[tuple[str, str, str]]:
    with open(store.path / "quarantine.csv", newline="", encoding="utf-8") as file:
        return [(row["id"], row["what"], row["reason"]) for row in csv.DictReader(file)]


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("num_workers", [0, 2])
def test_the_table_of_bad_input(tmp_path, capsys, num_workers):
    """Good images are stored, bad ones quarantined; their posts stay where they have text."""
    posts = [Post(name, "some text", data) for name, data in GOOD.items()]
    posts += [Post(name, "some text", data) for name, (data, _) in BAD.items()]
    posts += [Post(f"{name} without text", None, data) for name, (data, _) in BAD.items()]
    (tmp_path / "broken.jpg").write_bytes(LARGE[:500])
    with open(tmp_path / "large.jpg", "wb") as file:
        file.truncate(MAX_BYTES + 1)
    posts += [
        Post("missing file", "some text", tmp_path / "nowhere.jpg"),
        Post("a folder", "some text", tmp_path),
        Post("file", "some text", tmp_path / "broken.jpg"),
        Post("large", "some text", tmp_path / "large.jpg"),
        Post("no path", "some text", Path("a\0b.jpg")),
        Post("half \ud83d a name", None, Path("caf\udce9.jpg")),
        Post("empty text", "", GOOD["ok"]),
        Post("blank text", " \n", GOOD["ok"]),
        Post("nothing", "  "),
        Post("half a surrogate", "good \ud83d day"),
    ]
    store = ingest([(iter(posts), None)], tmp_path / "s", SENTIMENTS, num_workers=num_workers)
    refused = [(name, "image", reason) for name, (_, reason) in BAD.items()]
    for name, (_, reason) in BAD.items():
        refused += [(f"{name} without text", "image", reason)]
        refused += [(f"{name} without text", "post", "neither text nor image")]
    refused += [
        ("missing file", "image", "missing"),
        ("a folder", "image", "unreadable"),
        ("file", "image", "truncated"),
        ("large", "image", "too large"),
        ("no path", "image", "unreadable"),
        ("half � a name", "image", "missing"),
        ("half � a name", "post", "neither text nor image"),
    ]
    refused += [("nothing", "post", "neither text nor image")]
    assert quarantine(store) == refused
    dropped = {name for name, what, _ in refused if what == "post"}
    rows = np.arange(len(store))
    assert store.ids(rows) == [post.id for post in posts if clean_text(post.id) not in dropped]
    with_image = [name for name, has_image in zip(store.ids(rows), store.has_image, strict=True) if has_image]
    assert with_image == [*GOOD, "empty text", "blank text"]
    assert [name for name, has in zip(store.ids(rows), store.has_text, strict=True) if not has] == with_image[-2:]
    assert store.texts([len(store) - 1]) == ["good � day"]
    said = capsys.readouterr().out
    assert said.count("\n") == 1
    assert "7 image (truncated)" in said
    assert "11 post (neither text nor image)" in said


def test_threads_change_nothing(tmp_path):
    posts = [
        Post(str(number), f"text {number}", encoded(scene(300 + number, 280, seed=number))) for number in range(150)
    ]
    one = ingest([(posts, None)], tmp_path / "one", SENTIMENTS)
    many = ingest([(posts, None)], tmp_path / "many", SENTIMENTS, num_workers=3)
    assert one.fingerprint == many.fingerprint
    assert one.ids(range(150)) == [str(number) for number in range(150)]


def test_posts_stream_through_the_threads():
    """No more posts are drawn than a few chunks ahead of what was written."""
    drawn = 0

    def posts():
        nonlocal drawn
        for number in range(5000):
            drawn += 1
            yield Post(str(number), "text")

    ready = ingesting._prepare_all(posts(), num_workers=2)
    next(ready)
    assert drawn <= 10 * ingesting.CHUNK
    ready.close()


def test_an_unknown_label_stops_ingest_and_leaves_nothing(tmp_path):
    posts = [Post("1", "a", label="positive"), Post("2", "b", label="happy")]
    with pytest.raises(ValueError, match="post 2: unknown label 'happy'; the classes are negative, neutral, positive"):
        ingest([(posts, None)], tmp_path / "s", SENTIMENTS)
    assert list(tmp_path.iterdir()) == []


def test_a_failing_reader_leaves_nothing(tmp_path):
    def posts():
        yield Post("1", "a")
        raise ValueError("labels.txt line 2: no tab")

    with pytest.raises(ValueError, match="line 2"):
        ingest([(posts(), None)], tmp_path / "s", SENTIMENTS, num_workers=2)
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_is_not_overwritten(tmp_path):
    (tmp_path / "s").mkdir()
    with pytest.raises(ValueError, match="is there already"):
        ingest([([Post("1", "a")], None)], tmp_path / "s")
    with pytest.raises(ValueError, match="no posts"):
        ingest([([], None)], tmp_path / "empty")


def test_splits_of_sources_and_repeated_ids(tmp_path, capsys):
    train = [Post("1", "a"), Post("2", "b", split="validation"), Post("3", "c", split="test")]
    test = [Post("1", "d"), Post("5", "e", split="train")]
    store = ingest([(train, "train"), (test, "test")], tmp_path / "s", SENTIMENTS)
    assert store.split.tolist() == [1, 2, 3, 3, 3]
    assert "1 posts have the id of another" in capsys.readouterr().out


def test_groups_are_stored(tmp_path):
    image = encoded(scene(300, 300))
    posts = [
        Post("1", "a", image),
        Post("2", "b"),
        Post("3", "c", image),
        Post("4", "d", group="g"),
        Post("5", group="g", text="e"),
    ]
    assert ingest([(posts, None)], tmp_path / "s").group.tolist() == [0, 1, 0, 3, 3]


def test_source_paths(tmp_path, capsys):
    a, b = str(tmp_path / "a"), str(tmp_path / "b")
    assert source_paths(DataOptions()) == []
    assert source_paths(DataOptions(data_dir=a)) == [(Path(a), None)]
    assert source_paths(DataOptions(train_data_dir=a)) == [(Path(a), None)]
    assert source_paths(DataOptions(data_dir=a, train_data_dir=a, test_data_dir=a + "/")) == [(Path(a), None)]
    assert source_paths(DataOptions(train_data_dir=a, test_data_dir=b)) == [(Path(a), "train"), (Path(b), "test")]
    assert capsys.readouterr().out == ""
    assert source_paths(DataOptions(data_dir=b, train_data_dir=a)) == [(Path(a), None)]
    assert f"--data_dir {b} is not read" in capsys.readouterr().out
    with pytest.raises(ValueError, match="--test_data_dir is given without --train_data_dir"):
        source_paths(DataOptions(test_data_dir=b))


def table(folder: Path, rows: int = 4) -> Path:
    folder.mkdir(exist_ok=True)
    lines = [f"{row},tweet number {row},{SENTIMENTS[row % 3]},{row}.jpg" for row in range(rows)]
    (folder / "posts.csv").write_text("\n".join(["id,text,label,image", *lines]) + "\n")
    for row in range(rows):
        (folder / f"{row}.jpg").write_bytes(encoded(scene(seed=row)))
    return folder / "posts.csv"


def test_open_posts_ingests_once_and_again_when_the_posts_change(tmp_path, capsys):
    options = DataOptions(data_dir=str(table(tmp_path / "d")), cache_dir=str(tmp_path / "cache"))
    first = open_posts(options, WorldOptions())
    assert len(first) == 4
    assert first.has_image.all()
    assert "ingested before" not in capsys.readouterr().out
    assert open_posts(options, WorldOptions()).path == first.path
    assert "ingested before" in capsys.readouterr().out
    table(tmp_path / "d", rows=5)
    second = open_posts(options, WorldOptions())
    assert second.path != first.path
    assert len(second) == 5


def test_open_posts_ingests_again_when_a_missing_image_turns_up(tmp_path):
    options = DataOptions(data_dir=str(table(tmp_path / "d")), cache_dir=str(tmp_path / "cache"))
    image = tmp_path / "d" / "2.jpg"
    content = image.read_bytes()
    image.unlink()
    assert open_posts(options, WorldOptions()).has_image.tolist() == [True, True, False, True]
    image.write_bytes(content)
    assert open_posts(options, WorldOptions()).has_image.all()


def test_open_posts_sees_changes_behind_links(tmp_path):
    posts, texts, image = tmp_path / "posts", tmp_path / "texts", tmp_path / "1.jpg"
    posts.mkdir()
    texts.mkdir()
    (posts / "labelResultAll.txt").write_text("ID\ttext,image\n1\tneutral,neutral\n")
    (texts / "1.txt").write_text("a text")
    image.write_bytes(encoded(scene(seed=1)))
    (posts / "data").symlink_to(texts)
    (texts / "1.jpg").symlink_to(image)
    (texts / "back").symlink_to(posts)  # round and round
    (texts / "lost").symlink_to(tmp_path / "nowhere")
    options = DataOptions(data_dir=str(posts), dataset="mvsa_single", cache_dir=str(posts / "cache"))
    first = open_posts(options, WorldOptions())
    assert open_posts(options, WorldOptions()).path == first.path
    (texts / "1.txt").write_text("another text")
    second = open_posts(options, WorldOptions())
    assert second.texts(np.array([0])) == ["another text"]
    image.write_bytes(encoded(scene(seed=2)))
    third = open_posts(options, WorldOptions())
    assert len({store.fingerprint for store in (first, second, third)}) == 3


def test_open_posts_clears_what_a_killed_process_left(tmp_path):
    options = DataOptions(data_dir=str(table(tmp_path / "d")), cache_dir=str(tmp_path / "cache"))
    store = open_posts(options, WorldOptions())
    left = store.path.with_name(f".{store.path.name}-0123abcd")
    os.rename(store.path, left)
    (left / "store.json").unlink()
    assert open_posts(options, WorldOptions()).fingerprint == store.fingerprint
    assert not left.exists()


def test_open_posts_joins_train_and_test_posts_and_reads_stores(tmp_path):
    train, test = table(tmp_path / "a"), table(tmp_path / "b", rows=3)
    options = DataOptions(train_data_dir=str(train), test_data_dir=str(test), cache_dir=str(tmp_path / "cache"))
    store = open_posts(options, WorldOptions())
    assert store.split.tolist() == [1, 1, 1, 1, 3, 3, 3]
    assert open_posts(DataOptions(data_dir=str(store.path)), WorldOptions()).path == store.path
    joined = replace(options, train_data_dir=str(store.path))
    assert open_posts(joined, WorldOptions()).split.tolist() == [1, 1, 1, 1, 3, 3, 3, 3, 3, 3]
    with pytest.raises(ValueError, match=r"--num_classes 5, but the posts have 3: negative, neutral, positive"):
        open_posts(replace(options, num_classes=5), WorldOptions())
    with pytest.raises(ValueError, match="does not exist"):
        open_posts(replace(options, train_data_dir=str(tmp_path / "nowhere")), WorldOptions())


def test_open_posts_draws_the_synthetic_world(tmp_path, capsys):
    options = DataOptions(cache_dir=str(tmp_path))
    store = open_posts(options, WorldOptions(world_posts=30))
    assert len(store) == 30
    assert store.classes == SENTIMENTS
    assert "synthetic world" in capsys.readouterr().out
    assert open_posts(options, WorldOptions(world_posts=30)).path == store.path
    assert open_posts(options, WorldOptions(world_posts=30, world_seed=1)).fingerprint != store.fingerprint


@pytest.mark.skipif(not MVSA.is_dir(), reason="needs ../shared/data/mvsa_single")
def test_mvsa_single(tmp_path):
    """The figures of the data's own description: 3,940 posts, 2,162 positive, 1,104 negative, 374 neutral."""
    store = open_posts(DataOptions(data_dir=str(MVSA), cache_dir=str(tmp_path)), WorldOptions())
    assert store.classes == SENTIMENTS
    assert np.bincount(store.label + 1).tolist() == [300, 1104, 374, 2162]
    assert store.has_image.all()
    assert quarantine(store) == []
    sizes = np.bincount(store.group)
    assert 150 < (sizes > 1).sum() < 250
    assert sizes.max() < 50


def test_a_sample_is_drawn_evenly_by_the_seed_and_keeps_order_and_split(tmp_path):
    for name, count in (("train", 40), ("test", 20)):
        lines = [f"{name}{row:02},words {name} {row},{SENTIMENTS[row % 3]}" for row in range(count)]
        (tmp_path / f"{name}.csv").write_text("\n".join(["id,text,label", *lines]) + "\n")
    whole = DataOptions(
        train_data_dir=str(tmp_path / "train.csv"), test_data_dir=str(tmp_path / "test.csv"), num_workers=0,
        cache_dir=str(tmp_path / "cache"),
    )  # fmt: skip
    drawn = {}
    for seed in range(30):
        store = open_posts(replace(whole, num_posts=15, split_seed=seed), WorldOptions())
        ids = store.ids(np.arange(len(store)))
        assert len(set(ids)) == 15 and ids == sorted(ids, key=lambda one: (one[:2] == "te", one))
        assert (store.split == [3 if one.startswith("test") else 1 for one in ids]).all()
        drawn[seed] = tuple(ids)
    assert len(set(drawn.values())) == 30
    share = np.mean([one.startswith("test") for ids in drawn.values() for one in ids])
    assert 0.25 < share < 0.42  # a third of all posts
    assert len(open_posts(replace(whole, num_posts=999), WorldOptions())) == 60
    again = open_posts(replace(whole, num_posts=15, split_seed=3), WorldOptions())
    assert tuple(again.ids(np.arange(15))) == drawn[3]
    store_dir = tmp_path / "stored"
    open_posts(replace(whole, test_data_dir=""), WorldOptions()).path.rename(store_dir)
    assert (
        len(open_posts(replace(whole, train_data_dir=str(store_dir), test_data_dir="", num_posts=9), WorldOptions()))
        == 9
    )


def added_to(path: Path) -> PostStore:
    """Forty posts of pictures that nothing links by itself; what find_duplicates and label_tweets add, by hand.

    Posts 2k and 2k + 1 were found to be one group, every fifth is of a benchmark, post i has the answer i / 40.
    """
    posts = [Post(str(number), f"text {number}", group=f"tweet {number}") for number in range(40)]
    store = ingest([(posts, None)], path, SENTIMENTS)
    share = np.arange(40, dtype=np.float32) / 40
    answers = np.stack([share, 1 - share, np.zeros(40, np.float32)], axis=1)
    set_columns(
        path,
        group=np.arange(40) // 2 * 2,
        image_group=np.arange(40) // 2 * 2,
        of_benchmark=np.arange(40) % 5 == 0,
        teacher=answers,
        score=np.arange(40) * 10,
    )
    return PostStore(store.path)


@pytest.mark.parametrize("kind", ["a sample", "a second store", "again"])
def test_what_was_added_to_a_store_comes_along(kind: str, tmp_path: Path) -> None:
    first = added_to(tmp_path / "first")
    other = ingest([([Post(f"o{number}", "text") for number in range(3)], None)], tmp_path / "other", SENTIMENTS)
    options = DataOptions(
        train_data_dir=str(first.path),
        test_data_dir=str(other.path) if kind == "a second store" else "",
        num_posts=15 if kind == "a sample" else 0,
        cache_dir=str(tmp_path / "cache"),
    )
    if kind == "again":
        store = ingest([(first.posts(), None)], tmp_path / "again", first.classes)
    else:
        store = open_posts(options, WorldOptions())
    rows = np.array([int(name) for name in store.ids(range(len(store))) if not name.startswith("o")])
    assert len(rows) == (15 if kind == "a sample" else 40)
    here = slice(len(rows))
    assert store.of_benchmark[here].tolist() == (rows % 5 == 0).tolist()
    assert not store.of_benchmark[len(rows) :].any()
    assert store.column("of_benchmark").tolist() == store.of_benchmark.tolist()
    assert store.teacher is not None
    np.testing.assert_array_equal(store.teacher[here], first.teacher[rows])
    assert (store.teacher[len(rows) :] == 0).all()
    assert store.column("score")[here].tolist() == (rows * 10).tolist()
    assert "image_group" not in store.columns
    for left in range(len(rows)):
        for right in range(left):
            assert (store.group[left] == store.group[right]) == (rows[left] // 2 == rows[right] // 2)
    assert store.given_group.tolist() == list(range(len(store)))


def test_what_came_along_may_be_found_anew_and_is_not_lost_then(tmp_path: Path) -> None:
    first = added_to(tmp_path / "first")
    store = ingest([(first.posts(), None)], tmp_path / "again", first.classes)
    found = write_groups(store, np.arange(40), np.arange(40) == 3)
    assert np.flatnonzero(found.of_benchmark).tolist() == [3]
    assert found.group.tolist() == (np.arange(40) // 2 * 2).tolist()
    third = ingest([(found.posts(), None)], tmp_path / "third", found.classes)
    assert np.flatnonzero(third.of_benchmark).tolist() == [3]


def test_a_table_may_have_columns_of_these_names(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("id,text,label,of_benchmark,linked_group\n1,a,positive,yes,x\n2,b,negative,no,x\n")
    store = open_posts(DataOptions(data_dir=str(tmp_path / "p.csv"), cache_dir=str(tmp_path / "c")), WorldOptions())
    assert not store.of_benchmark.any()
    assert store.column("of_benchmark_in_table").tolist() == ["yes", "no"]
    assert store.group.tolist() == [0, 1]


def test_labelled_posts_and_unlabelled_ones_from_elsewhere(tmp_path):
    """A table that people labelled, and a store whose own labels and published split do not count."""
    labelled = tmp_path / "labelled.csv"
    rows = [f"{number},a text of my own {number},{SENTIMENTS[number % 3]}" for number in range(30)]
    labelled.write_text("\n".join(["id,text,label", *rows]) + "\n")
    tweets = [Post(f"t{n}", f"a tweet {n}", label="positive", split="test", teacher=(0.1, 0.2, 0.7)) for n in range(8)]
    crawl = ingest([(tweets, None)], tmp_path / "crawl", SENTIMENTS).path
    options = DataOptions(
        train_data_dir=str(labelled), unlabelled_dir=str(crawl), dataset="table", cache_dir=str(tmp_path / "cache")
    )
    store = open_posts(options, WorldOptions())
    assert store.classes == SENTIMENTS and len(store) == 38
    assert (store.label[:30] >= 0).all() and (store.label[30:] == -1).all() and len(set(store.split)) == 1
    assert store.teacher[:30].sum() == 0 and np.allclose(store.teacher[30:], (0.1, 0.2, 0.7), atol=1e-3)
    split = draw_split(store, num_labels=6, seed=0)
    assert set(range(30, 38)) <= set(split.unlabelled) and max(split.labelled) < 30 and max(split.test) < 30
    (crawl / "posts-00000.arrow").touch()
    assert open_posts(options, WorldOptions()).path != store.path  # the crawl is newer
    with pytest.raises(ValueError, match="--unlabelled_dir x is given without labelled posts"):
        source_paths(DataOptions(unlabelled_dir="x"))
