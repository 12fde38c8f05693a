"""Which tweets of a crawl are kept, and the posts that a tweet with several photos makes.

The rules are those of T4SA 2.0 (Serra et al., The Emotions of the Crowd, ECAI 2023): English, no retweets, quotes or
replies, more than five words, photos only. Every photo is a post with the tweet's text, the tweet's id in the column
`tweet` and its path in the column `path`, and the tweet is a group, so that its photos never cross a split.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from datasets.options import CrawlOptions
from datasets.posts import Post

_WORD = re.compile(r"\w+")


class TweetRules:
    """Decides tweet by tweet, and counts what is left out and why."""

    def __init__(self, options: CrawlOptions) -> None:
        self._options = options
        self.kept = 0
        self.left_out: Counter[str] = Counter()

    def keep(self, text: str, photos: int, language: str | None = None, is_reference: bool = False) -> bool:
        """Whether the tweet is kept. `language` None: the crawl does not say; `is_reference`: it refers to another."""
        reason = self._reason(text, photos, language, is_reference)
        if reason is not None:
            self.left_out[reason] += 1
            return False
        self.kept += 1
        return True

    def _reason(self, text: str, photos: int, language: str | None, is_reference: bool) -> str | None:
        options = self._options
        if options.tweet_language and language is not None and language != options.tweet_language:
            return f"not in --tweet_language {options.tweet_language}"
        if options.original_tweets and is_reference:
            return "retweets, quotes and replies"
        if len(_WORD.findall(text)) < options.min_words:
            return f"under --min_words {options.min_words}"
        return "without a photo" if options.photos_only and not photos else None

    def __str__(self) -> str:
        reasons = [f"{count:,} {reason}" for reason, count in sorted(self.left_out.items())]
        return f"{self.kept:,} tweets kept; left out: {', '.join(reasons) or 'none'}"


def photo_path(tweet: str, number: int) -> str:
    """Where T4SA 2.0 keeps photo `number` (from 0) of a tweet: `15317/1531722957072093184-0.jpg`."""
    return f"{tweet[:5]}/{tweet}-{number}.jpg"


def is_inside(path: str) -> bool:
    """Whether a relative path stays in its folder: no absolute path, no `..`."""
    parts = PurePosixPath(path.replace("\\", "/"))
    named = bool(path.strip() and parts.parts)  # "." has no parts
    return named and not parts.is_absolute() and ".." not in parts.parts and ":" not in parts.parts[0]


def tweet_posts(
    tweet: str, text: str, photos: Sequence[tuple[Path, str]], teacher: tuple[float, ...] | None = None
) -> Iterator[Post]:
    """The posts of a tweet: one for each photo (its file, its path as the crawl names it), or one of text alone."""
    for file, path in photos:
        extra = {"tweet": tweet, "path": path}
        yield Post(PurePosixPath(path).stem, text, file, teacher=teacher, group=tweet, extra=extra)
    if not photos:
        yield Post(tweet, text, teacher=teacher, group=tweet, extra={"tweet": tweet, "path": None})
