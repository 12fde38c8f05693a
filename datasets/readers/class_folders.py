"""A folder of class folders of images, as image benchmarks are published."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from datasets.posts import Post
from datasets.readers.base import SPLITS, Reader, ReaderOptions, class_name, read_text_file, require_folder

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"}
WITHOUT_LABEL = {"unlabelled", "unlabeled"}
"""Class folders whose posts have no label."""


def _folders(path: Path) -> list[Path]:
    """Subfolders by name, hidden ones left out."""
    with os.scandir(path) as entries:
        return sorted(Path(entry.path) for entry in entries if entry.is_dir() and not entry.name.startswith("."))


def _has_image(folder: Path) -> bool:
    with os.scandir(folder) as entries:
        return any(os.path.splitext(entry.name)[1].lower() in IMAGE_SUFFIXES for entry in entries)


def _class_folders(path: Path) -> list[tuple[Path, str | None]]:
    """Each class folder with the split that it lies in: a level of train, val and test folders may lie above."""
    folders = _folders(path)
    if folders and all(folder.name.lower() in SPLITS for folder in folders):
        return [(inner, SPLITS[folder.name.lower()]) for folder in folders for inner in _folders(folder)]
    return [(folder, None) for folder in folders]


def images_below(folder: Path) -> Iterator[Path]:
    """Image files in `folder` and in folders below, by name, hidden ones left out."""
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES and not name.startswith("."):
                yield Path(parent, name)


class ClassFolders(Reader):
    """`<class>/<image>`, or `train/<class>/<image>` and so on; `<image>.txt` beside an image is the post's text.

    The id is the image's path in the folder. A class folder called unlabelled holds posts without a label.
    """

    name = "class_folders"
    needs = "a folder of class folders of images, under train, val and test folders where the splits are given"
    generic = True

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether at least two class folders are there, with images in each."""
        if not path.is_dir():
            return False
        folders = [folder for folder, _ in _class_folders(path)]
        return len({folder.name for folder in folders}) > 1 and all(_has_image(folder) for folder in folders)

    def read(self, path: Path, options: ReaderOptions) -> Iterator[Post]:
        """The posts by split, class and name. Raises ValueError where there is no class folder or no image."""
        require_folder(path)
        folders = _class_folders(path)
        if not folders:
            raise ValueError(f"{path} holds no folder: a folder for each class, with its images, should be there")
        empty = True
        for folder, split in folders:
            label = None if folder.name.lower() in WITHOUT_LABEL else class_name(folder.name)
            for image in images_below(folder):
                empty = False
                identifier = image.relative_to(path).as_posix()
                text = read_text_file(image.with_suffix(".txt"))
                yield Post(id=identifier, text=text, image=image, label=label, split=split)
        if empty:
            raise ValueError(f"no folder in {path} holds an image ({' '.join(sorted(IMAGE_SUFFIXES))})")
