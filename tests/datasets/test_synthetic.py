"""The synthetic world: deterministic, as its options say, and honest about its truth."""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from datasets import synthetic_words as words
from datasets.options import WorldOptions
from datasets.posts import SENTIMENTS, Post
from datasets.seeds import generator
from datasets.synthetic import CLASS_SHARES, TEACHER_CONFUSION, SyntheticWorld, draw_truth, teacher_answer
from datasets.synthetic_images import draw_image
from datasets.synthetic_text import write_tweet

POSTS = 1500


@pytest.fixture(scope="module")
def posts() -> list[Post]:
    """The first posts of the default world, with many near-duplicates."""
    return list(SyntheticWorld(WorldOptions(world_posts=POSTS, world_duplicates=0.1)).posts())


def normalised(text: str) -> str:
    """The text as the search for near-duplicates sees it: no retweet mark, mention, link or capital."""
    return " ".join(re.sub(r"RT @\w+:|@\w+|https?://\S+", " ", text).lower().split())


def pixels(jpeg: object) -> np.ndarray:
    assert isinstance(jpeg, bytes)
    with Image.open(io.BytesIO(jpeg)) as image:
        return np.asarray(image.convert("RGB"), dtype=np.float64)


def share(posts: list[Post], holds: Callable[[Post], object]) -> float:
    return sum(bool(holds(post)) for post in posts) / len(posts)


def test_a_post_depends_on_seed_and_index_alone(posts: list[Post]) -> None:
    world = SyntheticWorld(WorldOptions(world_posts=POSTS, world_duplicates=0.1))
    for index in (1200, 3, 700):
        assert world.post(index) == posts[index]
    longer = SyntheticWorld(WorldOptions(world_posts=10 * POSTS, world_duplicates=0.1))
    assert longer.post(700) == posts[700]
    other = SyntheticWorld(WorldOptions(world_posts=POSTS, world_seed=1, world_duplicates=0.1))
    assert other.post(700).text != posts[700].text and other.post(700).image != posts[700].image
    assert len(world) == len(posts) and len({post.id for post in posts}) == POSTS


def test_classes_are_distributed_as_documented() -> None:
    options = WorldOptions()
    counts = Counter(draw_truth(generator(0, "test", index), options).label for index in range(4000))
    assert [counts[label] / 4000 for label in range(3)] == pytest.approx(CLASS_SHARES, abs=0.03)


def test_truth_columns_agree_with_the_post(posts: list[Post]) -> None:
    for post in posts:
        assert post.label == SENTIMENTS[post.extra["true_label"]]  # type: ignore[call-overload]
        assert (post.text is None) == (post.text_label is None) == (post.extra["missing"] == "text")
        assert (post.image is None) == (post.image_label is None) == (post.extra["missing"] == "image")
        assert (post.teacher is None) == (post.text is None)
        assert post.group is None
        deciding = {
            "text": (post.text_label,),
            "image": (post.image_label,),
            "both": (post.text_label, post.image_label),
        }
        assert set(deciding[str(post.extra["decides"])]) == {post.label}
        both_there = post.text_label is not None and post.image_label is not None
        assert post.extra["conflict"] == (both_there and post.text_label != post.image_label)
        assert not post.extra["sarcasm"] or post.text_label == "negative"


@pytest.mark.parametrize(
    "conflict,image_decides,no_image,no_text", [(0.25, 0.5, 0.05, 0.05), (0.6, 0.9, 0.0, 0.3), (0, 0, 0, 0)]
)
def test_shares_are_as_the_options_ask(conflict: float, image_decides: float, no_image: float, no_text: float) -> None:
    options = WorldOptions(
        world_conflict=conflict,
        world_image_decides=image_decides,
        world_missing_image=no_image,
        world_missing_text=no_text,
    )
    truths = [draw_truth(generator(3, "test", index), options) for index in range(4000)]
    missing_image = [truth for truth in truths if truth.image_label is None]
    missing_text = [truth for truth in truths if truth.text_label is None]
    conflicts = [
        truth for truth in truths if None not in (truth.text_label, truth.image_label) and truth.decides != "both"
    ]
    assert len(missing_image) / 4000 == pytest.approx(no_image, abs=0.02)
    assert len(missing_text) / 4000 == pytest.approx(no_text, abs=0.02)
    assert len(conflicts) / 4000 == pytest.approx(conflict, abs=0.03)
    assert all(truth.text_label != truth.image_label for truth in conflicts)
    if conflicts:
        assert np.mean([truth.decides == "image" for truth in conflicts]) == pytest.approx(image_decides, abs=0.04)


