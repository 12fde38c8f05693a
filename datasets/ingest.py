"""From posts as readers yield them to a post store; and the store that a run's options ask for."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import shutil
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from itertools import islice
from operator import itemgetter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from datasets.duplicates import group_posts
from datasets.folders import alone, resumable_folder
from datasets.images import ImageRefused, Shrunk, read_image, shrink_and_compare
from datasets.ingest_progress import Progress, Quarantine
from datasets.options import CrawlOptions, DataOptions, WorldOptions
from datasets.posts import SENTIMENTS, Post
from datasets.readers import Reader, ReaderOptions, find, recognise
from datasets.seeds import generator
from datasets.store import PostStore, StoreWriter, is_store, set_columns
from datasets.store_format import FORMAT
from datasets.text import clean_text

SHORT_SIDE = 256
CHUNK = 32
"""Posts that a thread prepares at a time."""
MOST_CLASSES_TOLD = 20
UNLABELLED_PLACE = "unlabelled"
"""Instead of a split: of a place whose posts have no label that counts, and are in no published split."""

Source = tuple[Iterable[Post], str | None]
"""Posts, and the split they belong to: "test" puts them all there, "train" those that have no published split."""


@dataclass(frozen=True)
class Prepared:
    """A post with its image shrunk, or the reason why not."""

    post: Post
    text: str | None
    image: Shrunk | None
    refused: str | None


def prepare(post: Post, short_side: int = SHORT_SIDE) -> Prepared:
    """Read and shrink the post's image and clean its text. Never raises for a broken image."""
    if post.refused is not None:
        return Prepared(post, None, None, None)
    text = clean_text(post.text) if post.text and not post.text.isspace() else None
    image, refused = None, None
    try:
        if post.image is not None:
            data = post.image if isinstance(post.image, bytes) else read_image(post.image)
            image = shrink_and_compare(data, short_side)
    except FileNotFoundError:
        refused = "missing"
    except ImageRefused as error:
        refused = error.reason
    except (OSError, ValueError):  # ValueError: no file can have such a path
        refused = "unreadable"
    return Prepared(post, text, image, refused)


def _prepare_all(posts: Iterable[Post], num_workers: int) -> Iterator[Prepared]:
    """Prepare the posts in order; in threads, since Pillow lets others run while it decodes."""
    if num_workers < 2:
        yield from map(prepare, posts)
        return
    posts = iter(posts)
    with ThreadPoolExecutor(num_workers) as pool:
        waiting: deque = deque()
        try:
            while chunk := list(islice(posts, CHUNK)):
                waiting.append(pool.submit(lambda chunk: list(map(prepare, chunk)), chunk))
                if len(waiting) > 3 * num_workers:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _split_of(post: Post, split: str | None) -> str | None:
    return split if split == "test" else post.split or split


def _write_posts(
    sources: Sequence[Source], writer: StoreWriter, quarantine: Quarantine, progress: Progress, num_workers: int
) -> None:
    for posts, split in sources:
        for ready in _prepare_all(progress.pass_over(posts), num_workers):
            post = ready.post
            progress.take(post)
            if ready.refused is not None:
                quarantine.add(post, "image", ready.refused)
            image = ready.image
            if ready.text is None and image is None:
                quarantine.add(post, "post", post.refused or "neither text nor image")
                continue
            writer.add(
                clean_text(post.id),
                text=ready.text,
                image=image.jpeg if image else None,
                label=post.label,
                text_label=post.text_label,
                image_label=post.image_label,
                split=_split_of(post, split),
                group=post.group,
                linked_group=post.linked_group,
                of_benchmark=post.of_benchmark,
                image_hash=image.hash if image else None,
                thumbnail=image.thumbnail if image else None,
                teacher=post.teacher,
                paraphrase=clean_text(post.paraphrase) if post.paraphrase else None,
                extra=post.extra,
            )
            progress.save(writer, quarantine)
    progress.finish()


