"""Near-duplicates over a whole store: planted ones are found, splits go by them, benchmarks are kept out."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datasets import neighbours as searching
from datasets.features import create_features
from datasets.image_vectors import EncoderFeatures, Looks
from datasets.images import shrink_and_compare
from datasets.ingest import ingest
from datasets.near_duplicates import (
    equal_vectors,
    image_groups,
    listed,
    near_groups,
    original_groups,
    rows_of_benchmark,
    write_groups,
)
from datasets.neighbours import SearchOptions, blocks, build_index, neighbours
from datasets.posts import SENTIMENTS, Post
from datasets.splits import draw_split
from datasets.store import PostStore, StoreWriter
from datasets.synthetic_crawl import SyntheticCrawl, SyntheticCrawlOptions
from scripts.bench_crawl import precision_and_recall
from tests.datasets.pictures import encoded, scene


class Array:
    """Vectors that are in memory."""

    def __init__(self, values) -> None:
        self._values = np.asarray(values, np.float32)
        self.width = self._values.shape[1]

    def __len__(self) -> int:
        return len(self._values)

    def at(self, positions: np.ndarray) -> np.ndarray:
        return self._values[positions]


@pytest.fixture(scope="module")
def crawled(tmp_path_factory) -> tuple[PostStore, np.ndarray]:
    """The photos of 2,000 synthetic tweets, and the number of the picture that each one shows."""
    crawl = SyntheticCrawl(SyntheticCrawlOptions(tweets=2000, pictures=400, picture_size=32))
    path, pictures = tmp_path_factory.mktemp("crawled") / "s", []
    with StoreWriter(path, SENTIMENTS) as writer:
        for index in range(2000):
            tweet = crawl.tweet(index)
            for number, (picture, _, jpeg) in enumerate(tweet.photos):
                look = shrink_and_compare(jpeg)
                writer.add(f"{tweet.id}-{number}", image=look.jpeg, image_hash=look.hash, thumbnail=look.thumbnail)
                pictures.append(picture)
    return PostStore(path), np.array(pictures)


@pytest.mark.parametrize("kind", ["exact", "lists in memory", "lists in a file"])
def test_planted_near_duplicates_are_found(crawled, kind, monkeypatch):
    store, pictures = crawled
    if kind != "exact":
        monkeypatch.setattr(searching, "EXACT", 100)
        monkeypatch.setattr(searching, "IN_MEMORY", 0 if kind == "lists in a file" else 1 << 30)
        monkeypatch.setattr(searching, "TRAINED_ON", 40)
    found = image_groups(store, Looks(store), SearchOptions())
    precision, recall = precision_and_recall(pictures, found)
    assert precision >= 0.95
    assert recall >= 0.95
    assert np.bincount(pictures).max() > 10


def test_links_go_through_others_and_equal_ones_have_no_limit():
    line = [[0.1 * step, 0.0] for step in range(5)]
    far = [[10.0, 0.0]] * 300
    vectors = Array([*line, *far, [10.05, 0.0], [20.0, 0.0]])
    expected = [0] * 5 + [5] * 301 + [306]
    assert near_groups(vectors, 0.02, SearchOptions(num_nn=3)).tolist() == expected
    assert near_groups(vectors, 0.001, SearchOptions(num_nn=3)).tolist() == [0, 1, 2, 3, 4] + [5] * 300 + [305, 306]
    assert equal_vectors(vectors).tolist() == [0, 1, 2, 3, 4] + [5] * 300 + [305, 306]
    assert near_groups(Array(np.zeros((0, 2))), 1, SearchOptions()).tolist() == []


def test_pairs_are_joined_before_they_fill_the_memory(monkeypatch):
    vectors = Array(np.arange(200)[:, None] * 0.1)
    monkeypatch.setattr("datasets.near_duplicates.MOST_PAIRS", 10)
    monkeypatch.setattr(searching, "BLOCK", 16)
    assert near_groups(vectors, 0.02, SearchOptions(num_nn=5)).tolist() == [0] * 200


def test_the_original_rule_by_hand():
    """Four neighbours each; scaled to length 1 the near ones are below 0.15, the far ones are not."""
    near_one = np.array([0.0, 0.1, 5.0, 5.0])
    lone = np.array([0.0, 5.0, 5.0, 5.0])
    blocks_of_neighbours = [
        (0, np.stack([lone, near_one]), np.array([[0, 1, 2, 3], [1, 2, 0, 3]])),  # 2 repeats 1
        (2, np.stack([near_one, near_one]), np.array([[2, 0, 1, 3], [3, 1, 0, 2]])),  # 2 is taken; so is 1
        (4, np.stack([near_one, near_one]), np.array([[5, 4, 0, 1], [5, 4, 0, 1]])),  # equal: the first named is kept
        (6, np.array([[0.0, 0.2, 1e38, 1e38]]), np.array([[6, 0, -1, -1]])),  # scaled by what was found: far
        (7, np.zeros((1, 4)), np.array([[7, 8, 6, 0]])),  # all at distance 0
    ]
    assert original_groups(blocks_of_neighbours, 9, 0.15).tolist() == [7, 1, 1, 3, 5, 5, 7, 7, 7]


@pytest.mark.parametrize(("count", "are_near"), [(44, False), (45, True)])
def test_the_original_threshold_depends_on_the_number_of_neighbours(count, are_near):
    """1 / sqrt(44) is above 0.15, 1 / sqrt(45) below: with 100 neighbours, equal distances are all near."""
    row = np.ones((1, count)), np.arange(count)[None]
    assert (original_groups([(0, *row)], count, 0.15) == 0).all() == are_near


def write(path: Path, images: list[bytes | None], **columns) -> PostStore:
    with StoreWriter(path, SENTIMENTS) as writer:
        for number, image in enumerate(images):
            look = None if image is None else shrink_and_compare(image)
            post = {name: values[number] for name, values in columns.items()}
            writer.add(str(number), text=f"a text with number {number}", image=look and look.jpeg, **post)
    return PostStore(path)


def flat(colour: str) -> bytes:
    return encoded(Image.new("RGB", (40, 40), colour))


def test_light_and_size_do_not_matter_and_flat_pictures_are_compared_as_bytes(tmp_path):
    picture = scene(200, 200, seed=1)
    darker = picture.point([round(0.8 * value) for value in range(256)] * 3)
    images = [encoded(picture), None, flat("teal"), encoded(darker, quality=70), flat("navy"), flat("teal")]
    images += [encoded(picture.resize((150, 150))), encoded(scene(200, 200, seed=2))]
    store = write(tmp_path / "s", images)
    found = image_groups(store, Looks(store), SearchOptions())
    assert found.tolist() == [0, 1, 2, 0, 4, 2, 0, 7]
    assert [rows.tolist() for rows in listed(found)] == [[0, 3, 6], [2, 5]]
    benchmark = write(tmp_path / "b", [encoded(picture, quality=60), flat("navy")])
    near = rows_of_benchmark(store, Looks(store), benchmark, Looks(benchmark), SearchOptions())
    assert near.tolist() == [True, False, False, True, True, False, True, False]
    nothing = write(tmp_path / "n", [None])
    assert not rows_of_benchmark(store, Looks(store), nothing, Looks(nothing), SearchOptions()).any()


@pytest.mark.filterwarnings("ignore:there is no (validation|test) post")
def test_groups_are_written_and_splits_go_by_them(tmp_path):
    """Photos of one tweet, one picture and one text are on one side; what a benchmark shows is nowhere."""
    images = [encoded(scene(60, 60, seed=number // 2)) for number in range(120)]
    groups = ["tweet" if number in (0, 40) else None for number in range(120)]
    store = write(tmp_path / "s", images, label=[SENTIMENTS[number // 2 % 3] for number in range(120)], group=groups)
    found = image_groups(store, Looks(store), SearchOptions())
    of_benchmark = np.zeros(120, bool)
    of_benchmark[[10, 11]] = True
    store = write_groups(store, found, of_benchmark)
    assert store.group[0] == store.group[1] == store.group[40] == store.group[41]
    assert store.column("image_group")[40] == 40
    split = draw_split(store, num_labels=0, seed=0, val_ratio=0.2, test_ratio=0.2)
    sides = {name: set(store.group[getattr(split, name)]) for name in ("labelled", "validation", "test")}
    assert all(sides.values())
    assert not sides["labelled"] & sides["test"]
    assert not sides["labelled"] & sides["validation"]
    used = np.concatenate([split.labelled, split.unlabelled, split.validation, split.test])
    assert not {10, 11} & set(used.tolist())
    assert any("2 posts neither train nor are drawn" in note for note in split.notes)


def test_features_of_an_encoder_and_of_other_posts(tmp_path):
    store = write(tmp_path / "s", [encoded(scene(seed=number)) for number in range(6)] + [None])
    values = np.eye(7, 8) + 0.01
    values[4] = 3 * values[1] + 0.02
    about = {"posts": store.fingerprint_of("image"), "modality": "image", "weights": "w"}
    with create_features(tmp_path / "f", 7, 8, 1, about=about) as arrays:
        arrays["clean"][:] = values
    vectors = EncoderFeatures(store, tmp_path / "f")
    assert image_groups(store, vectors, SearchOptions()).tolist() == [0, 1, 2, 3, 1, 5, 6]
    other = ingest([([Post("1", "a")], None)], tmp_path / "other")
    with pytest.raises(ValueError, match="holds no features of the images of"):
        EncoderFeatures(other, tmp_path / "f")


def test_neighbours_come_in_blocks_and_missing_ones_are_marked(tmp_path, monkeypatch):
    monkeypatch.setattr(searching, "BLOCK", 10)
    vectors = Array(np.random.default_rng(0).standard_normal((45, 4)))
    assert [start for start, _ in blocks(vectors)] == [0, 10, 20, 30, 40]
    index = build_index(vectors, SearchOptions(n_list=5, n_probe=1), tmp_path)
    found = list(neighbours(index, vectors, 45))
    assert [start for start, _, _ in found] == [0, 10, 20, 30, 40]
    positions = np.concatenate([part for _, _, part in found])
    assert positions[:, 0].tolist() == list(range(45))
    assert (positions == -1).any()


def test_the_script_lists_and_says(tmp_path, capsys):
    from scripts.find_duplicates import DuplicateOptions, main

    images = [encoded(scene(60, 60, seed=number // 2)) for number in range(8)]
    store = write(tmp_path / "s", images, extra=[{"path": f"1/{number}.jpg"} for number in range(8)])
    folder = tmp_path / "benchmark" / "joy"
    folder.mkdir(parents=True)
    (folder / "1.jpg").write_bytes(images[6])
    main(DuplicateOptions(store.path, against=(tmp_path / "benchmark",), output=tmp_path / "d.csv"))
    with (tmp_path / "d.csv").open() as file:
        rows = list(csv.reader(file))
    assert rows[:2] == [["duplicated image", "duplicates"], ["1/0.jpg", "['1/1.jpg']"]]
    assert len(rows) == 5
    assert PostStore(store.path).column("of_benchmark").tolist() == [False] * 6 + [True] * 2
    said = capsys.readouterr().out
    assert "1 images, near them 2 posts" in said
    assert "8 images, 4 of them repeat an earlier one" in said
    main(DuplicateOptions(store.path, output=tmp_path / "again.csv"))
    assert PostStore(store.path).column("of_benchmark").tolist() == [False] * 6 + [True] * 2
    assert "2 posts stay marked as near a benchmark's, since no --against" in capsys.readouterr().out
    other = tmp_path / "other benchmark"
    other.mkdir()
    (other / "1.jpg").write_bytes(images[0])
    main(DuplicateOptions(store.path, against=(other,)))
    assert PostStore(store.path).column("of_benchmark").tolist() == [True] * 2 + [False] * 6
    assert "2 posts that were marked before are near none of these" in capsys.readouterr().out
    with pytest.raises(ValueError, match="should be a folder"):
        main(DuplicateOptions(store.path, against=(tmp_path / "nowhere",)))
    with pytest.raises(ValueError, match="give --against_features for each --against"):
        DuplicateOptions(store.path, against=(folder,), features=folder)
    with pytest.raises(ValueError, match="--num_nn 0 must be 1 or more"):
        SearchOptions(num_nn=0)


def test_the_script_compares_features_of_one_encoder_only(tmp_path, capsys):
    from scripts.find_duplicates import DuplicateOptions, main

    stores = [write(tmp_path / name, [encoded(scene(seed=number)) for number in range(4)]) for name in ("a", "b")]
    for place, weights, shift in (("a", "w", 0), ("b", "w", 3), ("other", "v", 0)):
        store = stores[place != "a"]
        about = {"posts": store.fingerprint_of("image"), "modality": "image", "weights": weights}
        with create_features(tmp_path / f"features {place}", 4, 8, 1, about=about) as arrays:
            arrays["clean"][:] = np.roll(np.eye(4, 8), shift, axis=1)  # shifted by 3: one of four is the same
    options = {"against": (stores[1].path,), "features": tmp_path / "features a"}
    main(DuplicateOptions(stores[0].path, **options, against_features=(tmp_path / "features b",)))
    assert PostStore(stores[0].path).column("of_benchmark").tolist() == [False, False, False, True]
    assert "4 images, near them 1 posts" in capsys.readouterr().out
    with pytest.raises(ValueError, match="features other are of another encoder"):
        main(DuplicateOptions(stores[0].path, **options, against_features=(tmp_path / "features other",)))
