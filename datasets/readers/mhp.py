"""Multimodal hate in tweets (MHP, Dog Whistle 5k, a part of MMHS150K) as published: tables, splits, OCR texts.

Botelho, Hale and Vidgen, Deciphering Implicit Hate: Evaluating Automated Detection Algorithms for Multimodal Hate,
Findings of ACL 2021. The class is Primary_numeric_gt. The text of a post is its tweet and what was read off its image
(Gomez et al., WACV 2020), with a separator between them: the authors' code joins them without, so that two words become
one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from datasets.posts import Post
from datasets.readers.base import Reader, ReaderOptions, require_folder
from datasets.readers.published import (
    MalformedRow,
    Row,
    class_of,
    csv_rows,
    field_of,
    find_file,
    find_folder,
    image_file,
    join_texts,
    json_object,
    need_file,
    posts_of,
)
from datasets.readers.tabular import as_string

CLASSES = ("none", "hateful", "counter-speech", "reclaimed")
LABEL = "Primary_numeric_gt"
SPLITS_FILE = "DataSplits.csv"
WHOLE, PICKLED = "Final_Dog_Whistle_5k.csv", "Final_Dog_Whistle_5k.pkl"
TABLES = {"dog_whistle_train.csv": "train", "dog_whistle_dev.csv": "validation", "dog_whistle_test.csv": "test"}
"""The authors' tables, one for each split."""
FOLDERS = {
    "dog_whistle_train.csv": ("Train", "Data/Train"),
    "dog_whistle_dev.csv": ("Validation", "Data/Validation"),
    "dog_whistle_test.csv": ("Test", "Data/Test"),
    WHOLE: ("data",),
    PICKLED: ("data",),
    SPLITS_FILE: ("Models", "data"),
}
"""Where the authors keep each file, besides the folder itself."""
SPLIT_COLUMNS = {"Train IDs": "train", "Dev IDs": "validation", "Test IDs": "test"}
IDS = ("image_number", "Tweet ID", "tweet_id", "id")
"""Names of the column of ids, which the authors' files do not agree on."""
IMAGES = ("Images", "Data/Images", "data/Images", "img_resized")
TWEETS = "MMHS150K_GT.json"


def _published_splits(file: Path) -> dict[str, str]:
    """The split of each id: the table has a column of ids for each split, the shorter ones filled up with blanks."""
    splits = {}
    for _, row in csv_rows(file, *SPLIT_COLUMNS):
        for column, split in SPLIT_COLUMNS.items():
            identifier = as_string((row or {}).get(column))
            if identifier is not None:
                splits[identifier] = split
    return splits


@dataclass(frozen=True)
class _Folder:
    """What lies beside the tables: images, and tweets and OCR texts where the tables have none."""

    path: Path
    images: Path
    splits: Mapping[str, str]
    tweets: Mapping[str, object]

    def post(self, row: Row, split: str | None = None) -> Post:
        """The post of a row; a split that the table does not tell is that of the published list."""
        identifier = field_of(row, next((name for name in IDS if name in row), IDS[0])).strip("'")
        split = split or self.splits.get(identifier)
        if not identifier.isdigit():
            raise MalformedRow("its id is no whole number")
        if split is None:
            raise MalformedRow(f"in no split of {SPLITS_FILE}")
        return Post(
            identifier,
            text=join_texts(*self._texts(row, identifier)),
            image=image_file(self.images, identifier),
            label=class_of(row.get(LABEL), CLASSES),
            split=split,
        )

    def _texts(self, row: Row, identifier: str) -> tuple[object, object]:
        """The tweet and the text in its image: the table's, else those of MMHS150K."""
        if "tweet_text" in row:
            return row["tweet_text"], row.get("img_text")
        file = self.path / "img_txt" / f"{identifier}.json"
        try:
            read = json_object(file) if file.is_file() else {}
        except ValueError:
            raise MalformedRow("malformed OCR text") from None
        tweet = self.tweets.get(identifier)
        return tweet.get("tweet_text") if isinstance(tweet, dict) else None, read.get("img_text")


def _places(name: str) -> list[str]:
    return [name, *(f"{folder}/{name}" for folder in FOLDERS[name])]


def _tables(path: Path) -> dict[Path, str | None]:
    """The tables with the split of each, or the one of all posts, for which there is a list of splits."""
    if any(find_file(path, *_places(name)) for name in TABLES):
        return {need_file(path, *_places(name)): split for name, split in TABLES.items()}
    if find_file(path, *_places(WHOLE)) is None and (pickled := find_file(path, *_places(PICKLED))) is not None:
        raise ValueError(
            f"{pickled} is a pickle, which may run any code when it is opened: if you trust it, write it as "
            f"a table beside it, with pandas.read_pickle(...).to_csv({WHOLE!r})"
        )
    return {need_file(path, *_places(WHOLE)): None}


class Mhp(Reader):
    """The authors' table of each split, or the one of all posts as a CSV with their DataSplits.csv; `Images/<id>.jpg`.

    Columns: the id, Primary_numeric_gt, tweet_text and img_text. Where the tables have no texts, they are those of
    MMHS150K in the same folder: MMHS150K_GT.json, `img_txt/<id>.json`, and the images in `img_resized`.
    """

    name = "mhp"
    needs = f"a folder with dog_whistle_{{train,dev,test}}.csv, or {WHOLE} and {SPLITS_FILE}, and Images/<id>.jpg"
    classes = CLASSES

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether tables of these names are there."""
        return any(find_file(path, *_places(name)) is not None for name in (*TABLES, WHOLE, PICKLED))

    def read(self, path: Path, options: ReaderOptions) -> Iterator[Post]:
        """The posts in the order of the tables."""
        require_folder(path)
        tables = _tables(path)
        has_splits = None not in tables.values()
        splits = {} if has_splits else _published_splits(need_file(path, *_places(SPLITS_FILE)))
        tweets = json_object(path / TWEETS) if (path / TWEETS).is_file() else {}
        folder = _Folder(path, find_folder(path, *IMAGES), splits, tweets)
        for file, split in tables.items():
            yield from posts_of(csv_rows(file, LABEL), partial(folder.post, split=split))
