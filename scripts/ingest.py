"""Make a post store of posts in any layout: `python scripts/ingest.py POSTS --output STORE`."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from datasets.ingest import UNLABELLED_PLACE, ingest, open_sources
from datasets.options import CrawlOptions, DataOptions
from training.entry import start


@dataclass(frozen=True)
class IngestOptions:
    """Make a post store of posts in any layout; broken images are listed in its quarantine.csv."""

    posts: tyro.conf.Positional[str]
    """Folder or file of posts in any layout that a reader knows, or a store."""
    output: str
    """Folder of the store; it must not be there yet. What was interrupted goes on where it stopped."""
    test_posts: str = ""
    """Posts of the test set, where they lie apart."""
    unlabelled_posts: str = ""
    """More posts to learn from, as a crawl or a store of one; labels that they may have do not count."""
    dataset: Annotated[str, tyro.conf.arg(aliases=["-ds"])] = DataOptions.dataset
    """Reader of the layout, as the README lists them, or store; auto: the one that fits."""
    id_column: str = DataOptions.id_column
    """Table column of the id."""
    text_column: str = DataOptions.text_column
    """Table column of the text."""
    image_column: str = DataOptions.image_column
    """Table column of the image file, relative to the table's folder."""
    label_column: str = DataOptions.label_column
    """Table column of the label."""
    unlabelled: bool = False
    """The posts have no labels: a table without the label column is no mistake."""
    num_workers: int = DataOptions.num_workers
    """Threads that read and shrink images."""
    crawl: Annotated[CrawlOptions, tyro.conf.arg(name="")] = field(default_factory=CrawlOptions)


def main(options: IngestOptions) -> None:
    """Read, shrink, group and write. Raises ValueError for a user's mistake."""
    reading = DataOptions(
        dataset=options.dataset,
        id_column=options.id_column,
        text_column=options.text_column,
        image_column=options.image_column,
        label_column=options.label_column,
    )
    places: list[tuple[Path, str | None]] = [(Path(options.posts), "train" if options.test_posts else None)]
    if options.test_posts:
        places.append((Path(options.test_posts), "test"))
    if options.unlabelled_posts:
        places.append((Path(options.unlabelled_posts), UNLABELLED_PLACE))
    sources, classes = open_sources(places, reading, not options.unlabelled, options.crawl)
    ingest(sources, options.output, classes, options.posts, options.num_workers)


if __name__ == "__main__":
    start(IngestOptions, main)
