"""Which posts are labelled, unlabelled, for validation and for the test.

Validation and test posts are the published ones where the store has them. Otherwise whole groups of near-duplicates
are drawn, class by class, from `split_seed` alone, so that every run of a comparison is judged on the same posts. The
labelled posts are drawn among the rest from `seed`; a small budget's posts are among those of a larger one. What shares
a group with a validation or test post never trains.
"""

from __future__ import annotations

import base64
import hashlib
import json
import warnings
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from datasets.seeds import generator
from datasets.store import PostStore
from datasets.store_format import write_file

PARTS = ("labelled", "unlabelled", "validation", "test")
LISTED = ("labelled", "validation", "test")
"""Parts that a saved split lists post by post."""
VALIDATION, TEST = 2, 3
"""Published splits as the store numbers them; 0 is none, 1 is train."""
ID_CHUNK = 100_000


def _fingerprint(store: PostStore, rows: Sequence[np.ndarray]) -> str:
    """sha256 of the store's own fingerprint and the rows of each part."""
    digest = hashlib.sha256(store.fingerprint.encode())
    for name, part in zip(PARTS, rows, strict=True):
        digest.update(f"{name}:{len(part)}:".encode())
        digest.update(np.ascontiguousarray(part, dtype="<i8").tobytes())
    return digest.hexdigest()


@dataclass(frozen=True, eq=False)
class Split:
    """Rows of a store in ascending order, int64; labelled and unlabelled ones may overlap, no others do."""

    labelled: np.ndarray
    unlabelled: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    fingerprint: str
    store: PostStore | None = field(default=None, repr=False)
    """The store that the rows are of; needed to save."""
    notes: tuple[str, ...] = ()
    """What a person should be told about the draw, a sentence each."""

    @classmethod
    def of(cls, store: PostStore, rows: Sequence[np.ndarray], notes: Sequence[str] = ()) -> Split:
        """The split with these rows for labelled, unlabelled, validation and test."""
        labelled, unlabelled, validation, test = (np.sort(part).astype(np.int64) for part in rows)
        fingerprint = _fingerprint(store, (labelled, unlabelled, validation, test))
        return cls(labelled, unlabelled, validation, test, fingerprint, store, tuple(notes))

    def save(self, path: Path | str) -> None:
        """Write as JSON: rows and ids of labelled, validation and test posts; the many unlabelled ones as a bit map."""
        assert self.store is not None, "a split that was made without its store has no ids to save"
        content: dict[str, object] = {"fingerprint": self.fingerprint, "store_fingerprint": self.store.fingerprint}
        for name in LISTED:
            rows = getattr(self, name)
            content[name] = {"count": len(rows), "rows": rows.tolist(), "ids": self.store.ids(rows)}
        is_unlabelled = np.zeros(len(self.store), dtype=bool)
        is_unlabelled[self.unlabelled] = True
        bit_map = base64.b64encode(zlib.compress(np.packbits(is_unlabelled).tobytes())).decode()
        content["unlabelled"] = {"count": len(self.unlabelled), "zlib_bit_map": bit_map}
        write_file(Path(path), json.dumps(content, ensure_ascii=False).encode())

    @classmethod
    def load(cls, path: Path | str, store: PostStore) -> Split:
        """Read what `save` wrote. Raises ValueError for a damaged file or one of another store."""
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
            known = content["store_fingerprint"]
            parts = {name: np.asarray(content[name]["rows"], dtype=np.int64) for name in LISTED}
            bit_map = zlib.decompress(base64.b64decode(content["unlabelled"]["zlib_bit_map"]))
            bits = np.frombuffer(bit_map, dtype=np.uint8)
            fingerprint = content["fingerprint"]
        except (OSError, ValueError, KeyError, TypeError, zlib.error) as error:
            raise ValueError(f"{path} is no split that can be read ({type(error).__name__}: {error})") from error
        if known != store.fingerprint:
            raise ValueError(
                f"{path} is a split of other posts (store {known[:12]}) than those of {store.path} "
                f"({store.fingerprint[:12]}): give the same data, or start a new run"
            )
        parts["unlabelled"] = np.flatnonzero(np.unpackbits(bits, count=len(store)))
        split = cls.of(store, [parts[name] for name in PARTS])
        if split.fingerprint != fingerprint:
            raise ValueError(
                f"{path} was changed after it was written: its rows do not have the fingerprint that it names"
            )
        return split