def ingest(
    sources: Sequence[Source],
    path: Path | str,
    classes: Sequence[str] | None = None,
    source: str = "",
    num_workers: int = 0,
) -> PostStore:
    """Write posts into a new store at `path`, streaming, and group near-duplicates.

    `classes` None: those that the labels name. A broken image is quarantined and its post kept where it has text; a
    post with nothing left, and a record that a reader refuses, is quarantined. The store appears at `path` when it is
    whole, or not at all. What was killed or interrupted goes on where it stopped, and ends as the same bytes.
    Raises ValueError for an unknown label, a folder that is there already, no posts, and a full disk.
    """
    path = Path(path)
    if path.exists():
        raise ValueError(f"{path} is there already; remove it or name another folder")
    with resumable_folder(path) as partial:
        splits = [split for _, split in sources]
        progress = Progress(partial, {"source": source, "splits": splits, "classes": classes, "format": FORMAT})
        if progress.files:
            print(f"{path}: goes on after {progress.saved_rows:,} posts that an interrupted ingest left")
        whole = is_store(partial)
        with Quarantine(partial / "quarantine.csv", None if whole else progress.quarantine_bytes) as quarantine:
            if not whole:
                with StoreWriter(partial, classes, source) as writer:
                    writer.restore(progress.files)
                    _write_posts(sources, writer, quarantine, progress, num_workers)
                    quarantine.sync()
        set_columns(partial, group=group_posts(PostStore(partial)))
        progress.forget()
    store = PostStore(path)
    print(_summary(store, quarantine))
    return store


def _summary(store: PostStore, quarantine: Quarantine) -> str:
    repeated = len(store) - pc.count_distinct(pa.chunked_array(store.chunks("id"))).as_py()
    sentence = (
        f"{store.path}: {len(store):,} posts, {int(store.has_image.sum()):,} with an image, "
        f"{int(store.has_text.sum()):,} with text, {int((store.label >= 0).sum()):,} with a label{_by_class(store)}; "
        f"{quarantine}"
    )
    return sentence + (f"; {repeated:,} posts have the id of another" if repeated else "")


def _by_class(store: PostStore) -> str:
    """How many posts of each class there are: a label that was misspelled shows as a class."""
    counts = np.bincount(store.label[store.label >= 0], minlength=len(store.classes))
    told = [f"{count:,} {name}" for name, count in zip(store.classes, counts, strict=True)]
    more = [f"and {len(told) - MOST_CLASSES_TOLD} classes more"] if len(told) > MOST_CLASSES_TOLD else []
    return f" ({', '.join(told[:MOST_CLASSES_TOLD] + more)})" if counts.any() else ""


def open_source(
    path: Path | str, options: DataOptions, labels_needed: bool = True, crawl: CrawlOptions | None = None
) -> tuple[Iterator[Post], tuple[str, ...] | None]:
    """The posts at `path` in whatever layout, and their classes (None: those that the labels name).

    The layout is --dataset or the one that recognises the path; a post store is read too. `crawl` says which tweets of
    a crawl are kept. Raises ValueError as readers do, and for a rule that the reader would not go by.
    """
    path = Path(path)
    layout = _layout(path, options)
    _check_rules(path, layout, crawl or CrawlOptions())
    if layout is None:
        store = PostStore(path)
        return store.posts(), store.classes
    columns = (options.id_column, options.text_column, options.image_column, options.label_column)
    reader = layout()
    reading = ReaderOptions(*columns, labels_needed=labels_needed, crawl=crawl or CrawlOptions())
    return reader.read(path, reading), reader.classes


def open_sources(
    places: Sequence[tuple[Path, str | None]],
    options: DataOptions,
    labels_needed: bool = True,
    crawl: CrawlOptions | None = None,
    classes: Sequence[str] | None = None,
) -> tuple[list[Source], Sequence[str] | None]:
    """The posts of each place with its split, and the classes of all: `classes`, else those that a place has by itself
    (None: those that the labels name). Raises ValueError as `open_source` does, and where places have different ones.
    """
    apart = [split == UNLABELLED_PLACE for _, split in places]
    opened = [  # where there is a place of unlabelled posts, rules for a crawl are for that one
        open_source(
            place, _read_as(split, options), labels_needed and not more, crawl if more or not any(apart) else None
        )
        for (place, split), more in zip(places, apart, strict=True)
    ]
    given = {its_classes for _, its_classes in opened if its_classes is not None}
    if classes is None and len(given) > 1:
        raise ValueError(f"the places of the posts have different classes: {sorted(given)}")
    sources: list[Source] = [
        (_without_labels(posts), None) if split == UNLABELLED_PLACE else (posts, split)
        for (posts, _), (_, split) in zip(opened, places, strict=True)
    ]
    return sources, classes or next(iter(given), None)


def _read_as(split: str | None, options: DataOptions) -> DataOptions:
    """The options by which a place is read: what has no labels may have another layout than what has."""
    return replace(options, dataset="auto") if split == UNLABELLED_PLACE else options


