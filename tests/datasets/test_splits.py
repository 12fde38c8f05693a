"""Splits: disjoint parts, whole groups, balanced counts, the same draw from the same seed, and what is refused."""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datasets.ingest import ingest
from datasets.readers import ReaderOptions, find
from datasets.splits import Split, draw_split, read_ids
from datasets.store import PostStore

PARTS = ("labelled", "unlabelled", "validation", "test")


@dataclass
class Posts:
    """The columns of a store that a split is drawn from."""

    label: np.ndarray
    group: np.ndarray
    split: np.ndarray
    classes: tuple[str, ...] = ("negative", "neutral", "positive")
    fingerprint: str = "abc"
    path: Path = field(default_factory=lambda: Path("posts"))

    def __len__(self) -> int:
        return len(self.label)

    @property
    def of_benchmark(self) -> np.ndarray:
        return np.zeros(len(self), bool)

    def ids(self, rows: Sequence[int] | np.ndarray) -> list[str]:
        return [f"post {row}" for row in rows]


Column = Sequence[int] | np.ndarray


def posts(label: Column, group: Column | None = None, split: Column | None = None) -> PostStore:
    labels = np.asarray(label, dtype=np.int64)
    groups = np.arange(len(labels)) if group is None else np.asarray(group, dtype=np.int64)
    published = np.zeros(len(labels), np.int8) if split is None else np.asarray(split, dtype=np.int8)
    return cast(PostStore, Posts(labels, groups, published))


def draw(store: PostStore, num_labels: int = 0, seed: int = 0, **options: Any) -> Split:
    return draw_split(store, num_labels=num_labels, seed=seed, **options)


def counts(store: PostStore, rows: np.ndarray) -> list[int]:
    return np.bincount(store.label[rows], minlength=3).tolist()


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Tiny stores often lack a class in a part; the tests of that warning ask for it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "there is no (validation|test) post")
        warnings.filterwarnings("ignore", "there are too few labelled posts")
        yield


@st.composite
def some_posts(draw_value: st.DrawFn) -> PostStore:
    """Up to 120 posts in groups, with published parts or without, each class somewhere in training for certain."""
    size = draw_value(st.integers(0, 120))
    groups = draw_value(st.integers(1, 130))
    rng = np.random.default_rng(draw_value(st.integers(0, 2**32 - 1)))
    published = draw_value(st.sampled_from([(0,), (0, 1), (1, 3), (0, 1, 2, 3)]))
    label = np.concatenate([np.tile([0, 1, 2], 4), rng.integers(-1, 3, size)])
    group = np.concatenate([1000 + np.arange(12), rng.integers(0, groups, size)])
    split = np.concatenate([np.zeros(12), rng.choice(published, size)])
    order = rng.permutation(len(label))
    return posts(label[order], group[order], split[order])


@settings(max_examples=150, deadline=None)
@given(
    store=some_posts(),
    seed=st.integers(0, 3),
    ratios=st.sampled_from([(0.1, 0.2), (0.0, 0.3), (0.25, 0.0), (0.3, 0.4)]),
    balance=st.sampled_from(["equal", "proportional"]),
    include=st.booleans(),
    share=st.floats(0, 1),
)
def test_parts_are_disjoint_and_no_group_crosses(
    store: PostStore, seed: int, ratios: tuple[float, float], balance: Any, include: bool, share: float
) -> None:
    options: dict[str, Any] = {"val_ratio": ratios[0], "test_ratio": ratios[1], "include_lb_to_ulb": include}
    whole = draw(store, 0, seed, **options)
    num_labels = 3 + int(share * (len(whole.labelled) - 3))
    split = draw(store, num_labels, seed, label_balance=balance, **options)

    train = np.union1d(split.labelled, split.unlabelled)
    for one, other in ((train, split.validation), (train, split.test), (split.validation, split.test)):
        assert not np.intersect1d(store.group[one], store.group[other]).size
    for name in PARTS:
        rows = getattr(split, name)
        assert rows.dtype == np.int64
        assert (np.diff(rows) > 0).all()
    assert len(split.labelled) == num_labels
    assert min(counts(store, split.labelled)) >= 1
    assert (store.label[np.concatenate([split.labelled, split.validation, split.test])] >= 0).all()
    assert (np.isin(split.labelled, split.unlabelled) == include).all()

    # Every post that is near no validation or test post trains, and the seed has no part in who those are.
    held_out = np.union1d(np.union1d(split.validation, split.test), np.flatnonzero(store.split >= 2))
    may_train = np.flatnonzero(~np.isin(store.group, store.group[held_out]))
    np.testing.assert_array_equal(train, may_train)
    np.testing.assert_array_equal(split.test, whole.test)
    np.testing.assert_array_equal(split.validation, whole.validation)


