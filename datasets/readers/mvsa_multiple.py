"""MVSA-Multiple as published: three annotators gave each post a label for its text and one for its image."""

from __future__ import annotations

from datasets.readers.mvsa import MvsaReader


class MvsaMultiple(MvsaReader):
    """`labelResultAll.txt` has rows like `1<TAB>neutral,positive<TAB>positive,positive<TAB>neutral,neutral`.

    The majority of the three comes first, for text and image apart; then the rule in mvsa.py.
    """

    name = "mvsa_multiple"
    needs = "a folder with data/<id>.jpg, data/<id>.txt and labelResultAll.txt of three annotators"
    annotator_count = 3