def read_ids(path: Path | str) -> list[str]:
    """Ids of a file with one a line (--labeled_ids_path), blank lines left out. Raises ValueError where none is."""
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"--labeled_ids_path {path} cannot be read: {error}") from error
    found = [line.strip() for line in lines if line.strip()]
    if not found:
        raise ValueError(f"--labeled_ids_path {path} holds no id: one a line should be there")
    return found


def draw_split(
    store: PostStore,
    *,
    num_labels: int,
    seed: int,
    split_seed: int = 0,
    label_balance: Literal["equal", "proportional"] = "equal",
    val_ratio: float = 0.1,
    test_ratio: float = 0.2,
    include_lb_to_ulb: bool = True,
    labeled_ids: Sequence[str] | None = None,
) -> Split:
    """Draw the split of `store` (see above).

    `num_labels` 0 means every labelled post. `labeled_ids` replaces that draw, and keeps the groups of its posts out of
    the draw of validation and test. The ratios are shares of the labelled posts outside published parts. Unlabelled are
    all training posts, whether somebody labelled them or not; `include_lb_to_ulb` False leaves the labelled ones out.

    Raises ValueError for ratios or counts that cannot be, a class without a labelled post to train with, and ids that
    are unknown, twice there, without label, or of published validation or test posts.
    """
    for flag, ratio in (("val_ratio", val_ratio), ("test_ratio", test_ratio)):
        if not 0 <= ratio < 1:
            raise ValueError(f"--{flag} {ratio}: a share from 0 up to but not including 1 should be there")
    if val_ratio + test_ratio >= 1:
        raise ValueError(f"--val_ratio {val_ratio} and --test_ratio {test_ratio} leave no post to train with")
    if num_labels < 0:
        raise ValueError(f"--num_labels {num_labels}: the number of labelled posts cannot be negative; 0 means all")
    label = np.asarray(store.label)
    group = np.unique(store.group, return_inverse=True)[1]
    given = None if labeled_ids is None else _find_rows(store, labeled_ids)
    notes: list[str] = []
    if store.of_benchmark.any():
        notes.append(
            f"{store.of_benchmark.sum()} posts neither train nor are drawn: a benchmark has nearly their pictures"
        )
    validation, test = _held_out(store, group, given, split_seed, val_ratio, test_ratio, notes)
    _warn_of_missing_classes(store, {"validation": validation, "test": test})
    is_held_out = np.zeros(len(store), dtype=bool)
    for rows in (validation, test, np.flatnonzero(store.split >= VALIDATION), np.flatnonzero(store.of_benchmark)):
        is_held_out[group[rows]] = True
    may_train = ~is_held_out[group]
    crossing = np.count_nonzero(is_held_out[group] & (store.split == 1))
    if crossing:
        notes.append(
            f"{crossing} published training posts do not train: they are near-duplicates of validation or test posts"
        )
    pool = np.flatnonzero(may_train)
    if given is None:
        labelled = _draw_labelled(store.classes, label, pool[label[pool] >= 0], num_labels, seed, label_balance, notes)
    else:
        labelled = _check_given(store, label, given, may_train)
    unlabelled = pool if include_lb_to_ulb else np.setdiff1d(pool, labelled, assume_unique=True)
    return Split.of(store, (labelled, unlabelled, validation, test), notes)


