"""MMSD 2.0: the sarcasm set of Cai et al. without its give-away words and with better labels, as published in JSON.

Qin et al., MMSD2.0: Towards a Reliable Multi-modal Sarcasm Detection System, Findings of ACL 2023. The folder
text_json_final holds the corrected set; text_json_clean beside it, given by itself, the first one in the same form.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from datasets.posts import Post
from datasets.readers.base import Reader, ReaderOptions, require_folder
from datasets.readers.msd import CLASSES, IMAGES
from datasets.readers.published import Row, class_of, file_stem, image_file, json_rows, need_file, posts_of
from datasets.readers.tabular import as_string

FILES = {"train.json": "train", "valid.json": "validation", "test.json": "test"}
FINAL, CLEAN = "text_json_final", "text_json_clean"


def _texts(path: Path) -> Path | None:
    """The folder of the three files: `path` itself, or the corrected set in it or in `data`."""
    places = (path / FINAL, path / "data" / FINAL)
    return path if path.name in (FINAL, CLEAN) else next((place for place in places if place.is_dir()), None)


def _post(row: Row, split: str, images: Path) -> Post:
    identifier = file_stem(row, "image_id")
    label = class_of(row.get("label"), CLASSES)
    return Post(identifier, as_string(row.get("text")), image_file(images, identifier), label, split=split)


class Mmsd2(Reader):
    """`text_json_final/{train,valid,test}.json`, lists of {image_id, text, label}; `dataset_image/<image_id>.jpg`."""

    name = "mmsd2"
    needs = f"a folder with {FINAL}/{{train,valid,test}}.json and dataset_image/<image_id>.jpg"
    classes = CLASSES

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether the folder of texts is there with its files."""
        texts = _texts(path)
        return texts is not None and all((texts / name).is_file() for name in FILES)

    def read(self, path: Path, options: ReaderOptions) -> Iterator[Post]:
        """The posts of training, validation and test in the order of the files."""
        require_folder(path)
        texts = _texts(path)
        if texts is None:
            raise ValueError(f"{path / FINAL} is missing: MMSD 2.0 keeps its texts and labels in this folder")
        images = texts.parent / IMAGES
        for name, split in FILES.items():
            yield from posts_of(json_rows(need_file(texts, name)), partial(_post, split=split, images=images))
