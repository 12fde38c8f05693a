"""New posts and the best model of a run: what it answers for them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from datasets.augment import ViewMaker
from datasets.batch import UNLABELLED, Batch
from datasets.ingest import open_posts
from datasets.loading import evaluation_batches
from datasets.options import DataOptions, WorldOptions
from datasets.post_source import PostSource
from datasets.store import PostStore
from datasets.tokens import TokenCache
from evaluation.predict import Predictions, predict
from nets.build import read_plan
from nets.post_net import PostNet
from training.assembly import autocast_type, choose_device, image_shape, regions_for
from training.command_line import load_options
from training.defaults import check_regions
from training.outcome import TOKENIZER_FOLDER, folder_of_model, load_model
from training.run_folder import RunFolder

COLUMNS = ("id_column", "text_column", "image_column", "label_column")
"""The options that name a table's columns."""


def columns_of(folder: RunFolder) -> dict[str, str]:
    """The names of a table's columns with which the run was trained. Raises ValueError for one without a model."""
    folder_of_model(folder)
    trained = load_options(folder.options).data
    return {name: getattr(trained, name) for name in COLUMNS}


def label_posts(
    folder: RunFolder, data: DataOptions, gpu: int, batch_size: int
) -> tuple[PostStore, Predictions, tuple[str, ...]]:
    """The posts of `data`, the answers of the run's best model for all of them, and its classes.

    The net is whole (encoders that were frozen in training are run), posts are read as in training: tokenizer, size and
    scaling of the pixels are the model's own. Raises ValueError for a folder without a finished run and for posts that
    cannot be read.
    """
    net = load_model(folder)
    classes = _classes(folder)
    options = load_options(folder.options)
    device = choose_device(replace(options, run=replace(options.run, gpu=gpu)))
    store = open_posts(data, WorldOptions(), classes, labels_needed=False)
    check_regions(net, data)
    _say_what_is_not_read(net, store)
    source, view_maker = _reading(folder, net, store, options.data, data, device)
    batches = evaluation_batches(source, np.arange(len(store)), batch_size, view_maker, device, data.num_workers)
    answers = predict(net.to(device), _counted(batches, len(store)), autocast_type(options, device))
    return store, replace(answers, label=known_labels(store, classes)[answers.rows]), classes


def known_labels(store: PostStore, classes: tuple[str, ...]) -> np.ndarray:
    """(N,) int64: ids in `classes` of the labels that the posts have, mapped by name; UNLABELLED for all others."""
    ids = [classes.index(name) if name in classes else UNLABELLED for name in store.classes]
    return np.array([*ids, UNLABELLED])[store.label]


def _classes(folder: RunFolder) -> tuple[str, ...]:
    if not folder.results.is_file():
        raise ValueError(f"{folder.path} has no results.json: the run is not finished, go on with main.py --resume")
    return tuple(json.loads(folder.results.read_text(encoding="utf-8"))["classes"])


def _say_what_is_not_read(net: PostNet, store: PostStore) -> None:
    """Name the posts of which a net of one modality sees nothing."""
    for name in ("text", "image"):
        blind = int((~(store.has_text if name == "text" else store.has_image)).sum())
        if net.reads == (name,) and blind:
            print(f"{blind:,} posts have no {name}, and this net reads nothing else: all of them get the same answer")


def _reading(
    folder: RunFolder, net: PostNet, store: PostStore, trained: DataOptions, data: DataOptions, device: torch.device
) -> tuple[PostSource, ViewMaker]:
    """What reads the posts of `data`, and what scales their pixels, as this net was trained (with `trained`)."""
    from transformers import AutoTokenizer

    best = folder.best.parent
    size, mean, std = image_shape(read_plan(best))
    tokens: TokenCache | None = None
    if "text" in net.reads:
        tokenizer: Any = AutoTokenizer.from_pretrained(best / TOKENIZER_FOLDER, trust_remote_code=False)
        rule = "none" if trained.text_rule == "auto" else trained.text_rule  # auto: before there was such an option
        tokens = TokenCache(store, tokenizer, trained.text_length, Path(data.cache_dir) / "tokens", rule=rule)
    unseen = np.full(len(store), UNLABELLED)
    regions = regions_for(net, store, data.region_features)
    source = PostSource(store, unseen, tokens=tokens, image_size=size, regions=regions)
    return source, ViewMaker(mean, std, tokens, device=device)


def _counted(batches: Iterable[Batch], total: int) -> Iterator[Batch]:
    with tqdm(total=total, desc="labelling", unit="post", disable=None) as bar:
        for batch in batches:
            yield batch
            bar.update(len(batch))
