"""Options of the data: what posts, which of them are labelled, how they are loaded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import tyro

SMALLEST_IMAGE = 32
"""Pixels of a side below which the drawings of the synthetic world cannot be told apart."""

SHARES = (
    "val_ratio", "test_ratio", "strong_text", "modality_dropout", "missing_image_rate", "missing_text_rate",
)  # fmt: skip
"""Options of the data that are shares."""


@dataclass(frozen=True)
class DataOptions:
    """Posts and labels"""

    data_dir: str = ""
    """Folder or file of posts in any layout that a reader knows; empty: the synthetic world."""
    train_data_dir: str = ""
    """Posts to train on. Given alone, validation and test posts are split off it."""
    test_data_dir: str = ""
    """Posts to test on; the same folder as --train_data_dir means: split the test posts off."""
    unlabelled_dir: str = ""
    """More posts to learn from, as a crawl or a store of one; labels that they may have do not count. With labelled
    posts by the other flags."""
    dataset: Annotated[str, tyro.conf.arg(aliases=["-ds"])] = "auto"
    """Reader of the layout, as the README lists them, or store; auto: the one that fits."""
    num_classes: Annotated[int, tyro.conf.arg(aliases=["-nc"])] = 0
    """Number of classes the posts must have; 0: as many as there are."""
    num_posts: int = 0
    """Posts drawn from all of them, by --split_seed, for a quick trial; 0: all."""
    num_labels: Annotated[int, tyro.conf.arg(aliases=["-nl"])] = 600
    """Labelled posts to train with; 0: all that there are."""
    labels_from: Literal["given", "teacher"] = "given"
    """Whose labels count, in training, validation and test: those given with the posts, or a text teacher's most
    probable class, which the store must have (scripts/label_tweets.py)."""
    label_balance: Literal["equal", "proportional"] = "equal"
    """The same number of labelled posts for each class, or as the classes are distributed."""
    include_lb_to_ulb: bool = True
    """Labelled posts are among the unlabelled ones too, as in SCRD."""
    val_ratio: float = 0.1
    """Share of the labelled posts kept for validation, drawn by group, where the data has no such posts of its own."""
    test_ratio: float = 0.2
    """Share of the labelled posts kept for the test, drawn by group, where the data has no such posts of its own."""
    split_seed: int = 0
    """Seed of the draw of validation and test posts. The labelled posts are drawn from --seed."""
    labeled_ids_path: str = ""
    """File with the ids of the labelled posts, one a line, instead of a draw."""
    id_column: str = "id"
    """Table column of the id."""
    text_column: str = "text"
    """Table column of the text."""
    image_column: str = "image"
    """Table column of the image file, relative to the table's folder."""
    label_column: str = "label"
    """Table column of the label."""
    cache_dir: str = "cache"
    """Where post stores, token ids and features of frozen encoders are kept between runs."""
    num_workers: int = 1
    """Processes that read and decode posts; 0: none but the main one."""
    region_features: str = ""
    """Folder of the regions of images, for --net lxmert: features/feat_ID and boxes/nbox_ID for each post's id."""
    image_size: int = 0
    """Pixels of the square that an image net sees; 0: what it was trained with (64 for the synthetic world)."""
    text_length: int = 128
    """Tokens of a text at most."""
    strong_image: float = -1.0
    """How far a strong view may turn, shift, recolour and cover an image, from 0 (not at all) to 1 (RandAugment and
    Cutout); -1: 0.3 on the synthetic world, where colours tell the sentiment, else 1."""
    text_rule: Literal["auto", "none", "twitter_roberta", "bertweet", "bernice"] = "auto"
    """How texts are rewritten before they are read: not at all, mentions and links masked as for Cardiff NLP's Twitter
    models or for Bernice, or as for BERTweet, emoji in words too; auto: as the text net was trained."""
    length_window: int = 0
    """Batches among which training posts are sorted by the length of their text, so that little padding is computed;
    the batches then come in random order. 0: posts are not sorted."""
    strong_text: float = 0.15
    """Share of the tokens that a strong view masks, drops or swaps."""
    modality_dropout: float = 0.0
    """Probability that a training view of a post with both modalities loses one of them."""
    missing_image_rate: float = 0.0
    """Share of the training posts with both modalities whose image is taken away for the whole run, by --seed and the
    post's id: the posts of a lower rate are among those of a higher one. For test posts see scripts/missing_rate.py."""
    missing_text_rate: float = 0.0
    """The same for the text, of other posts; both rates add up to 1 at most."""

    def __post_init__(self) -> None:
        at_least = {
            "num_classes": 0,
            "num_posts": 0,
            "num_labels": 0,
            "split_seed": 0,
            "num_workers": 0,
            "image_size": 0,
            "text_length": 4,
            "length_window": 0,
        }
        for name, low in at_least.items():
            if getattr(self, name) < low:
                raise ValueError(f"--{name} {getattr(self, name)} must be {low} or more")
        if self.num_classes == 1:
            raise ValueError(
                "--num_classes 1 leaves nothing to learn; it must be 2 or more, or 0 for what the data has"
            )
        for name in SHARES:
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"--{name} {getattr(self, name)} is a share, so it must be from 0 to 1")
        if self.strong_image != -1 and not 0 <= self.strong_image <= 1:
            raise ValueError(f"--strong_image {self.strong_image} must be from 0 to 1, or -1 for the default")
        if self.missing_image_rate + self.missing_text_rate > 1:
            raise ValueError(
                f"--missing_image_rate {self.missing_image_rate} and --missing_text_rate {self.missing_text_rate} take "
                "away modalities of different posts; their sum must be 1 at most"
            )
        if self.val_ratio + self.test_ratio >= 1:
            raise ValueError(
                f"--val_ratio {self.val_ratio} and --test_ratio {self.test_ratio} leave no posts to train on; "
                "their sum must be below 1"
            )


