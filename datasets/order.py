"""In which order posts are read: a pure function of (seed, stream, step), so there is no state to save."""

from __future__ import annotations

import numpy as np

from datasets.seeds import generator


class Order:
    """Endless batches of `rows`: one random permutation after another, each drawn from (seed, stream, epoch).

    Batches are cut from the permutations laid end to end, so every post is read once before any is read again and no
    post is left out because the batch size does not divide their number. `batch_size` counts the posts of all `world`
    processes together; process `rank` reads its slice of the one global batch, so the order does not depend on `world`.
    With `lengths` (of each of `rows`) posts of like length share a batch: within `window` batches of a permutation they
    are sorted, then its batches are shuffled.
    """

    def __init__(
        self,
        rows: np.ndarray,
        batch_size: int,
        seed: int,
        stream: str,
        rank: int = 0,
        world: int = 1,
        lengths: np.ndarray | None = None,
        window: int = 1,
    ) -> None:
        """Raises ValueError where there is no row, or where the processes cannot share a batch evenly."""
        if len(rows) == 0:
            raise ValueError(f"there is no post to draw the {stream} batches from: check the data and the split")
        if batch_size < 1 or batch_size % world:
            raise ValueError(
                f"--batch_size: {batch_size} {stream} posts a step cannot be shared evenly by {world} processes; "
                f"choose a multiple of {world}"
            )
        assert 0 <= rank < world and window > 0 and (lengths is None or len(lengths) == len(rows))
        self.posts = np.ascontiguousarray(rows, dtype=np.int64)
        self.batch_size = batch_size
        self.seed = seed
        self.stream = stream
        self.lengths = lengths
        self.window = window
        share = batch_size // world
        self.part = slice(rank * share, (rank + 1) * share)
        """This process's slice of the global batch."""
        self._permutations: dict[int, np.ndarray] = {}

    def global_rows(self, step: int) -> np.ndarray:
        """The (batch_size,) int64 rows that all processes together read at `step`."""
        position, stop = step * self.batch_size, (step + 1) * self.batch_size
        pieces = []
        while position < stop:
            epoch, start = divmod(position, len(self.posts))
            piece = self._permutation(epoch)[start : start + stop - position]
            pieces.append(piece)
            position += len(piece)
        return self.posts[np.concatenate(pieces)]

    def rows(self, step: int) -> np.ndarray:
        """The rows that this process reads at `step`: its slice of `global_rows(step)`."""
        return self.global_rows(step)[self.part]

    def _permutation(self, epoch: int) -> np.ndarray:
        """The order of an epoch. Two are kept: a batch may lie across the end of one."""
        if epoch not in self._permutations:
            while len(self._permutations) > 1:
                del self._permutations[min(self._permutations)]
            draw = generator(self.seed, f"order of {self.stream}", epoch)
            drawn = draw.permutation(len(self.posts))
            if self.lengths is not None:
                drawn = self._by_length(drawn, self.lengths, draw)
            self._permutations[epoch] = drawn.astype(np.int32 if len(drawn) < 2**31 else np.int64)
        return self._permutations[epoch]

    def _by_length(self, drawn: np.ndarray, lengths: np.ndarray, draw: np.random.Generator) -> np.ndarray:
        """The permutation with posts of like length side by side, batch by batch."""
        place = np.arange(len(drawn)) // (self.window * self.batch_size)
        side_by_side = drawn[np.lexsort((lengths[drawn], place))]
        batches = np.split(side_by_side, range(self.batch_size, len(drawn), self.batch_size))
        return np.concatenate([batches[number] for number in draw.permutation(len(batches))])

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_permutations": {}}