def test_the_stronger_modality_decides_mostly() -> None:
    def louder_is_right(noise: float) -> float:
        options = WorldOptions(world_conflict=1.0, world_missing_image=0.0, world_missing_text=0.0, world_noise=noise)
        truths = [draw_truth(generator(0, "test", index), options) for index in range(1500)]
        return float(np.mean([(one.image_strength > one.text_strength) == (one.decides == "image") for one in truths]))

    assert louder_is_right(0.0) == 1.0
    assert 0.9 < louder_is_right(0.3) < 1.0
    assert 0.7 < louder_is_right(1.0) < louder_is_right(0.3)


def test_no_text_occurs_twice_but_for_retweets(posts: list[Post]) -> None:
    originals = [normalised(post.text) for post in posts if post.text and not post.extra["duplicate_of"]]
    assert len(set(originals)) == len(originals)
    assert min(len(text.split()) for text in originals) >= 4  # shorter ones are no evidence of a retweet


def test_near_duplicates_repeat_an_earlier_post(posts: list[Post]) -> None:
    by_id = {post.id: post for post in posts}
    copies = [post for post in posts if post.extra["duplicate_of"]]
    assert share(posts, lambda post: post.extra["duplicate_of"]) == pytest.approx(0.1, abs=0.03)
    for copy in copies:
        original = by_id[str(copy.extra["duplicate_of"])]
        assert original.id < copy.id and not original.extra["duplicate_of"]
        assert (copy.label, copy.text_label, copy.image_label) == (
            original.label,
            original.text_label,
            original.image_label,
        )
        if original.text is not None:
            assert copy.text is not None and re.fullmatch(r"RT @\w+: .*", copy.text)
            assert normalised(copy.text) == normalised(original.text)
        if original.image is not None:
            assert copy.image != original.image
            assert np.abs(pixels(copy.image) - pixels(original.image)).mean() < 20
    assert not any(
        post.extra["duplicate_of"] for post in SyntheticWorld(WorldOptions(world_posts=50, world_duplicates=0)).posts()
    )


def test_difference_hash_tells_near_duplicates_from_the_rest(posts: list[Post]) -> None:
    def difference_hash(post: Post) -> np.ndarray:
        grey = (
            Image.fromarray(pixels(post.image).astype(np.uint8)).convert("L").resize((9, 8), Image.Resampling.BILINEAR)
        )
        values = np.asarray(grey, dtype=np.int16)
        return (values[:, 1:] > values[:, :-1]).ravel()

    hashes = {post.id: difference_hash(post) for post in posts if post.image is not None}
    copies = [post for post in posts if post.extra["duplicate_of"] and post.id in hashes]
    apart = [int((hashes[copy.id] != hashes[str(copy.extra["duplicate_of"])]).sum()) for copy in copies]
    assert np.mean(np.array(apart) <= 3) > 0.8
    originals = np.stack([hashes[post.id] for post in posts if post.id in hashes and not post.extra["duplicate_of"]])
    signs = originals * 2.0 - 1.0
    distances = (64 - signs @ signs.T) / 2 + 64 * np.eye(len(signs))
    assert distances.min() > 3


@pytest.mark.parametrize("size", [32, 64, 160])
def test_images_have_the_size_asked_for(size: int) -> None:
    world = SyntheticWorld(WorldOptions(world_posts=6, world_size=size, world_missing_image=0.0, world_duplicates=0.0))
    assert {pixels(post.image).shape for post in world.posts()} == {(size, size, 3)}


