"""How far an ingest has come, so that an interrupted one goes on where it stopped, and what it refused."""

from __future__ import annotations

import csv
import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from datasets.folders import KeptError
from datasets.posts import Post
from datasets.store_format import write_file
from datasets.store_writer import StoreWriter
from datasets.text import clean_text


class Quarantine:
    """The list of what ingest refused: quarantine.csv with the columns id, what (image or post), reason, file.

    `keep`: bytes of the file that are there from before and stay; None: all of them.
    """

    def __init__(self, path: Path, keep: int | None = 0) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()
        if path.exists():
            os.truncate(path, path.stat().st_size if keep is None else keep)
            with path.open(newline="", encoding="utf-8") as file:
                self.counts.update((row["what"], row["reason"]) for row in csv.DictReader(file))
        self._file = path.open("a", newline="", encoding="utf-8")
        self._csv = csv.writer(self._file)
        if self._file.tell() == 0:
            self._csv.writerow(["id", "what", "reason", "file"])

    def __enter__(self) -> Quarantine:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, post: Post, what: str, reason: str) -> None:
        """Note that the post, or its image, is not in the store."""
        self.counts[what, reason] += 1
        file = str(post.image) if isinstance(post.image, Path) else ""
        self._csv.writerow([clean_text(post.id), what, reason, clean_text(file)])

    def sync(self) -> int:
        """Have the disk hold what was noted so far; its bytes."""
        self._file.flush()
        os.fsync(self._file.fileno())
        return self._file.tell()

    def __str__(self) -> str:
        parts = [f"{count:,} {what} ({reason})" for (what, reason), count in sorted(self.counts.items())]
        return "quarantined " + (", ".join(parts) + ", listed in quarantine.csv" if parts else "nothing")


class Progress:
    """What an unfinished store is of and how far it came: `progress.json`, written after each batch of posts.

    `about` says what is ingested. Readers give the same posts in the same order each time, so that going on means to
    pass over those that were taken; a running digest of all but their images' bytes holds that they are the same.
    Raises KeptError where the folder holds the beginning of something else.
    """

    def __init__(self, folder: Path, about: Mapping[str, object]) -> None:
        self._file = folder / "progress.json"
        self._folder = folder
        self._about = json.loads(json.dumps(about))
        self._digest = b""
        self.saved_rows = 0
        self.taken = 0
        self.quarantine_bytes = 0
        self.files: list[list] = []
        """Name, rows and batches of each file of posts."""
        self._to_pass, self._digest_then = 0, ""
        if self._file.exists():
            self._load()

    def _load(self) -> None:
        saved = json.loads(self._file.read_text(encoding="utf-8"))
        if saved["about"] != self._about:
            raise self._other(f"it is of {saved['about']}, not of {self._about}")
        self._to_pass, self._digest_then = saved["taken"], saved["digest"]
        self.quarantine_bytes, self.files = saved["quarantine_bytes"], saved["files"]
        self.saved_rows = sum(rows for _, rows, _ in self.files)

    def _other(self, why: str) -> KeptError:
        return KeptError(
            f"{self._folder} holds the beginning of an interrupted ingest that cannot go on ({why}): remove it, or "
            "name another --output"
        )

    def pass_over(self, posts: Iterable[Post]) -> Iterator[Post]:
        """The posts not taken before the interruption. Raises KeptError where those that were have changed."""
        for post in posts:
            if self.taken < self._to_pass:
                self.take(post)
                if self.taken == self._to_pass and self._digest.hex() != self._digest_then:
                    raise self._other("the posts have changed since")
            else:
                yield post

    def take(self, post: Post) -> None:
        """Count a post, whether it was stored or refused."""
        self.taken += 1
        seen = [len(value) if isinstance(value, bytes) else value for value in vars(post).values()]
        self._digest = hashlib.blake2b(self._digest + repr(seen).encode(), digest_size=16).digest()

    def save(self, writer: StoreWriter, quarantine: Quarantine) -> None:
        """Note how far it came where the writer has written a batch since; all posts taken must be in it."""
        if writer.rows == self.saved_rows:
            return
        self.saved_rows = writer.rows
        saved = {
            "about": self._about,
            "taken": self.taken,
            "digest": self._digest.hex(),
            "quarantine_bytes": quarantine.sync(),
            "files": writer.sync(),
        }
        write_file(self._file, json.dumps(saved).encode())

    def finish(self) -> None:
        """Check that everything taken before was met again."""
        if self.taken < self._to_pass:
            raise self._other("there are fewer posts than then")

    def forget(self) -> None:
        """Remove the note: the store is whole."""
        self._file.unlink(missing_ok=True)
