"""The synthetic world: posts of which everything is known. Default data and test bench of the science.

A post has a true sentiment, drawn as 0.30 negative, 0.25 neutral, 0.45 positive. Its text and its image each say
something with a strength of their own. Where they contradict, one of them decides: the one that speaks up, mostly.
Post `index` of a world is a function of (options, index) alone, so posts can be drawn in any order and in parallel.

Truth beside the labels, as extra columns: `true_label` (class id), `decides` ("text", "image", "both"), `conflict`,
`missing` ("", "image", "text"), `duplicate_of` (id of the post that this one repeats, or ""), `sarcasm`,
`text_strength` and `image_strength` (0 to 1; -1 where that modality is missing).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from datasets.options import WorldOptions
from datasets.posts import SENTIMENTS, Post
from datasets.seeds import generator
from datasets.synthetic_draws import between, chance
from datasets.synthetic_images import draw_image, encode_jpeg, near_duplicate
from datasets.synthetic_text import retweet, write_tweet

CLASS_SHARES = (0.30, 0.25, 0.45)
TEACHER_CONFUSION = ((0.570, 0.298, 0.132), (0.022, 0.820, 0.158), (0.015, 0.045, 0.940))
"""A tweet-text teacher's answer (column) for each true sentiment (row): published for T4SA 2.0's teacher."""


@dataclass(frozen=True)
class Truth:
    """What a post is about before it is written. Labels are class ids, None where that modality is missing."""

    label: int
    text_label: int | None
    image_label: int | None
    text_strength: float
    image_strength: float
    decides: str  # "text", "image" or "both"


class SyntheticWorld:
    """The posts of one world."""

    def __init__(self, options: WorldOptions) -> None:
        self.options = options

    def __len__(self) -> int:
        return self.options.world_posts

    def posts(self) -> Iterator[Post]:
        """Every post in order."""
        return (self.post(index) for index in range(len(self)))

    def post(self, index: int) -> Post:
        """Post number `index`, images as JPEG bytes. Near-duplicates repeat a post with a smaller number."""
        assert 0 <= index < len(self), f"post {index} of a world of {len(self)}"
        source = self._source(index)
        return self._original(index) if source == index else self._repeat(index, source)

    def _source(self, index: int) -> int:
        """The number of the post that this one repeats, its own where it is an original."""
        while index > 0:
            rng = generator(self.options.world_seed, "world duplicate", index)
            if not chance(rng, self.options.world_duplicates):
                break
            index = int(rng.random() * index)
        return index

    def _original(self, index: int) -> Post:
        options, seed = self.options, self.options.world_seed
        truth = draw_truth(generator(seed, "world truth", index), options)
        text, image, teacher, sarcasm = None, None, None, False
        if truth.text_label is not None:
            rng = generator(seed, "world text", index)
            tweet = write_tweet(rng, truth.text_label, truth.text_strength, options.world_noise)
            text, sarcasm = tweet.text, tweet.sarcasm
            teacher = teacher_answer(
                generator(seed, "world teacher", index), truth.text_label, options.world_teacher_noise
            )
        if truth.image_label is not None:
            rng = generator(seed, "world image", index)
            image = encode_jpeg(
                draw_image(rng, truth.image_label, truth.image_strength, options.world_noise, options.world_size)
            )
        return Post(
            id=self._id(index),
            text=text,
            image=image,
            label=SENTIMENTS[truth.label],
            text_label=_name(truth.text_label),
            image_label=_name(truth.image_label),
            teacher=teacher,
            extra={
                "true_label": truth.label,
                "decides": truth.decides,
                "conflict": None not in (text, image) and truth.text_label != truth.image_label,
                "missing": "text" if text is None else "image" if image is None else "",
                "duplicate_of": "",
                "sarcasm": sarcasm,
                "text_strength": truth.text_strength,
                "image_strength": truth.image_strength,
            },
        )

    def _repeat(self, index: int, source: int) -> Post:
        """The source's post as somebody else posts it: retweeted text, image moved and recompressed, the same truth."""
        original = self._original(source)
        rng = generator(self.options.world_seed, "world repeat", index)
        return replace(
            original,
            id=self._id(index),
            text=None if original.text is None else retweet(rng, original.text),
            image=near_duplicate(rng, original.image) if isinstance(original.image, bytes) else None,
            extra={**original.extra, "duplicate_of": original.id},
        )

    def _id(self, index: int) -> str:
        return f"world{self.options.world_seed}-{index:07d}"


def draw_truth(rng: np.random.Generator, options: WorldOptions) -> Truth:
    """What text and image of a post say, how loudly, and which decides.

    Where they contradict, the deciding one is loud and the other soft; the two ranges overlap by `world_noise`, so that
    a selection can learn which decides, and is sometimes wrong.
    """
    label = _class_of(rng.random())
    other = (label + 1 + int(rng.random() * 2)) % 3
    kind, image_right = rng.random(), chance(rng, options.world_image_decides)
    first, second = rng.random(), rng.random()
    if kind < options.world_missing_image:
        return Truth(label, label, None, 0.2 + 0.8 * first, -1.0, "text")
    if kind < options.world_missing_image + options.world_missing_text:
        return Truth(label, None, label, -1.0, 0.2 + 0.8 * second, "image")
    if kind < options.world_missing_image + options.world_missing_text + options.world_conflict:
        width = 0.45 + 0.3 * options.world_noise
        loud, soft = 1.0 - width * first, width * second
        if image_right:
            return Truth(label, other, label, soft, loud, "image")
        return Truth(label, label, other, loud, soft, "text")
    return Truth(label, label, label, first, second, "both")


def teacher_answer(rng: np.random.Generator, label: int, noise: float) -> tuple[float, ...]:
    """A text teacher's probabilities; their argmax follows the published confusion of class `label`, scaled by `noise`.

    It is surer where it is right: the margin of its answer is drawn twice as wide.
    """
    confusion = noise * np.asarray(TEACHER_CONFUSION[label])
    confusion[label] += 1.0 - noise
    answer = min(int(np.searchsorted(np.cumsum(confusion), rng.random(), side="right")), len(SENTIMENTS) - 1)
    logits = 0.5 * rng.standard_normal(len(SENTIMENTS))
    rival = max(value for position, value in enumerate(logits) if position != answer)
    logits[answer] = rival + (between(rng, 0.4, 4.0) if answer == label else between(rng, 0.2, 2.0))
    odds = np.exp(logits - logits.max())
    return tuple(float(value) for value in odds / odds.sum())


def _class_of(uniform: float) -> int:
    """The class that a number from [0, 1) falls to."""
    return 0 if uniform < CLASS_SHARES[0] else 1 if uniform < CLASS_SHARES[0] + CLASS_SHARES[1] else 2


def _name(label: int | None) -> str | None:
    return None if label is None else SENTIMENTS[label]