def test_every_modality_can_be_missing_everywhere() -> None:
    agreeing = WorldOptions(world_posts=20, world_conflict=0.0, world_missing_image=0.0, world_missing_text=0.0)
    mute = SyntheticWorld(replace(agreeing, world_missing_text=1.0))
    assert all(post.text is None and post.image for post in mute.posts())
    blind = SyntheticWorld(replace(agreeing, world_missing_image=1.0))
    assert all(post.image is None and post.text for post in blind.posts())


def test_a_noiseless_text_holds_cues_of_its_class_alone() -> None:
    def cues(label: int) -> set[str]:
        adjectives = {*words.ADJECTIVES[label], *words.SLANG[label]}
        return {*adjectives, *words.NOUNS[label]}

    others = cues(0) | cues(2)
    for index in range(300):
        tweet = write_tweet(generator(index, "test"), 1, 0.5, noise=0.0)
        assert not others & set(re.findall(r"[a-z-]+", tweet.text.lower())), tweet.text
        assert not write_tweet(generator(index, "test"), 0, 0.5, noise=0.0).sarcasm
    sarcastic = [write_tweet(generator(index, "test"), 0, 0.5, noise=1.0).sarcasm for index in range(500)]
    assert np.mean(sarcastic) == pytest.approx(0.4, abs=0.07)


def test_strength_is_heard_and_seen() -> None:
    def shouts(strength: float) -> float:
        return float(
            np.mean(["!" in write_tweet(generator(index, "test"), 2, strength, 0.3).text for index in range(300)])
        )

    def contrast(strength: float) -> float:
        drawn = (draw_image(generator(index, "test"), 2, strength, 0.0, 64) for index in range(60))
        return float(np.mean([np.abs(np.diff(np.asarray(image, dtype=np.float64), axis=1)).mean() for image in drawn]))

    assert shouts(0.9) > shouts(0.1) + 0.4
    assert contrast(1.0) > 1.1 * contrast(0.0)


def test_slang_is_one_class_alone_and_unknown_elsewhere() -> None:
    lists = [set(slang) for slang in words.SLANG]
    assert all(len(slang) == 200 for slang in lists)
    known = {word for kind in (words.ADJECTIVES, words.NOUNS) for per_class in kind for word in per_class}
    assert not lists[0] & lists[1] and not lists[1] & lists[2] and not lists[0] & lists[2]
    assert not known & (lists[0] | lists[1] | lists[2])


def test_teacher_errs_as_published() -> None:
    for label in range(3):
        answers = np.array([teacher_answer(generator(index, "test", label), label, 1.0) for index in range(3000)])
        assert np.bincount(answers.argmax(1), minlength=3) / 3000 == pytest.approx(
            np.array(TEACHER_CONFUSION[label]), abs=0.03
        )
        assert answers.sum(1) == pytest.approx(1.0) and answers.min() > 0
        sure = answers.max(1)
        assert sure[answers.argmax(1) == label].mean() > sure[answers.argmax(1) != label].mean() + 0.1
        perfect = np.array([teacher_answer(generator(index, "test", label), label, 0.0) for index in range(200)])
        assert (perfect.argmax(1) == label).all()


@pytest.mark.parametrize(
    "wrong,flag",
    [
        ({"world_posts": 0}, "--world_posts is 0"),
        ({"world_size": 16}, "--world_size is 16"),
        ({"world_noise": 1.5}, "--world_noise is 1.5"),
        ({"world_duplicates": -0.1}, "--world_duplicates is -0.1"),
        ({"world_conflict": 0.9, "world_missing_text": 0.2}, "--world_conflict, --world_missing_image"),
    ],
)
def test_impossible_worlds_are_refused(wrong: dict[str, float], flag: str) -> None:
    with pytest.raises(ValueError, match=flag):
        SyntheticWorld(replace(WorldOptions(), **wrong))  # type: ignore[arg-type]
