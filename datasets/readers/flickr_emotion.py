"""Emotions of Flickr images as published: for each emotion a table of links, with how many annotators agreed.

You et al., Building a Large Scale Dataset for Image Emotion Recognition, AAAI 2016, which Duong, Lebret and Aberer
(ECML-PKDD 2017) use with the titles and descriptions that Flickr has. Neither images nor texts are published: who
fetches them keeps an image under the name that it has in its link, and its text beside it. There is no published split.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path, PurePosixPath

from datasets.posts import Post
from datasets.readers.base import Reader, ReaderOptions, read_text_file, require_folder
from datasets.readers.published import MalformedRow, cells_of, find_folder, posts_of
from datasets.readers.tabular import as_integer
from datasets.tweets import is_inside

EMOTIONS = ("amusement", "anger", "awe", "contentment", "disgust", "excitement", "fear", "sadness")


def _folder(path: Path) -> Path:
    """The folder of the tables: `path`, or `agg` in it, as the archive has it."""
    return find_folder(path, "agg", ".")


def _tables(path: Path) -> dict[Path, str]:
    """The tables with the emotion that the name of each begins with."""
    found = {file: file.stem.partition("_")[0].lower() for file in sorted(_folder(path).glob("*.csv"))}
    return {file: emotion for file, emotion in found.items() if emotion in EMOTIONS}


def _post(cells: list[str], emotion: str, images: Path) -> Post:
    if len(cells) != 4:
        raise MalformedRow("malformed row")
    name = PurePosixPath(cells[1].strip()).name
    disagree, agree = as_integer(cells[2]), as_integer(cells[3])
    if not is_inside(name) or disagree is None or agree is None:
        raise MalformedRow("malformed row")
    image = images / emotion / name
    text = read_text_file(image.with_suffix(".txt"))
    extra = {"agree": agree, "disagree": disagree}
    return Post(f"{emotion}/{name}", text, image, emotion if agree > disagree else None, extra=extra)


class FlickrEmotion(Reader):
    """`<emotion>_*.csv` in the folder or in `agg` (emotion, link, disagreeing, agreeing annotators, no header).

    The image of a row is `imgs/<emotion>/<name in the link>`, its text the `.txt` beside it. A post with which most
    annotators did not agree has no label.
    """

    name = "flickr_emotion"
    needs = (
        "a folder (or agg in it) with <emotion>_*.csv of eight emotions, and imgs/<emotion>/<image> with .txt beside"
    )
    classes = EMOTIONS

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether there are tables of at least two emotions."""
        return path.is_dir() and len(set(_tables(path).values())) > 1

    def read(self, path: Path, options: ReaderOptions) -> Iterator[Post]:
        """The posts by emotion, in the order of the tables."""
        require_folder(path)
        tables = _tables(path)
        if not tables:
            raise ValueError(f"{_folder(path)} holds no table <emotion>_*.csv of {', '.join(EMOTIONS)}")
        images = find_folder(_folder(path), "imgs", "images")
        for file, emotion in tables.items():
            yield from posts_of(cells_of(file), partial(_post, emotion=emotion, images=images))