def _without_labels(posts: Iterable[Post]) -> Iterator[Post]:
    for post in posts:
        yield replace(post, label=None, text_label=None, image_label=None, split=None)


def _check_rules(path: Path, layout: type[Reader] | None, crawl: CrawlOptions) -> None:
    """Raise ValueError for a rule, other than by default, that nothing in what reads the posts goes by."""
    known = layout.rules if layout else ()
    for name, usual in asdict(CrawlOptions()).items():
        given = getattr(crawl, name)
        if given != usual and name not in known:
            flag = f"--no_{name}" if given is False else f"--{name} {given!r}"
            its_own = ", ".join(f"--{rule}" for rule in known) or "none"
            raise ValueError(
                f"{flag} is a rule for the tweets of a crawl that --dataset {layout.name if layout else 'store'} does "
                f"not know, by which {path} is read: leave it out (rules that it knows: {its_own})"
            )


def _layout(path: Path, options: DataOptions) -> type[Reader] | None:
    """What reads the posts at `path`; None: they are a post store."""
    if options.dataset == "store" or (options.dataset == "auto" and is_store(path)):
        return None
    return recognise(path) if options.dataset == "auto" else find(options.dataset)


def source_paths(options: DataOptions) -> list[tuple[Path, str | None]]:
    """Where the options say that posts are, each place with the split its posts belong to, or UNLABELLED_PLACE; none:
    the synthetic world.

    Raises ValueError where only test posts or unlabelled ones are given, or a layout and nothing of that layout.
    """
    train, test = options.train_data_dir or options.data_dir, options.test_data_dir
    if test and not train:
        raise ValueError("--test_data_dir is given without --train_data_dir: name the posts to train on")
    if options.unlabelled_dir and not train:
        raise ValueError(
            f"--unlabelled_dir {options.unlabelled_dir} is given without labelled posts: name them by --train_data_dir"
        )
    more = [(Path(options.unlabelled_dir), UNLABELLED_PLACE)] if options.unlabelled_dir else []
    if options.data_dir and train and Path(options.data_dir).resolve() != Path(train).resolve():
        print(f"--data_dir {options.data_dir} is not read, because --train_data_dir says where the posts are")
    if not train and options.dataset != "auto":
        raise ValueError(
            f"--dataset {options.dataset} reads posts that are there: name them with --train_data_dir, or leave "
            "--dataset out for the synthetic world"
        )
    if not train:
        return []
    if not test or Path(test).resolve() == Path(train).resolve():
        return [(Path(train), None), *more]
    return [(Path(train), "train"), (Path(test), "test"), *more]


def open_posts(
    options: DataOptions, world: WorldOptions, classes: Sequence[str] | None = None, labels_needed: bool = True
) -> PostStore:
    """The post store that a run's options ask for; ingested into `--cache_dir` unless it is there from before.

    It is known by a hash of what it is made of (paths, sizes and times of the files, options, the code that makes it),
    so changed posts give a new store. `classes` and `labels_needed` False are for posts that are only to be predicted.
    Raises ValueError as readers and `ingest` do, and where the posts do not have --num_classes classes.
    """
    places = source_paths(options)
    labels_needed = labels_needed and options.labels_from == "given"
    if len(places) == 1 and not options.num_posts and options.dataset in ("auto", "store") and is_store(places[0][0]):
        store = PostStore(places[0][0])
        print(f"{store.path}: {len(store):,} posts")
    else:
        name = Path(places[0][0]).resolve().name if places else "synthetic world"
        key = _key(places, options, world, classes, labels_needed)
        path = Path(options.cache_dir) / "stores" / f"{name.replace(' ', '-')}-{key}"
        with alone(path):
            if is_store(path) and not _mended(path):
                store = PostStore(path)
                print(f"{store.path}: {len(store):,} posts, ingested before")
            else:
                shutil.rmtree(path, ignore_errors=True)
                store = _ingest_places(places, path, options, world, classes, labels_needed)
    if options.num_classes and options.num_classes != len(store.classes):
        found = ", ".join(store.classes)
        raise ValueError(f"--num_classes {options.num_classes}, but the posts have {len(store.classes)}: {found}")
    if options.labels_from == "given":
        return store
    store = PostStore(store.path, options.labels_from)
    print(
        f"labels are a text teacher's, of {int((store.label >= 0).sum()):,} posts; figures say how well it is matched"
    )
    return store


