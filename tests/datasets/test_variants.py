"""The variants of T4SA: thresholds, balance, parts by group, and files that are read back."""

from __future__ import annotations

import csv
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datasets import readers
from datasets.ingest import ingest
from datasets.near_duplicates import groups_across, groups_among, write_groups
from datasets.neighbours import SearchOptions
from datasets.posts import SENTIMENTS, Post
from datasets.readers import ReaderOptions
from datasets.store import PostStore, set_columns
from datasets.text_predictions import COLUMNS, TextPredictions
from datasets.variant_files import image_paths, tables_of, write_images
from datasets.variants import (
    MERGED,
    MERGES,
    NAMES,
    VARIANTS,
    Chosen,
    VariantSource,
    draw_parts,
    merged,
    probabilities_of,
    teacher_labels,
    undersample,
)
from scripts.build_t4sa import BuildOptions, main
from tests.datasets.pictures import encoded, scene

OF = {variant.name: variant for variant in VARIANTS}
TWEETS, POSTS = 300, 400


def test_the_thresholds_of_the_published_variants():
    probabilities = np.array(
        [
            [0.71, 0.29, 0.0],
            [0.70, 0.30, 0.0],  # not strictly greater
            [0.05, 0.90, 0.05],
            [0.05, 0.91, 0.04],
            [0.0, 0.05, 0.95],
            [0.5, 0.5, 0.0],  # equal: negative before neutral
            [0.0, 0.5, 0.5],  # neutral before positive
            [0.0, 0.0, 0.0],  # no answer
        ],
        np.float32,
    )
    assert teacher_labels(probabilities, (0.70, 0.90, 0.90)).tolist() == [0, -1, -1, 1, 2, -1, -1, -1]
    assert teacher_labels(probabilities, (0.70, 0.70, 0.70)).tolist() == [0, -1, 1, 1, 2, -1, -1, -1]
    assert teacher_labels(probabilities, None).tolist() == [0, 0, 1, 1, 2, 0, 1, -1]
    sixty = np.array([[0.6, 0.4, 0.0]], np.float32)  # float32(0.6) is above 0.6
    assert teacher_labels(sixty, (0.6, 0.6, 0.6)).tolist() == [-1]


def test_undersampling_is_seeded_and_equal():
    label = np.random.default_rng(0).choice(3, 500, p=(0.1, 0.3, 0.6))
    rows = undersample(label, 42)
    assert np.bincount(label[rows]).tolist() == [np.bincount(label).min()] * 3
    assert (np.diff(rows) > 0).all()
    assert np.array_equal(rows, undersample(label, 42))
    assert not np.array_equal(rows, undersample(label, 43))


