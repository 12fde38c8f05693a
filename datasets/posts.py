"""A post as a reader yields it, and the words for its classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

SENTIMENTS = ("negative", "neutral", "positive")
"""Class names in the order of their ids: 0, 1, 2. Readers map by name, never by number."""


@dataclass(frozen=True)
class Post:
    """One post before ingest. Labels are class names, None where nobody gave one.

    `image` is a file or encoded bytes (any format Pillow reads), None where the post has no image.
    `group` is the layout's own (a tweet), `linked_group` what another store had joined; neither ever crosses a split.
    `split` is the published one ("train", "validation" or "test") where the layout has it.
    `of_benchmark` says whether its picture is in a benchmark, None where nobody looked.
    `extra` goes into the store as columns of the same name (strings, numbers, booleans).
    `refused` says why a broken record of a crawl or benchmark is no post: ingest lists it in quarantine.csv.
    """

    id: str
    text: str | None = None
    image: Path | bytes | None = None
    label: str | None = None
    text_label: str | None = None
    image_label: str | None = None
    teacher: tuple[float, ...] | None = None
    paraphrase: str | None = None
    group: str | None = None
    linked_group: str | None = None
    split: str | None = None
    of_benchmark: bool | None = None
    extra: Mapping[str, object] = field(default_factory=dict)
    refused: str | None = None
