"""MVSA-Single as published: one annotator gave each post a label for its text and one for its image."""

from __future__ import annotations

from datasets.readers.mvsa import MvsaReader


class MvsaSingle(MvsaReader):
    """`labelResultAll.txt` has rows like `1<TAB>neutral,positive`; the rule for the post's label is in mvsa.py."""

    name = "mvsa_single"
    needs = "a folder with data/<id>.jpg, data/<id>.txt and labelResultAll.txt of one annotator"
    annotator_count = 1