@settings(max_examples=100, deadline=None)
@given(store=some_posts(), seed=st.integers(0, 3), balance=st.sampled_from(["equal", "proportional"]))
def test_small_budgets_lie_within_large_ones(store: PostStore, seed: int, balance: Any) -> None:
    most = len(draw(store, 0, seed).labelled)
    smaller: np.ndarray = np.array([], dtype=np.int64)
    for num_labels in range(3, most + 1, max(1, most // 10)):
        larger = draw(store, num_labels, seed, label_balance=balance).labelled
        assert np.isin(smaller, larger).all()
        smaller = larger


def test_shares_of_classes_and_groups_of_one() -> None:
    store = posts(np.repeat([0, 1, 2, -1], [100, 40, 200, 60]).tolist())
    split = draw(store)
    assert counts(store, split.test) == [20, 8, 40]
    assert counts(store, split.validation) == [10, 4, 20]
    assert counts(store, split.labelled) == [70, 28, 140]
    assert len(split.unlabelled) == 70 + 28 + 140 + 60


def test_shares_are_near_where_groups_are_small() -> None:
    rng = np.random.default_rng(0)
    store = posts(rng.integers(0, 3, 6000).tolist(), rng.integers(0, 3000, 6000).tolist())
    split = draw(store)
    totals = np.bincount(store.label)
    # A group holds several classes and counts for one of them, so shares of a class are off by a few percent.
    assert np.abs(counts(store, split.test) / totals - 0.2).max() < 0.02
    assert np.abs(counts(store, split.validation) / totals - 0.1).max() < 0.02


def test_a_huge_group_is_for_training() -> None:
    group = [0] * 60 + list(range(1, 141))
    for split_seed in range(5):
        store = posts([0, 1, 2, 2] * 50, group)
        split = draw(store, split_seed=split_seed)
        assert np.isin(np.arange(60), split.unlabelled).all()
        assert counts(store, split.test) == [10, 10, 20]


def test_equal_counts_and_their_remainder() -> None:
    store = posts(np.repeat([0, 1, 2], [50, 20, 90]).tolist())
    options: dict[str, Any] = {"val_ratio": 0.0, "test_ratio": 0.0}
    assert counts(store, draw(store, 30, **options).labelled) == [10, 10, 10]
    split = draw(store, 32, **options)
    assert counts(store, split.labelled) == [11, 10, 11]
    assert split.notes == ("--num_labels 32 does not divide by 3 classes: negative 11, neutral 10, positive 11",)
    with pytest.warns(UserWarning, match=r"too few labelled posts of neutral .*negative 35, neutral 20, positive 35"):
        assert counts(store, draw(store, 90, **options).labelled) == [35, 20, 35]
    assert counts(store, draw(store, 150, **options).labelled) == [50, 20, 80]


def test_proportional_counts() -> None:
    store = posts(np.repeat([0, 1, 2], [300, 100, 600]).tolist())
    options: dict[str, Any] = {"val_ratio": 0.0, "test_ratio": 0.0, "label_balance": "proportional"}
    assert counts(store, draw(store, 100, **options).labelled) == [30, 10, 60]
    assert counts(store, draw(store, 3, **options).labelled) == [1, 1, 1]
    assert counts(store, draw(store, 1000, **options).labelled) == [300, 100, 600]


def test_draws_depend_on_their_own_seed_alone() -> None:
    rng = np.random.default_rng(0)
    store = posts(rng.integers(-1, 3, 600).tolist(), rng.integers(0, 500, 600).tolist())
    state = np.random.get_state()[1].tolist()  # type: ignore[index]  # noqa: NPY002
    first = draw(store, 60, seed=1)
    assert np.random.get_state()[1].tolist() == state  # type: ignore[index]  # noqa: NPY002
    assert draw(store, 60, seed=1).fingerprint == first.fingerprint
    other_labels = draw(store, 60, seed=2)
    np.testing.assert_array_equal(other_labels.test, first.test)
    assert other_labels.labelled.tolist() != first.labelled.tolist()
    assert draw(store, 60, seed=1, split_seed=1).test.tolist() != first.test.tolist()


def test_the_draw_is_the_same_on_every_machine_and_in_every_version() -> None:
    split = draw(posts([0, 1, 2] * 20), 6, seed=1)
    assert split.labelled.tolist() == [13, 25, 26, 33, 38, 39]
    assert split.fingerprint == "c0276b843627da2c36cba1d76720e97d8a4c40475030000c8329550d48560f5b"


def test_published_parts_are_kept_and_their_near_duplicates_do_not_train() -> None:
    #          train           validation  test       none
    label = [0, 1, 2, 0, 1, 2, 0, 1, 2, -1, 0, 1, 2, -1, -1]
    split = [1, 1, 1, 1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 0, 0]
    group = [0, 1, 2, 3, 4, 10, 6, 7, 12, 9, 10, 11, 12, 9, 14]
    drawn = draw(posts(label, group, split))
    assert drawn.test.tolist() == [10, 11, 12]
    assert drawn.validation.tolist() == [6, 7]
    assert drawn.labelled.tolist() == [0, 1, 2, 3, 4]
    assert drawn.unlabelled.tolist() == [0, 1, 2, 3, 4, 14]
    assert drawn.notes == (
        "1 published validation posts are left out: they are near-duplicates of test posts",
        "1 published training posts do not train: they are near-duplicates of validation or test posts",
    )


def test_a_published_test_part_leaves_validation_to_be_drawn() -> None:
    store = posts([0, 1, 2] * 30, None, [1] * 60 + [3] * 30)
    split = draw(store)
    np.testing.assert_array_equal(split.test, np.arange(60, 90))
    assert counts(store, split.validation) == [2, 2, 2]
    assert split.validation.max() < 60


def test_given_ids_replace_the_draw() -> None:
    store = posts([0, 1, 2] * 30)
    rows = [4, 0, 89, 30]
    for split_seed in range(4):
        split = draw(store, 600, split_seed=split_seed, labeled_ids=store.ids(rows))
        assert split.labelled.tolist() == [0, 4, 30, 89]
        assert not np.isin(rows, np.concatenate([split.test, split.validation])).any()


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (["post 0", "post 1", "post 2", "x", "y"], "2 of the 5 labelled ids .* are no posts of the data, as x, y"),
        (["post 0", "post 1", "post 0"], "have 'post 0' twice"),
        (["post 0", "post 1"], "have no post of the class positive"),
        (["post 0", "post 1", "post 2", "post 90"], "1 of the labelled ids .* have no label, as post 90"),
        (["post 0", "post 1", "post 80"], "are published validation or test posts, .* as post 80"),
    ],
)
def test_bad_ids_are_named(ids: list[str], message: str) -> None:
    store = posts([0, 1, 2] * 30 + [-1], None, [1] * 60 + [3] * 30 + [0])
    with pytest.raises(ValueError, match=message):
        draw(store, labeled_ids=ids)


