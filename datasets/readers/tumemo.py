"""TumEmo as published: seven emotions of Tumblr posts in one list, images and texts by number.

Yang et al., Image-Text Multimodal Emotion Classification via Multi-View Attentional Network, IEEE TMM 2021. The
emotions are the tags under which the posts were found. The authors draw 8:1:1 and publish no split.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from datasets.posts import Post
from datasets.readers.base import Reader, ReaderOptions, read_text_file, require_folder
from datasets.readers.published import MalformedRow, find_folder, image_file, need_file, posts_of
from datasets.readers.tabular import lines
from datasets.tweets import is_inside

LIST = "all_data_id_and_label.txt"
FOLDERS = ("all_data", "data", ".")
EMOTIONS = ("Angry", "Bored", "Calm", "Fear", "Happy", "Love", "Sad")


def _post(words: list[str], folder: Path) -> Post:
    if len(words) != 2 or not is_inside(words[0]):
        raise MalformedRow("malformed row")
    identifier, label = words[0], words[1].capitalize()
    if label not in EMOTIONS:
        raise MalformedRow(f"unknown label {words[1]!r}")
    return Post(identifier, read_text_file(folder / f"{identifier}.txt"), image_file(folder, identifier), label)


class TumEmo(Reader):
    """`all_data_id_and_label.txt` (a header, then id and emotion), `all_data/<id>.jpg` and `all_data/<id>.txt`.

    The folder of images and texts may be called `data` too.
    """

    name = "tumemo"
    needs = f"a folder with {LIST}, all_data/<id>.jpg and all_data/<id>.txt"
    classes = EMOTIONS

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether the list is there."""
        return (path / LIST).is_file()

    def read(self, path: Path, options: ReaderOptions) -> Iterator[Post]:
        """The posts in the order of the list."""
        require_folder(path)
        file = need_file(path, LIST)
        rows = (
            (f"{LIST}, line {number}", line.split()) for number, line in enumerate(lines(file), start=1) if number > 1
        )
        yield from posts_of((row for row in rows if row[1]), partial(_post, folder=find_folder(path, *FOLDERS)))