def test_parts_are_stratified_and_groups_are_whole():
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(1000), rng.integers(1, 4, 1000)) * 7
    label = rng.choice(3, 1000, p=(0.15, 0.35, 0.5))[group // 7]
    part = draw_parts(label, group, 42)
    for one in (0, 1, 2):
        assert not set(group[part == one]) & set(group[part != one])
    for class_id in range(3):
        shares = np.bincount(part[label == class_id], minlength=3) / (label == class_id).sum()
        assert np.allclose(shares, (0.8, 0.1, 0.1), atol=0.01)


def store_of(path: Path, posts: list[Post], groups: np.ndarray | None = None, benchmark: int = -1) -> PostStore:
    store = ingest([(posts, None)], path, SENTIMENTS)
    return write_groups(store, np.arange(len(store)) if groups is None else groups, np.arange(len(store)) == benchmark)


def photos(tweets: int = TWEETS) -> list[Post]:
    """Two photos for every third tweet, one for others; of a tweet the teacher is sure or not.

    Post 7 has no image, post 8 no answer.
    """
    rng = np.random.default_rng(0)
    posts = []
    for tweet in range(tweets):
        best = rng.choice(3, p=(0.2, 0.3, 0.5))
        answer = np.full(3, 0.02)
        answer[best] = rng.uniform(0.5, 0.96)
        answer[(best + 1) % 3] = 0.98 - answer[best]
        identifier = 1_531_700_000_000_000_000 + tweet
        for number in range(2 if tweet % 3 == 0 else 1):
            path = f"15317/{identifier}-{number}.jpg"
            image = encoded(scene(12, 12, seed=2 * tweet + number))
            extra = {"tweet": str(identifier), "path": path}
            teacher = tuple(float(value) for value in answer)
            posts.append(
                Post(f"{identifier}-{number}", "a text", image, teacher=teacher, group=str(identifier), extra=extra)
            )
    posts[7] = replace(posts[7], image=None)
    posts[8] = replace(posts[8], teacher=None)
    return posts


@pytest.fixture(scope="module")
def crawl(tmp_path_factory) -> PostStore:
    """Post 21 repeats the picture of post 20, post 30 that of a benchmark."""
    groups = np.arange(POSTS)
    groups[21] = 20
    return store_of(tmp_path_factory.mktemp("crawl") / "s", photos(), groups, benchmark=30)


def test_what_a_variant_leaves_out(crawl):
    source = VariantSource(crawl, None, 42)
    assert source.near_benchmarks == 1
    everything = source.choose(replace(OF["unb_T4SA2.0"], labels="any"), None)
    assert sorted(set(range(POSTS)) - set(everything.rows.tolist())) == [7, 8, 21, 30]
    kept = VariantSource(crawl, None, 42, keep_duplicates=True).choose(OF["unb_T4SA2.0"], (0.0, 0.0, 0.0))
    assert 21 in kept.rows
    with pytest.raises(ValueError, match=r"no photo for unb_T4SA2\.0: its thresholds leave none of the class negative"):
        source.choose(OF["unb_T4SA2.0"], (0.99, 0.99, 0.99))


def test_a_class_that_the_thresholds_leave_no_photo_is_named(crawl):
    source = VariantSource(crawl, None, 42)
    sentence = r"of the class neutral \(the teacher gives it 0\.9\d\d at most, and the threshold is 0\.98\)"
    with pytest.warns(UserWarning, match=rf"unb_T4SA2\.0 lacks a class, because .* leave no photo {sentence}"):
        chosen = source.choose(OF["unb_T4SA2.0"], (0.6, 0.98, 0.6))
    assert set(chosen.label.tolist()) == {0, 2}
    with pytest.raises(ValueError, match=rf"no photo for bal_T4SA2\.0: its thresholds leave none {sentence}"):
        source.choose(OF["bal_T4SA2.0"], (0.6, 0.98, 0.6))


def test_photos_of_one_tweet_and_one_picture_are_in_one_part(crawl):
    chosen = VariantSource(crawl, None, 42, keep_duplicates=True).choose(OF["unb_T4SA2.0"], (0.5, 0.5, 0.5))
    part = dict(zip(chosen.rows.tolist(), chosen.part.tolist(), strict=True))
    pairs = [(part[row], part[row + 1]) for row in range(0, POSTS, 4) if row in part and row + 1 in part]
    assert len(pairs) > 80
    assert all(left == right for left, right in pairs)
    assert set(part.values()) == {0, 1, 2}


@pytest.mark.filterwarnings("ignore:unb_T4SA2.0 lacks a class")
def test_left_out_posts_join_nothing(tmp_path):
    """A tweet with the photos 0 and 1, 0 a repeat of 2 and 1 of 3: 2 and 3 are in one group of the store, but apart."""
    posts = photos(9)
    for row, group in ((0, "a"), (1, "a"), (2, "b"), (3, "c")):
        posts[row] = replace(posts[row], group=group, teacher=(0.01, 0.01, 0.98))
    store = store_of(tmp_path / "s", posts, np.array([0, 1, 0, 1, *range(4, len(posts))]))
    assert len(set(store.group[:4])) == 1
    assert groups_among(store, np.array([2, 3, 4, 5])).tolist() == [0, 1, 2, 2]
    assert groups_among(store, np.array([0, 1, 2])).tolist() == [0, 0, 0]
    with pytest.warns(UserWarning, match=r"unb_T4SA2\.0 has an empty part"):
        VariantSource(store, None, 42).choose(OF["unb_T4SA2.0"], (0.97, 0.97, 0.97))  # photos 0 and 1, of one tweet


def test_equal_texts_are_one_group(tmp_path):
    posts = [Post(str(number), f"this is said again and again {number % 2}") for number in range(4)]
    store = ingest([(posts, None)], tmp_path / "s", SENTIMENTS)
    assert groups_among(store, np.array([1, 2, 3])).tolist() == [0, 1, 0]


def test_predictions_by_tweet_are_those_of_the_store(crawl, tmp_path):
    with (tmp_path / "p.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(COLUMNS)
        for post in photos():
            if post.teacher is not None:
                table.writerow([post.extra["tweet"], *post.teacher])
    found = probabilities_of(crawl, TextPredictions(tmp_path / "p.csv"))
    own = probabilities_of(crawl, None)
    assert np.allclose(np.delete(found, 8, axis=0), np.delete(own, 8, axis=0))
    assert found[8].sum() > 0.9  # the other photo of this tweet has the answer
    assert own[8].sum() == 0


@pytest.fixture(scope="module")
def built(crawl, tmp_path_factory) -> tuple[Path, PostStore]:
    """All variants, and the store of B-T4SA 1.0 that some are of; its classes are its own, its parts published."""
    root = tmp_path_factory.mktemp("built")
    old = []
    for post in photos(150):
        tweet = int(str(post.group)[-4:])
        identifier, group = (str(word).replace("15317000", "7804838") for word in (post.id, post.group))
        split = ("train", "train", "validation", "test")[tweet % 4]
        extra = {"tweet": group, "path": f"data/78048/{identifier}.jpg"}
        label = SENTIMENTS[tweet // 4 % 3]
        old.append(replace(post, id=identifier, group=group, label=label, split=split, extra=extra))
    store = store_of(root / "old", old)
    main(BuildOptions(root, t4sa2=crawl.path, t4sa1=store.path, write_images=True))
    return root, store


def read(name: str, root: Path) -> list[Post]:
    folder = tables_of(name, root)[0].parent
    reader = readers.recognise(folder)
    assert reader.name == "t4sa_variant"
    return list(reader().read(folder, ReaderOptions()))


@pytest.mark.parametrize("name", NAMES)
def test_every_variant_is_written_and_read_back(name, built, crawl):
    root, old = built
    posts = read(name, root)
    assert {post.split for post in posts} == {"train", "validation", "test"}
    assert {post.label for post in posts} == set(SENTIMENTS)
    by_id = {identifier: row for row, identifier in enumerate(crawl.ids(range(len(crawl))))}
    old_ids = {identifier: row for row, identifier in enumerate(old.ids(range(len(old))))}
    for post in posts:
        is_old = post.id.startswith("data/")
        store, row = (old, old_ids[Path(post.id).stem]) if is_old else (crawl, by_id[Path(post.id).stem])
        assert isinstance(post.image, Path)
        assert post.image.read_bytes() == store.image(row)
        if name != "B-T4SA_1.0":
            assert store.teacher is not None
            assert SENTIMENTS[store.teacher[row].argmax()] == post.label
        else:
            assert (SENTIMENTS[store.label[row]], [None, "train", "validation", "test"][store.split[row]]) == (
                post.label,
                post.split,
            )
    of_tweet: dict[str | None, set[str | None]] = {}
    for post in posts:
        of_tweet.setdefault(post.group, set()).add(post.split)
    assert all(len(splits) == 1 for splits in of_tweet.values())


def test_the_folder_tree_and_formats_are_the_published_ones(built):
    root, _ = built
    line = r"15317/15317\d+-[01]\.jpg,[012]"
    for name in ("bal_flat_T4SA2.0", "bal_T4SA2.0", "unb_T4SA2.0", "merged_T4SA"):
        for part in ("train", "val", "test"):
            rows = (root / "dataset/t4sa 2.0" / name / f"{name}_{part}.csv").read_text().splitlines()
            assert rows[0] == "path,class"
            assert all(re.fullmatch(rf"{line}|data/78048/\d+-[01]\.jpg,[012]", row) for row in rows[1:])
    first = (root / "dataset/t4sa 1.0/original dataset/b-t4sa 1.0/b-t4sa_val.txt").read_text().splitlines()[0]
    assert re.fullmatch(r"data/78048/\d+-[01]\.jpg [012]", first)
    for name in ("b-t4sa1.0 updated", "b-t4sa1.0 updated and filtered"):
        first = (
            (root / "dataset/t4sa 1.0/dataset with new labels" / name / "b-t4sa_val.tsv").read_text().splitlines()[0]
        )
        assert re.fullmatch(r"data/78048/\d+-[01]\.jpg\t[012]", first)


def test_sizes_statistics_and_what_is_merged(built):
    root, _ = built
    count = {name: len(read(name, root)) for name in NAMES}
    assert count["B-T4SA_1.0"] >= count["B-T4SA_1.0_upd"] > count["B-T4SA_1.0_upd_filt"]
    split = {name: {post.id: post.split for post in read(name, root)} for name in NAMES}
    union = split["unb_T4SA2.0"] | split["B-T4SA_1.0_upd_filt"]
    assert count["B-T4SA_1.0_upd_filt"] < count[MERGED] < len(union)  # the two stores show the same pictures
    assert split[MERGED].items() < union.items()
    test = {name: [post for post, part in parts.items() if part == "test"] for name, parts in split.items()}
    with (root / "dataset/t4sa 2.0/img/statistics.csv").open() as file:
        rows = {(row["dataset"], row["part"]): row for row in csv.DictReader(file)}
    for name in NAMES:
        whole = rows[name, "all"]
        assert int(whole["total"]) == count[name] == sum(int(whole[word]) for word in SENTIMENTS)
        assert int(rows[name, "test"]["total"]) == len(test[name])
    for name in ("bal_flat_T4SA2.0", "bal_T4SA2.0"):
        assert len({rows[name, "all"][word] for word in SENTIMENTS}) == 1
    markdown = (root / "dataset/t4sa 2.0/img/statistics.md").read_text()
    assert markdown.startswith("| dataset | part | negative | neutral | positive | total |\n| --- | --- | ---: |")
    assert (root / "dataset/t4sa 2.0/img/statistics.png").read_bytes().startswith(b"\x89PNG")


def test_no_picture_of_both_stores_is_in_two_parts_of_the_merged_variant(tmp_path):
    """The same 90 pictures in both, of other quality: nothing but their look links them."""
    pictures = [scene(60, 60, seed=number) for number in range(90)]
    stores = []
    for place, quality in (("1", 70), ("2", 90)):
        posts = [
            Post(f"{place}{number:05d}", image=encoded(picture, quality=quality), group=f"{place}{number:05d}")
            for number, picture in enumerate(pictures)
        ]
        posts = [replace(post, teacher=tuple(np.roll((0.98, 0.01, 0.01), row % 3))) for row, post in enumerate(posts)]
        stores.append(store_of(tmp_path / place, posts))
    parts = [
        VariantSource(store, None, seed).choose(OF[name], (0.9, 0.9, 0.9))
        for store, name, seed in zip(stores, MERGES, (1, 2), strict=True)
    ]
    assert sum(parts[0].part != parts[1].part) > 10
    found = merged(parts)
    kept = {(int(row), int(part)) for one in found for row, part in zip(one.rows, one.part, strict=True)}
    assert len(kept) == 90
    assert {row for row, part in kept if part == 2} == set(np.flatnonzero((parts[0].part == 2) | (parts[1].part == 2)))
    both = set(np.flatnonzero(parts[0].part == parts[1].part).tolist())
    assert all(set(one.rows.tolist()) >= both for one in found)


def test_the_merged_variant_knows_tweets_texts_and_flat_pictures_of_the_other_store(tmp_path):
    """Posts 1 to 3 are linked to the other store's by tweet, text and bytes; a lone copy gives way to more."""
    flat = encoded(Image.new("RGB", (40, 40), "teal"))
    said = "this is said in both of them"
    first = [Post("0", "a"), Post("1", "b", group="t1"), Post("2", said), Post("3", image=flat)]
    second = [Post("9", "c"), Post("8", "d", group="t1"), Post("7", f"RT @a: {said}"), Post("6", image=flat)]
    second += [replace(second[3], id="5"), Post("4", "e", group="4")]
    stores = [ingest([(posts, None)], tmp_path / name, SENTIMENTS) for name, posts in (("a", first), ("b", second))]
    assert groups_across([(store, np.arange(len(store))) for store in stores], SearchOptions()).tolist() == [
        0, 1, 2, 3, 4, 1, 2, 3, 3, 9
    ]  # fmt: skip
    assert groups_across([(stores[0], np.array([1, 3])), (stores[1], np.array([3, 1]))], SearchOptions()).tolist() == [
        0, 1, 1, 0
    ]  # fmt: skip
    parts = [
        Chosen(store, np.arange(len(store)), np.zeros(len(store), int), np.array(part))
        for store, part in zip(stores, ([0, 0, 1, 2], [2, 1, 0, 0, 0, 1]), strict=True)
    ]
    assert [one.rows.tolist() for one in merged(parts)] == [[0, 2], [0, 1, 3, 4, 5]]


def test_training_rows_are_mixed_and_the_same_again(built, crawl, tmp_path):
    root, _ = built
    main(BuildOptions(tmp_path, t4sa2=crawl.path, variants=("bal_T4SA2.0",)))
    again, before = tables_of("bal_T4SA2.0", tmp_path), tables_of("bal_T4SA2.0", root)
    assert [file.read_bytes() for file in again] == [file.read_bytes() for file in before]
    rows = before[0].read_text().splitlines()[1:]
    assert rows != sorted(rows)
    assert not (tmp_path / "dataset" / "images").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "give the store of the photos"),
        ({"t4sa2": Path("s"), "variants": ("bal",)}, r"--variants bal: there is none .*bal_flat_T4SA2\.0"),
        ({"t4sa2": Path("s"), "thresholds": (0.7, 1.0, 0.9)}, "--thresholds must be from 0"),
        ({"t4sa2": Path("s"), "flat_threshold": -0.1}, "--flat_threshold must be"),
        ({"t4sa2": Path("s"), "seed": -1}, "--seed -1"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        BuildOptions(**options)


def test_what_is_missing_is_named(crawl, tmp_path):
    with pytest.raises(ValueError, match="--variants merged_T4SA needs --t4sa1"):
        main(BuildOptions(tmp_path, t4sa2=crawl.path, variants=(MERGED,)))
    bare = ingest([([Post("1", "a", encoded(scene()))], None)], tmp_path / "bare", SENTIMENTS)
    with pytest.raises(ValueError, match=r"no column image_group: run scripts/find_duplicates\.py"):
        VariantSource(bare, None, 42)
    with pytest.raises(ValueError, match=r"no teacher's probabilities: label it with scripts/label_tweets\.py"):
        probabilities_of(bare, None)
    (tmp_path / "p.csv").write_text("TWID,NEG,NEU,POS\n1,0,0,1\n")
    with pytest.raises(ValueError, match="has no column 'tweet'"):
        probabilities_of(bare, TextPredictions(tmp_path / "p.csv"))
    other = ingest([([Post("1", "a", label="joy"), Post("2", "b", label="awe")], None)], tmp_path / "other")
    set_columns(other.path, teacher=np.eye(2))
    with pytest.raises(ValueError, match="has the classes"):
        probabilities_of(PostStore(other.path), None)


def test_paths_stay_in_the_folder_of_the_images(tmp_path):
    posts = [Post("1", image=encoded(scene())), Post("../2", image=encoded(scene(seed=1)))]
    store = ingest([(posts, None)], tmp_path / "s", SENTIMENTS)
    assert image_paths(store, np.array([0])) == ["1.jpg"]
    with pytest.raises(ValueError, match=r"'\.\./2\.jpg' as the path of a photo"):
        write_images([Chosen(store, np.array([0, 1]), np.zeros(2, int), np.zeros(2, int))], tmp_path)
    assert not (tmp_path / "dataset").exists()
