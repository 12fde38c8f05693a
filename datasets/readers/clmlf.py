"""The splits of CLMLF: MVSA and the sarcasm set (HFM) as JSON lists, with back-translated texts.

Li et al., CLMLF: A Contrastive Learning and Multi-Layer Fusion Method for Multimodal Sentiment Detection, Findings of
NAACL 2022: the split of MVSA that most later papers report. Of sentiments, 0 is positive, 1 neutral and 2 negative. The
text said otherwise, in the list beside, is the post's paraphrase.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from datasets.posts import SENTIMENTS, Post
from datasets.readers import msd
from datasets.readers.base import Reader, ReaderOptions, require_folder
from datasets.readers.published import (
    Row,
    class_of,
    file_stem,
    find_file,
    image_file,
    json_rows,
    need_file,
    posts_of,
)
from datasets.readers.tabular import as_string

LABELS = ("positive", "neutral", "negative")
"""Sentiments in the order of this layout's ids."""
FOLD = "10-flod-1"
"""The folder of the published split, as the authors spell it."""
VALIDATION = {"dev.json": LABELS, "valid.json": msd.CLASSES}
"""The validation file, whose name differs between the sentiment and the sarcasm sets."""
LABEL = "emotion_label"
IMAGES = "dataset_image"


def _lists(path: Path) -> Path:
    """The folder of the three lists: `path`, or the published split in it."""
    return path / FOLD if (path / FOLD).is_dir() else path


def _images(folder: Path) -> Path:
    """The folder of the images, beside the lists or in the folder above."""
    places = (folder / IMAGES, folder.resolve().parent / IMAGES)
    return next((place for place in places if place.is_dir()), places[0])


def _paraphrase_file(path: Path) -> Path | None:
    """The list of back-translated texts, called after the data set, in `path` or above; none is no fault."""
    found = (
        file
        for folder in (path, path.resolve().parent)
        for file in sorted((*folder.glob("*_translation.json"), *folder.glob("HFM.json")))
    )
    return next(found, None)


def _paraphrases(path: Path) -> dict[str, str]:
    """The back-translated texts by id."""
    file = _paraphrase_file(path)
    rows = json_rows(file) if file is not None else ()
    found = ((as_string((row or {}).get(key)) for key in ("id", "text_translation")) for _, row in rows)
    return {identifier: text for identifier, text in found if identifier and text}


def _post(row: Row, split: str, labels: tuple[str, ...], images: Path, paraphrases: Mapping[str, str]) -> Post:
    identifier = file_stem(row, "id")
    return Post(
        identifier,
        text=as_string(row.get("text")),
        image=image_file(images, identifier),
        label=class_of(row.get(LABEL), labels),
        split=split,
        paraphrase=paraphrases.get(identifier),
    )


class Clmlf(Reader):
    """`train.json`, `dev.json` (of HFM `valid.json`) and `test.json`, lists of {id, text, emotion_label}.

    They may lie in `10-flod-1`; the images are in `dataset_image`, beside the lists or in the folder above.
    """

    name = "clmlf"
    needs = f"a folder, or {FOLD} in it, with train.json, dev.json and test.json of {LABEL}, and dataset_image/<id>.jpg"

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether the lists are there and begin with posts of this form."""
        folder = _lists(path)
        try:
            with (folder / "test.json").open("rb") as file:
                start = file.read(4096)
        except OSError:
            return False
        is_list = start.lstrip().startswith(b"[") and LABEL.encode() in start
        return is_list and find_file(folder, *VALIDATION) is not None

    @classmethod
    def sources(cls, path: Path) -> list[Path]:
        """The folder, and what `read` takes from the one above: the images, and the back-translated texts."""
        folder = _lists(path)
        above = folder.resolve().parent
        if above == path.resolve():  # the lists are in FOLD, and all that is read is below `path`
            return [path]
        beside = (_images(folder), _paraphrase_file(folder))
        return [path, *(place for place in beside if place is not None and place.parent == above)]

    def read(self, path: Path, options: ReaderOptions) -> Iterator[Post]:
        """The posts of training, validation and test in the order of the lists. Sets `classes`."""
        require_folder(path)
        folder = _lists(path)
        validation = need_file(folder, *VALIDATION)
        labels = VALIDATION[validation.name]
        self.classes = SENTIMENTS if labels == LABELS else labels
        files = {
            need_file(folder, "train.json"): "train",
            validation: "validation",
            need_file(folder, "test.json"): "test",
        }
        return self._posts(folder, files, labels)

    def _posts(self, folder: Path, files: dict[Path, str], labels: tuple[str, ...]) -> Iterator[Post]:
        images, paraphrases = _images(folder), _paraphrases(folder)
        for file, split in files.items():
            make = partial(_post, split=split, labels=labels, images=images, paraphrases=paraphrases)
            yield from posts_of(json_rows(file), make)
