"""What both parts of MVSA share: files, label file and the rule that makes one label of two.

Niu et al., Sentiment Analysis on Multi-view Social Data, MMM 2016. The rule is that of Xu and Mao, MultiSentiNet,
CIKM 2017: text and image get the label that most annotators gave (none where no two of three agree); equal labels are
the post's label; of a neutral and another one it is the other; positive against negative is no label. Such a post, and
one without a row in the label file, stays as an unlabelled post.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

from datasets.posts import SENTIMENTS, Post
from datasets.readers.base import Reader, ReaderOptions, natural_order, read_text_file, require_folder
from datasets.text import decode_text

LABEL_FILE = "labelResultAll.txt"
Votes = tuple[tuple[str, str], ...]
"""One (text label, image label) for each annotator."""


def merge_labels(text_label: str | None, image_label: str | None) -> str | None:
    """A post's label from that of its text and that of its image; None where they contradict or one is missing."""
    if text_label is None or image_label is None:
        return None
    if text_label == image_label or image_label == "neutral":
        return text_label
    return image_label if text_label == "neutral" else None


def majority(votes: Sequence[str]) -> str | None:
    """The label that more than half of the annotators gave, None where there is none."""
    label, count = Counter(votes).most_common(1)[0]
    return label if 2 * count > len(votes) else None


def annotators(path: Path) -> int:
    """How many annotators the label file in the folder `path` has by its first line; 0 where there is no such file."""
    try:
        with (path / LABEL_FILE).open("rb") as file:
            return decode_text(file.readline()).rstrip().count("\t")
    except OSError:
        return 0


def _votes(cells: Sequence[str], where: str) -> Votes:
    """The votes in the cells after the id. Raises ValueError for what is not `text,image`."""
    votes = []
    for cell in cells:
        pair = tuple(word.strip().lower() for word in cell.split(","))
        if len(pair) != 2:
            raise ValueError(f"{where} has {cell!r} where 'text label,image label' should be")
        for label in pair:
            if label not in SENTIMENTS:
                raise ValueError(f"{where} has the unknown label {label!r}; known are {', '.join(SENTIMENTS)}")
        votes.append((pair[0], pair[1]))
    return tuple(votes)


def read_label_file(file: Path, count: int) -> dict[str, Votes]:
    """Votes of `count` annotators by post id.

    Raises ValueError, naming file and line, for a missing file, a malformed row, an unknown label or an id given twice.
    """
    if not file.is_file():
        raise ValueError(f"{file} is missing: MVSA needs this file of labels beside its folder 'data'")
    votes: dict[str, Votes] = {}
    for number, line in enumerate(decode_text(file.read_bytes()).split("\n"), start=1):
        cells = line.strip().removeprefix("\ufeff").split("\t")
        if cells == [""] or (number == 1 and cells[0].strip().lower() == "id"):
            continue
        where = f"{file}, line {number},"
        if len(cells) != count + 1:
            hint = "; try --dataset mvsa_multiple" if len(cells) == 4 else "; try --dataset mvsa_single"
            hint = hint if len(cells) in (2, 4) else ""
            raise ValueError(
                f"{where} should have an id and {count} tab-separated 'text label,image label', found {line!r}{hint}"
            )
        identifier = cells[0].strip()
        if identifier in votes:
            raise ValueError(f"{where} repeats the id {identifier}: keep one of its rows")
        votes[identifier] = _votes(cells[1:], where)
    return votes


class MvsaReader(Reader):
    """A folder with `data/<id>.jpg`, `data/<id>.txt` and the label file of `annotator_count` annotators."""

    classes = SENTIMENTS
    annotator_count: ClassVar[int]

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether the label file has the columns of this many annotators."""
        return (path / "data").is_dir() and annotators(path) == cls.annotator_count

    def read(self, path: Path, options: ReaderOptions) -> Iterator[Post]:
        """The posts by id: every one that has a file in `data` or a row in the label file."""
        require_folder(path)
        data = path / "data"
        if not data.is_dir():
            raise ValueError(f"{data} is missing: MVSA keeps <id>.jpg and <id>.txt in this folder")
        votes = read_label_file(path / LABEL_FILE, self.annotator_count)
        images = {os.path.splitext(name)[0] for name in os.listdir(data) if name.endswith(".jpg")}
        texts = {os.path.splitext(name)[0] for name in os.listdir(data) if name.endswith(".txt")}
        if not images and not texts:
            raise ValueError(f"{data} holds no <id>.jpg and no <id>.txt: is this the folder of the posts?")
        for identifier in sorted(images | texts | votes.keys(), key=natural_order):
            yield self._post(data, identifier, votes.get(identifier), has_text=identifier in texts)

    def _post(self, data: Path, identifier: str, votes: Votes | None, has_text: bool) -> Post:
        text_label = majority([text for text, _ in votes]) if votes else None
        image_label = majority([image for _, image in votes]) if votes else None
        return Post(
            id=identifier,
            text=read_text_file(data / f"{identifier}.txt") if has_text else None,
            # Every MVSA post has an image: one that is not there is put aside and counted at ingest.
            image=data / f"{identifier}.jpg",
            label=merge_labels(text_label, image_label),
            text_label=text_label,
            image_label=image_label,
        )