def _ingest_places(
    places: list[tuple[Path, str | None]],
    path: Path,
    options: DataOptions,
    world: WorldOptions,
    classes: Sequence[str] | None,
    labels_needed: bool,
) -> PostStore:
    """Ingest what `source_paths` found, or the synthetic world."""
    if not places:
        from datasets.synthetic import SyntheticWorld

        print("no --data_dir: the posts are those of the synthetic world, drawn now")
        drawn = _sample([(SyntheticWorld(world).posts(), None)], options)
        return ingest(drawn, path, SENTIMENTS, "synthetic world", options.num_workers)
    sources, declared = open_sources(places, options, labels_needed, classes=classes)
    source = ", ".join(str(place) for place, _ in places)
    return ingest(_sample(sources, options), path, declared, source, options.num_workers)


def _sample(sources: list[Source], options: DataOptions) -> list[Source]:
    """As many posts as --num_posts asks for, drawn evenly from all, in their order (reservoir sampling: Vitter, 1985,
    algorithm R); where it asks for none, the sources as they are."""
    if not options.num_posts:
        return sources
    draw = generator(options.split_seed, "sample of posts")
    kept: list[tuple[int, Post]] = []
    posts = (replace(post, split=_split_of(post, split)) for posts, split in sources for post in posts)
    for number, post in enumerate(posts):
        if number < options.num_posts:
            kept.append((number, post))
        elif (place := int(draw.integers(number + 1))) < options.num_posts:
            kept[place] = number, post
    return [([post for _, post in sorted(kept, key=itemgetter(0))], None)]


def _mended(path: Path) -> bool:
    """Whether an image that was quarantined has been supplied or replaced since."""
    made = (path / "store.json").stat().st_mtime
    with open(path / "quarantine.csv", newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            image = Path(row["file"]) if row["file"] and row["what"] == "image" else None
            if image is not None and image.exists() and (row["reason"] == "missing" or image.stat().st_mtime > made):
                return True
    return False


def _key(
    places: list[tuple[Path, str | None]],
    options: DataOptions,
    world: WorldOptions,
    classes: Sequence[str] | None,
    labels_needed: bool,
) -> str:
    """Hash of everything that a store is made of."""
    room = Path(__file__).parent
    code = [
        room / f"{name}.py"
        for name in ("store", "store_writer", "images", "thumbnails", "text", "ingest", "duplicates", "posts", "tweets")
    ]
    if places:
        code += sorted((room / "readers").glob("*.py"))
        columns = (options.id_column, options.text_column, options.image_column, options.label_column)
        parts: list[object] = [options.dataset, columns, classes, labels_needed]
        parts += [[str(place.resolve()), split] for place, split in places]
    else:
        code += sorted(room.glob("synthetic*.py"))
        parts = [asdict(world)]
    if options.num_posts:
        parts += ["sample", options.num_posts, options.split_seed]
    digest = hashlib.sha256(json.dumps(parts).encode())
    for file in code:
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    for place, split in places:
        layout = _layout(place, _read_as(split, options))
        for source in layout.sources(place) if layout is not None else [place]:
            for line in _listing(source, Path(options.cache_dir).resolve()):
                digest.update(line.encode("utf-8", errors="surrogateescape"))
    return digest.hexdigest()[:16]


def _listing(place: Path, cache: Path) -> Iterator[str]:
    """Path, size and time of every file at `place`, in order, those behind links too, as readers find them there; what
    the cache itself holds is left out. A folder that several links lead to, or one to itself, is listed once."""
    if not place.is_dir():
        if not place.exists():
            raise ValueError(f"{place} does not exist: check --data_dir, --train_data_dir and --test_data_dir")
        about = place.stat()
        yield f"{place.name} {about.st_size} {about.st_mtime_ns}\n"
        return
    listed: set[Path] = set()
    for folder, folders, files in os.walk(place.resolve(), followlinks=True):
        real = Path(folder).resolve()
        if real == cache or real in listed:
            folders.clear()
            yield "" if real == cache else f"{folder} is {real}\n"
            continue
        listed.add(real)
        folders.sort()
        for name in sorted(files):
            path = os.path.join(folder, name)
            about = os.stat(path, follow_symlinks=os.path.exists(path))  # a link may lead nowhere
            yield f"{path} {about.st_size} {about.st_mtime_ns}\n"