def _held_out(
    store: PostStore,
    group: np.ndarray,
    given: np.ndarray | None,
    split_seed: int,
    val_ratio: float,
    test_ratio: float,
    notes: list[str],
) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the validation and of the test posts, all labelled, no group in both."""
    label, published = np.asarray(store.label), np.asarray(store.split)
    is_labelled = label >= 0
    validation = np.flatnonzero(is_labelled & (published == VALIDATION))
    test = np.flatnonzero(is_labelled & (published == TEST))
    taken = np.zeros(len(store), dtype=bool)
    taken[group[published == TEST]] = True
    crossing = taken[group[validation]]
    if crossing.any():
        notes.append(
            f"{crossing.sum()} published validation posts are left out: they are near-duplicates of test posts"
        )
        validation = validation[~crossing]
    val_ratio = 0.0 if len(validation) else val_ratio
    test_ratio = 0.0 if len(test) else test_ratio
    taken[group[(published == VALIDATION) | store.of_benchmark]] = True
    if given is not None:
        taken[group[given]] = True
    free = np.flatnonzero(is_labelled & ~taken[group] & (published < VALIDATION))
    drawn = draw_groups(label[free], group[free], (test_ratio, val_ratio), split_seed)
    test = free[drawn == 1] if test_ratio else test
    validation = free[drawn == 2] if val_ratio else validation
    return validation, test


def draw_groups(label: np.ndarray, group: np.ndarray, ratios: tuple[float, ...], split_seed: int) -> np.ndarray:
    """Part of each post, 0 for none, i + 1 for `ratios[i]`: whole groups, each class in its share as groups allow.

    A group counts for the class that most of its posts have. Groups much larger than a part's share of their class are
    left to training, where one text posted a thousand times does no harm to a score.
    """
    if not len(label) or not any(ratios):
        return np.zeros(len(label), dtype=np.int8)
    groups = int(group.max()) + 1
    part = np.zeros(groups, dtype=np.int8)
    classes = int(label.max()) + 1
    counts = np.bincount(group * classes + label, minlength=groups * classes).reshape(groups, classes)
    size, major = counts.sum(1), counts.argmax(1)
    order = generator(split_seed, "validation and test").permutation(groups)
    smallest = min(ratio for ratio in ratios if ratio) * np.bincount(major, size, minlength=classes)
    is_huge = size > np.maximum(1.0, smallest / 4)[major]
    for class_id in range(classes):
        of_class = order[((major == class_id) & (size > 0) & ~is_huge)[order]]
        # What huge groups keep back of a class is made up for by its other posts.
        shares = np.rint(np.asarray(ratios) * (size[of_class].sum() + counts[is_huge, class_id].sum()))
        ends = np.concatenate(([0], np.cumsum(size[of_class])))
        start = 0
        for number, share in enumerate(shares, start=1):
            stop = max(start, int(np.abs(ends - ends[start] - share).argmin()))
            part[of_class[start:stop]] = number
            start = stop
    return part[group]


def _warn_of_missing_classes(store: PostStore, parts: dict[str, np.ndarray]) -> None:
    for name, rows in parts.items():
        seen = np.bincount(store.label[rows], minlength=len(store.classes))
        missing = [word for word, count in zip(store.classes, seen, strict=True) if not count]
        if len(rows) and missing:
            warnings.warn(f"there is no {name} post of the class {', '.join(missing)}", stacklevel=3)


def _equal_counts(available: np.ndarray, num_labels: int) -> np.ndarray:
    """The same number for each class; what does not divide, or a small class lacks, goes to those with most posts."""
    counts = np.zeros_like(available)
    by_size = np.argsort(-available, kind="stable")
    while (left := num_labels - counts.sum()) > 0:
        room = by_size[(available - counts)[by_size] > 0]
        level, remainder = divmod(int(left), len(room))
        step = np.full(len(room), level) if level else (np.arange(len(room)) < remainder).astype(int)
        counts[room] += np.minimum(step, (available - counts)[room])
    return counts


def _proportional_counts(available: np.ndarray, num_labels: int) -> np.ndarray:
    """Seats by highest averages (Sainte-Laguë), the first of each class ahead of all others.

    Unlike largest remainders, no class gets fewer of a larger budget, so that small budgets lie within large ones.
    """
    class_of = np.repeat(np.arange(len(available)), available)
    first = np.repeat(np.cumsum(available) - available, available)
    seat = np.arange(len(class_of)) - first
    average = np.where(seat == 0, np.inf, available[class_of] / (2 * seat + 1))
    chosen = np.lexsort((seat, -available[class_of], -average))[:num_labels]
    return np.bincount(class_of[chosen], minlength=len(available))


def _draw_labelled(
    classes: tuple[str, ...],
    label: np.ndarray,
    pool: np.ndarray,
    num_labels: int,
    seed: int,
    label_balance: str,
    notes: list[str],
) -> np.ndarray:
    """Labelled rows among `pool`: of each class the first ones of an order that `seed` alone decides."""
    if len(classes) < 2:
        raise ValueError(f"the labels name one class alone ({', '.join(classes)}): there is nothing to learn")
    available = np.bincount(label[pool], minlength=len(classes))
    found = ", ".join(f"{name} {count}" for name, count in zip(classes, available, strict=True))
    if (available == 0).any():
        missing = ", ".join(name for name, count in zip(classes, available, strict=True) if not count)
        raise ValueError(
            f"no labelled post of the class {missing} is there to train with (labelled training posts: {found})"
        )
    if num_labels == 0:
        return pool
    if num_labels > len(pool):
        raise ValueError(
            f"--num_labels {num_labels} is more than the {len(pool)} labelled posts that are left to train with "
            f"({found}): ask for fewer, or 0 for all"
        )
    if num_labels < len(classes):
        raise ValueError(f"--num_labels {num_labels} is less than one for each of the {len(classes)} classes")
    if label_balance == "equal":
        counts = _equal_counts(available, num_labels)
        _tell_of_counts(classes, available, counts, num_labels, notes)
    else:
        counts = _proportional_counts(available, num_labels)
    rows = []
    for class_id, count in enumerate(counts):
        of_class = pool[label[pool] == class_id]
        rows.append(of_class[generator(seed, "labelled posts", class_id).permutation(len(of_class))[:count]])
    return np.concatenate(rows)


def _tell_of_counts(
    classes: tuple[str, ...], available: np.ndarray, counts: np.ndarray, num_labels: int, notes: list[str]
) -> None:
    """Say where an equal number for each class was not to be had."""
    drawn = ", ".join(f"{name} {count}" for name, count in zip(classes, counts, strict=True))
    short = [name for name, have in zip(classes, available, strict=True) if have < num_labels // len(classes)]
    if short:
        warnings.warn(
            f"there are too few labelled posts of {', '.join(short)} for --num_labels {num_labels} in equal shares: "
            f"all of them are used and other classes fill up ({drawn})",
            stacklevel=4,
        )
    elif num_labels % len(classes):
        notes.append(f"--num_labels {num_labels} does not divide by {len(classes)} classes: {drawn}")


def _find_rows(store: PostStore, wanted: Sequence[str]) -> np.ndarray:
    """Rows of the posts with these ids. Raises ValueError for an id that is twice there or unknown."""
    place = {identifier: number for number, identifier in enumerate(wanted)}
    if len(place) < len(wanted):
        twice = next(identifier for number, identifier in enumerate(wanted) if place[identifier] != number)
        raise ValueError(f"the labelled ids (--labeled_ids_path) have {twice!r} twice")
    rows = np.full(len(wanted), -1, dtype=np.int64)
    for start in range(0, len(store), ID_CHUNK):
        chunk = np.arange(start, min(start + ID_CHUNK, len(store)))
        for row, identifier in zip(chunk, store.ids(chunk), strict=True):
            if identifier in place:
                rows[place[identifier]] = row
    unknown = [identifier for identifier, row in zip(wanted, rows, strict=True) if row < 0]
    if unknown:
        raise ValueError(
            f"{len(unknown)} of the {len(wanted)} labelled ids (--labeled_ids_path) are no posts of the data, "
            f"as {', '.join(unknown[:3])}"
        )
    return rows


def _check_given(store: PostStore, label: np.ndarray, given: np.ndarray, may_train: np.ndarray) -> np.ndarray:
    """The rows of given ids. Raises ValueError where one cannot train, or a class has none."""
    reasons = {
        "have no label": label[given] < 0,
        "are published validation or test posts, or near-duplicates of such": ~may_train[given],
    }
    for what, is_wrong in reasons.items():
        if is_wrong.any():
            ids = ", ".join(store.ids(given[is_wrong][:3]))
            raise ValueError(f"{is_wrong.sum()} of the labelled ids (--labeled_ids_path) {what}, as {ids}")
    counts = np.bincount(label[given], minlength=len(store.classes))
    missing = [name for name, count in zip(store.classes, counts, strict=True) if not count]
    if missing:
        raise ValueError(f"the labelled ids (--labeled_ids_path) have no post of the class {', '.join(missing)}")
    return given