def test_one_class_alone_is_nothing_to_learn() -> None:
    store = cast(PostStore, replace(cast(Posts, posts([0] * 10)), classes=("negative",)))
    with pytest.raises(ValueError, match=r"the labels name one class alone \(negative\)"):
        draw(store)


@pytest.mark.parametrize(
    ("label", "options", "message"),
    [
        (
            [0, 1, 2] * 10,
            {"num_labels": 25},
            r"--num_labels 25 is more than the 21 .*\(negative 7, neutral 7, positive 7",
        ),
        ([0, 1, 2] * 10, {"num_labels": 2}, "--num_labels 2 is less than one for each of the 3 classes"),
        ([0, 1, 2] * 10, {"num_labels": -3}, "--num_labels -3"),
        ([0, 1] * 10, {"num_labels": 6}, r"no labelled post of the class positive .*negative 7, neutral 7, positive 0"),
        ([-1] * 10, {}, "no labelled post of the class negative, neutral, positive"),
        ([0, 1, 2], {"val_ratio": 1.0}, "--val_ratio 1.0: a share from 0"),
        ([0, 1, 2], {"test_ratio": -0.1}, "--test_ratio -0.1: a share"),
        ([0, 1, 2], {"test_ratio": 0.5, "val_ratio": 0.5}, "leave no post to train with"),
    ],
)
def test_what_cannot_be_drawn_is_said(label: list[int], options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        draw(posts(label), **options)


def test_a_class_that_a_part_lacks_is_said() -> None:
    with pytest.warns(UserWarning, match="there is no test post of the class neutral"):
        draw(posts([0] * 50 + [1] * 2 + [2] * 50))


def test_saved_and_loaded(tmp_path: Path) -> None:
    store = posts([0, 1, 2, -1] * 10)
    split = draw(store, 6, seed=3)
    split.save(tmp_path / "split.json")
    assert [file.name for file in tmp_path.iterdir()] == ["split.json"]
    loaded = Split.load(tmp_path / "split.json", store)
    for name in PARTS:
        np.testing.assert_array_equal(getattr(loaded, name), getattr(split, name))
    assert loaded.fingerprint == split.fingerprint

    other = posts([0, 1, 2, -1] * 10)
    other.fingerprint = "other posts"
    with pytest.raises(ValueError, match=r"split\.json is a split of other posts"):
        Split.load(tmp_path / "split.json", other)
    whole = (tmp_path / "split.json").read_text()
    (tmp_path / "split.json").write_text(whole.replace('"rows": [', '"rows": [1, ', 1))
    with pytest.raises(ValueError, match="was changed after it was written"):
        Split.load(tmp_path / "split.json", store)
    (tmp_path / "split.json").write_text(whole[:100])
    with pytest.raises(ValueError, match="is no split that can be read"):
        Split.load(tmp_path / "split.json", store)
    with pytest.raises(ValueError, match="is no split that can be read"):
        Split.load(tmp_path / "missing.json", store)


def test_from_a_table_to_a_split(tmp_path: Path) -> None:
    rows = [f"p{number},text {number} of {number * 7},{number % 3}\n" for number in range(60)]
    (tmp_path / "posts.csv").write_text("id,text,label\n" + "".join(rows))
    reader = find("table")()
    store = ingest([(reader.read(tmp_path / "posts.csv", ReaderOptions()), None)], tmp_path / "store", reader.classes)
    split = draw(store, 6)
    split.save(tmp_path / "split.json")
    saved = json.loads((tmp_path / "split.json").read_text())
    assert saved["labelled"]["ids"] == [f"p{row}" for row in split.labelled]
    assert (store.label[split.labelled] == split.labelled % 3).all()
    assert Split.load(tmp_path / "split.json", PostStore(tmp_path / "store")).fingerprint == split.fingerprint


def test_fingerprint_goes_by_posts_and_parts() -> None:
    store, renamed = posts([0, 1, 2] * 20), posts([0, 1, 2] * 20)
    renamed.fingerprint = "other posts"
    prints = [
        draw(store, 6).fingerprint,
        draw(store, 9).fingerprint,
        draw(store, 6, include_lb_to_ulb=False).fingerprint,
        draw(renamed, 6).fingerprint,
    ]
    assert len(set(prints)) == len(prints)


def test_ids_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "ids.txt").write_text("a\n\n b \n")
    assert read_ids(tmp_path / "ids.txt") == ["a", "b"]
    (tmp_path / "ids.txt").write_text("\n")
    with pytest.raises(ValueError, match="holds no id"):
        read_ids(tmp_path / "ids.txt")
    with pytest.raises(ValueError, match=r"--labeled_ids_path .*missing\.txt cannot be read"):
        read_ids(tmp_path / "missing.txt")


def test_a_million_posts_take_seconds() -> None:
    rng = np.random.default_rng(0)
    store = posts(rng.integers(-1, 3, 1_000_000), rng.integers(0, 900_000, 1_000_000))
    start = time.perf_counter()
    draw(store, 600)
    # About half a second; the margin is for a busy machine, and a loop over posts would still be far beyond it.
    assert time.perf_counter() - start < 8
