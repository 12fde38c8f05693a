"""A folder of images that nobody sorted."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from datasets.posts import Post
from datasets.readers.base import Reader, ReaderOptions, read_text_file, require_folder
from datasets.readers.class_folders import IMAGE_SUFFIXES, ClassFolders
from datasets.readers.tabular import SUFFIXES


class ImageFolder(Reader):
    """`<image>` by `<image>`; `<image>.txt` beside an image is the post's text. No post has a label.

    The id is the image's name. Folders below are not looked at.
    """

    name = "image_folder"
    needs = "a folder of images without labels, to be predicted or learned from unlabelled"
    generic = True

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether images are there, and neither class folders nor a table that may say more of them."""
        suffixes = _suffixes(path) if path.is_dir() else set()
        return bool(suffixes & IMAGE_SUFFIXES) and not suffixes & set(SUFFIXES) and not ClassFolders.recognises(path)

    def read(self, path: Path, options: ReaderOptions) -> Iterator[Post]:
        """The posts by name. Raises ValueError where there is no image."""
        require_folder(path)
        images = sorted(name for name in os.listdir(path) if _suffix(name) in IMAGE_SUFFIXES)
        if not images:
            raise ValueError(f"{path} holds no image ({' '.join(sorted(IMAGE_SUFFIXES))})")
        for name in images:
            image = path / name
            yield Post(id=name, text=read_text_file(image.with_suffix(".txt")), image=image)


def _suffix(name: str) -> str:
    """The suffix of a file's name, "" where it is hidden."""
    return "" if name.startswith(".") else os.path.splitext(name)[1].lower()


def _suffixes(path: Path) -> set[str]:
    with os.scandir(path) as entries:
        return {_suffix(entry.name) for entry in entries if entry.is_file()}
