"""Write a synthetic crawl, to try the way from a crawl to datasets: `python scripts/make_crawl.py --output FOLDER`."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from datasets.synthetic_crawl import SyntheticCrawl, SyntheticCrawlOptions
from training.entry import start


@dataclass(frozen=True)
class MakeCrawlOptions:
    """Write a crawl of synthetic tweets, and truth.csv, which says which photos show the same picture"""

    output: Path
    """Folder to write; it must not be there yet."""
    crawl: Annotated[SyntheticCrawlOptions, tyro.conf.arg(name="")] = field(default_factory=SyntheticCrawlOptions)


def main(options: MakeCrawlOptions) -> None:
    """Write it. Raises ValueError for a user's mistake."""
    SyntheticCrawl(options.crawl).write(options.output)
    print(f"{options.output}: {options.crawl.tweets:,} tweets")


if __name__ == "__main__":
    start(MakeCrawlOptions, main)
