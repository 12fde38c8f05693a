"""Twitter-17: the sentiment towards a target in tweets, with the tables of Yu and Jiang (IJCAI 2019)."""

from __future__ import annotations

from datasets.readers.targets import TargetReader


class Twitter17(TargetReader):
    """`train.tsv`, `dev.tsv`, `test.tsv` and `twitter2017_images/<image>`; the layout is that of targets.py."""

    name = "twitter17"
    needs = "a folder twitter2017 (or twitter) with train.tsv, dev.tsv, test.tsv, and twitter2017_images"
    year = "17"
    folders = ("twitter2017", "twitter17", "twitter")