@dataclass(frozen=True)
class CrawlOptions:
    """Which tweets of a crawl are kept: by default as for T4SA 2.0 (Serra et al., ECAI 2023)"""

    tweet_language: str = "en"
    """Language that the crawl gives for a tweet; empty: any."""
    min_words: int = 6
    """Words that a tweet's text has at least, mentions and parts of links among them."""
    original_tweets: bool = True
    """No retweets, quotes or replies."""
    photos_only: bool = True
    """No tweets without a photo; otherwise they are posts of text alone."""

    def __post_init__(self) -> None:
        if self.min_words < 0:
            raise ValueError(f"--min_words {self.min_words} must be 0 or more")


@dataclass(frozen=True)
class WorldOptions:
    """The synthetic world"""

    world_posts: int = 6000
    """Posts to draw."""
    world_seed: int = 0
    """Seed of the world."""
    world_size: int = 64
    """Pixels of a drawn image's side."""
    world_conflict: float = 0.25
    """Share of posts whose text and image say different things."""
    world_image_decides: float = 0.5
    """Share of the conflicting posts in which the image is right."""
    world_missing_image: float = 0.05
    """Share of posts without an image."""
    world_missing_text: float = 0.05
    """Share of posts without a text."""
    world_duplicates: float = 0.03
    """Share of posts that are near-duplicates of another."""
    world_noise: float = 0.2
    """Difficulty, 0 to 1: how much of text and image says nothing, or sarcasm, about the sentiment."""
    world_teacher_noise: float = 1.0
    """Errors of the text teacher: 0 is always right about the text, 1 errs as the published teacher does."""

    def __post_init__(self) -> None:
        if self.world_posts < 1:
            raise ValueError(f"--world_posts is {self.world_posts}; a world needs at least 1 post.")
        if self.world_seed < 0:
            raise ValueError(f"--world_seed is {self.world_seed}; it must be 0 or more.")
        if self.world_size < SMALLEST_IMAGE:
            raise ValueError(
                f"--world_size is {self.world_size}; an image needs at least {SMALLEST_IMAGE} pixels a side."
            )
        shares = ("conflict", "image_decides", "missing_image", "missing_text", "duplicates", "noise", "teacher_noise")
        for name in (f"world_{share}" for share in shares):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"--{name} is {getattr(self, name)}; it is a share and must lie between 0 and 1.")
        total = self.world_conflict + self.world_missing_image + self.world_missing_text
        if total > 1 + 1e-9:
            raise ValueError(
                "--world_conflict, --world_missing_image and --world_missing_text add up to "
                f"{total:g}; a post that lacks a modality cannot contradict itself, so they must not exceed 1 together."
            )
