"""Tars of posts in the WebDataset format: files that follow each other under one key are one post.

The format: https://github.com/webdataset/webdataset#the-webdataset-format. Nothing is unpacked onto the disk; a member
with an absolute path or `..`, a link and what is no file are refused all the same, because no honest archive has them.
"""

from __future__ import annotations

import json
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from datasets.images import MAX_BYTES
from datasets.posts import Post
from datasets.readers.base import Reader, ReaderOptions, class_name
from datasets.store_format import RESERVED, order_classes
from datasets.text import decode_text
from datasets.tweets import is_inside

SUFFIXES = (".tar", ".tar.gz", ".tgz")
IMAGES = ("jpg", "jpeg", "png", "webp", "gif")
TEXTS = ("txt", "text")
TEACHER = "teacher_"

Sample = dict[str, bytes]
"""Contents by extension."""


def _shards(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(file for file in path.iterdir() if file.name.endswith(SUFFIXES))
    return [path] if path.name.endswith(SUFFIXES) else []


def _refusal(member: tarfile.TarInfo) -> str | None:
    """Why a member is not read."""
    if member.issym() or member.islnk():
        return "a link"
    if not member.isfile():
        return "no file"
    if not is_inside(member.name):
        return "unsafe path"
    return "file too large" if member.size > MAX_BYTES else None


def _samples(shard: Path) -> Iterator[tuple[str, Sample | str]]:
    """Each key with its files, or with the reason why a member, or the rest of the shard, was refused."""
    key, sample = "", Sample()
    try:
        with tarfile.open(shard, "r|*") as archive:
            for member in archive:
                if member.isdir() and (member.name == "." or is_inside(member.name)):
                    continue
                reason = _refusal(member)
                if reason is not None:
                    yield member.name, reason
                    continue
                folder, _, name = member.name.removeprefix("./").rpartition("/")  # as `tar -cf shard.tar .` has it
                stem, _, extension = name.partition(".")
                this = f"{folder}/{stem}" if folder else stem
                if this != key and sample:
                    yield key, sample
                    sample = Sample()
                key = this
                content = archive.extractfile(member)
                assert content is not None, "it is a file"
                sample[extension.lower()] = content.read()
                archive.members.clear()  # type: ignore[attr-defined]  # the archive remembers every header that it has read
    except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
        yield f"after {key}" if key else shard.name, f"archive cannot be read on ({type(error).__name__})"
        return
    if sample:
        yield key, sample


def _about(sample: Sample) -> dict[str, object] | str:
    """The object in the post's JSON, an empty one where it has none, or why there is none."""
    try:
        about = json.loads(sample.get("json", b"{}"))
    except (ValueError, RecursionError):
        return "malformed JSON"
    return about if isinstance(about, dict) else "malformed JSON"


def _teacher_classes(about: dict[str, object]) -> tuple[str, ...]:
    """Classes that the teacher's keys name, in the order of their ids."""
    return order_classes({class_name(name.removeprefix(TEACHER)) for name in about if name.startswith(TEACHER)})


def _known(value: object) -> str | None:
    return str(value).strip() or None if value is not None else None


class WebDataset(Reader):
    """`<key>.jpg` (or png, webp, gif), `<key>.txt`, `<key>.cls` with the name of the class, `<key>.json`.

    Of the JSON object are read: id, text or caption, label, group, teacher_<class>; its other strings and numbers are
    kept. Labels are names. The post's id is the key where the object has none.
    """

    name = "webdataset"
    needs = f"WebDataset tars ({' '.join(SUFFIXES)}) of <key>.jpg, <key>.txt, <key>.cls, <key>.json"

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether it is a tar by its name, or a folder with tars."""
        return path.exists() and bool(_shards(path))

    def read(self, path: Path, options: ReaderOptions) -> Iterator[Post]:
        """The posts by shard and place. Sets `classes` where the first post has a teacher's probabilities."""
        shards = _shards(path)
        if not shards or not path.exists():
            raise ValueError(f"{path} holds no tar of posts: its name should end in {', '.join(SUFFIXES)}")
        first = next((sample for _, sample in _samples(shards[0]) if isinstance(sample, dict)), {})
        about = _about(first)
        self._teacher = _teacher_classes(about) if isinstance(about, dict) else ()
        self.classes = self._teacher or None
        return self._posts(shards)

    def _posts(self, shards: list[Path]) -> Iterator[Post]:
        for shard in shards:
            for key, sample in _samples(shard):
                about = sample if isinstance(sample, str) else _about(sample)
                if isinstance(about, str) or isinstance(sample, str):
                    yield Post(f"{shard.name}, {key}", refused=str(about))
                else:
                    yield self._post(f"{shard.name}, {key}", key, sample, about)

    def _post(self, where: str, key: str, sample: Sample, about: dict[str, object]) -> Post:
        teacher = self._answer(about)
        if isinstance(teacher, str):
            return Post(where, refused=teacher)
        text = next((decode_text(sample[name]) for name in TEXTS if name in sample), None)
        label = decode_text(sample["cls"]) if "cls" in sample else about.get("label")
        if label is not None and str(label).strip().lstrip("-").isdigit():
            raise ValueError(f"{where}, has the number {label} as its label: write the name of the class")
        known = {"id", "text", "caption", "label", "group", *(name for name in about if name.startswith(TEACHER))}
        extra = {
            f"{name}_in_json" if name in RESERVED else name: value
            for name, value in about.items()
            if name not in known and isinstance(value, str | int | float | bool)
        }
        return Post(
            id=_known(about.get("id")) or key,
            text=_known(text if text is not None else about.get("text", about.get("caption"))),
            image=next((sample[name] for name in IMAGES if name in sample), None),
            label=class_name(str(label)) if _known(label) else None,
            teacher=teacher,
            group=_known(about.get("group")),
            extra=extra,
        )

    def _answer(self, about: dict[str, object]) -> tuple[float, ...] | str | None:
        """The teacher's probabilities, None where it said nothing, or why they are none."""
        values = {class_name(name.removeprefix(TEACHER)): about[name] for name in about if name.startswith(TEACHER)}
        if all(value is None for value in values.values()):
            return None
        found = [values.get(name) for name in self._teacher]
        answer = tuple(float(value) for value in found if isinstance(value, int | float) and 0 <= value <= 1)
        return answer if len(answer) == len(values) else f"no probabilities of {', '.join(self._teacher)}"
