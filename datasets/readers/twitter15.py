"""Twitter-15: the sentiment towards a target in tweets, with the tables of Yu and Jiang (IJCAI 2019)."""

from __future__ import annotations

from datasets.readers.targets import TargetReader


class Twitter15(TargetReader):
    """`train.tsv`, `dev.tsv`, `test.tsv` and `twitter2015_images/<image>`; the layout is that of targets.py."""

    name = "twitter15"
    needs = "a folder twitter2015 with train.tsv, dev.tsv, test.tsv, and twitter2015_images"
    year = "15"
    folders = ("twitter2015", "twitter15")
