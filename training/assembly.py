"""From options to everything that a run is made of: posts, split, net, algorithm, and the loaders between them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

import algorithms
from algorithms.base import Algorithm, Task
from datasets.augment import ViewMaker
from datasets.batch import UNLABELLED, Batch
from datasets.folders import alone
from datasets.ingest import open_posts
from datasets.loading import TrainingLoader, evaluation_batches
from datasets.missing import missing_modalities
from datasets.order import Order
from datasets.post_source import PostSource
from datasets.regions import RegionFeatures
from datasets.seeds import derive_seed
from datasets.splits import Split, draw_split, read_ids
from datasets.store import PostStore
from datasets.tokens import TokenCache, train_tokenizer
from nets.build import Plan, build_net, find, hub_name, text_source
from nets.options import FASTTEXT
from nets.post_net import PostNet
from training.command_line import Options
from training.defaults import resolve
from training.distributed import Processes
from training.ema import Ema
from training.features import frozen_features
from training.options import TrainingOptions

MAY_CHANGE = ("eval_batch_size", "num_log_iter", "num_eval_iter", "save_minutes", "patience", "max_skipped")
"""Options of training that a resumed run may change: none of them touches a weight."""
NEUTRAL_SCALING = (0.5, 0.5, 0.5)
"""Mean and standard deviation of pixels for a net that reads none."""


def choose_device(options: Options, processes_local_rank: int = 0, say: Any = print) -> torch.device:
    """The device that `--gpu` asks for; the CPU, said so, where there is no CUDA."""
    return cuda_or_cpu(options.run.gpu, processes_local_rank, say)


def cuda_or_cpu(gpu: int, local_rank: int = 0, say: Any = print) -> torch.device:
    """CUDA device `gpu`, counted on by the process's rank; the CPU where `gpu` is -1 or, said so, without CUDA."""
    if gpu < 0:
        return torch.device("cpu")
    if not torch.cuda.is_available():
        say("there is no CUDA here: running on the CPU")
        return torch.device("cpu")
    number = gpu + local_rank
    if number >= torch.cuda.device_count():
        raise ValueError(f"--gpu {gpu}: this machine has {torch.cuda.device_count()} CUDA devices, from 0 up")
    torch.cuda.set_device(number)  # events and streams are those of the current device
    return torch.device("cuda", number)


def autocast_type(options: Options, device: torch.device) -> torch.dtype | None:
    """bf16 on a CUDA device that computes in it, or where asked for; None for float32."""
    asked = options.run.amp or options.run.precision == "bfloat16"
    automatic = options.run.precision == "auto" and device.type == "cuda"
    automatic = automatic and torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.bfloat16 if asked or automatic else None


@dataclass
class Assembly:
    """A run's parts. `options` are resolved. Frozen encoders are kept apart in `frozen`."""

    options: Options
    device: torch.device
    processes: Processes
    store: PostStore
    split: Split
    tokenizer: Any
    net: PostNet
    plan: Plan
    frozen: dict[str, nn.Module]
    source: PostSource
    view_maker: ViewMaker

    @cached_property
    def ema(self) -> Ema:
        """The moving average of the net."""
        restarts = algorithms.find(self.options.run.algorithm).restarts_average
        ema = Ema(self.net, self.options.training.ema_m, rises=not restarts)
        if self.options.run.compile:  # a copy of a compiled net is not compiled
            ema.net.compile()
        return ema

    @cached_property
    def algorithm(self) -> Algorithm:
        """The algorithm over net and teacher, on the device."""
        kind = algorithms.find(self.options.run.algorithm)
        own = kind.Options(**asdict(self.options.algorithm))
        made = kind(own, self.net, self.ema.net, self.task)
        self._check_views({*made.labelled_views, *made.unlabelled_views} - {"clean"})
        return made.to(self.device)

    def _check_views(self, wanted: set[str]) -> None:
        """Raise ValueError where frozen encoders keep none of the views that the algorithm learns from."""
        if self.frozen and wanted and not self.options.net.feature_views:
            raise ValueError(
                f"--feature_views 0 keeps no {' and no '.join(sorted(wanted))} view of a frozen encoder, which "
                f"--algorithm {self.options.run.algorithm} learns from: give 1 or more"
            )

    @property
    def task(self) -> Task:
        """What the algorithm may know of the posts."""
        labelled = torch.from_numpy(np.sort(self.split.labelled).astype(np.int64))
        labels = torch.from_numpy(self.store.label[labelled.numpy()].astype(np.int64))
        return Task(len(self.store.classes), len(self.store), len(self.split.unlabelled), labelled, labels)

    @property
    def frozen_fingerprints(self) -> dict[str, object]:
        """What tells the weights of each frozen encoder from others."""
        caches = {"image": self.source.image_features, "text": self.source.text_features}
        return {name: cache.about["weights"] for name, cache in caches.items() if cache is not None}

    def make_loader(self, start: int, stop: int) -> TrainingLoader:
        """Training batches for the steps `start` to `stop` - 1."""
        options, processes = self.options, self.processes
        labelled_posts = options.training.batch_size
        seed = options.run.seed

        def order(rows: np.ndarray, size: int, stream: str) -> Order:
            window, tokens = options.data.length_window, self.source.tokens
            lengths = tokens.count(rows) if tokens is not None and window else None
            return Order(rows, size, seed, stream, processes.rank, processes.world, lengths, max(1, window))

        labelled = order(self.split.labelled, labelled_posts, "labelled")
        views = self.algorithm.unlabelled_views
        unlabelled = None
        if views:
            unlabelled = order(self.split.unlabelled, labelled_posts * options.training.uratio, "unlabelled")
        return TrainingLoader(
            self.source, labelled, unlabelled, self.algorithm.labelled_views, views, self.view_maker, start, stop, seed,
            options.data.num_workers, self.device,
        )  # fmt: skip

    def batches_of(self, rows: np.ndarray) -> Iterator[Batch]:
        """The clean view of the posts in `rows`, for evaluation."""
        size, workers = self.options.training.eval_batch_size, self.options.data.num_workers
        return evaluation_batches(self.source, rows, size, self.view_maker, self.device, workers)

    @cached_property
    def meta(self) -> dict[str, Any]:
        """What a checkpoint and a run that goes on from it must have in common."""
        weights = {name: list(value.shape) for name, value in self.algorithm.state_dict().items()}
        chosen = asdict(self.options.training) | asdict(self.options.algorithm)
        views = (
            "strong_text", "strong_image", "modality_dropout", "text_length", "text_rule", "length_window",
            "missing_image_rate", "missing_text_rate",
        )  # fmt: skip
        chosen |= {name: getattr(self.options.data, name) for name in views}
        return {
            "algorithm": self.options.run.algorithm,
            "net": asdict(self.plan),
            "weights": hashlib.sha256(repr(sorted(weights.items())).encode()).hexdigest(),
            "store": self.store.fingerprint,
            "split": self.split.fingerprint,
            "classes": list(self.store.classes),
            **self._teacher_meta(),
            **{f"frozen {name} encoder": weights for name, weights in self.frozen_fingerprints.items()},
            "tokens": self.source.tokens.fingerprint if self.source.tokens is not None else "",
            "seed": self.options.run.seed,
            **{f"--{name}": value for name, value in chosen.items() if name not in MAY_CHANGE},
        }

    def _teacher_meta(self) -> dict[str, str]:
        """What the text teacher said, where the algorithm learns from it: it may be written anew between two runs."""
        if not algorithms.find(self.options.run.algorithm).asks_teacher(self.options.algorithm):
            return {}
        return {"teacher": self.store.teacher_fingerprint}

    @property
    def test_fingerprint(self) -> str:
        """sha256 of posts and test rows: figures of runs with the same one may be compared."""
        digest = hashlib.sha256(self.store.fingerprint.encode())
        digest.update(np.ascontiguousarray(self.split.test, dtype="<i8").tobytes())
        return digest.hexdigest()


def assemble(options: Options, device: torch.device, processes: Processes) -> Assembly:
    """Everything that a run needs, from posts to net. Raises ValueError for a user's mistake anywhere in it.

    The first process makes what is cached (store, tokens, features); the others then find it.
    """
    options = resolve(options)
    if not processes.first:
        processes.barrier()
    store = open_posts(options.data, options.world)
    asking = algorithms.find(options.run.algorithm).asks_teacher(options.algorithm)
    if asking and store.teacher is None:
        raise ValueError(
            f"{asking} learns from a text teacher's answers, and {store.path} has none: "
            f"have them written by scripts/label_tweets.py {store.path}"
        )
    split = _split(options, store)
    if asking:
        _say_of_teacher(options, store, split)
    options = replace(options, training=_with_steps(options.training, len(split.labelled)))
    tokenizer = _tokenizer(options, store)
    torch.manual_seed(derive_seed(options.run.seed, "initial weights"))
    vocabulary = len(tokenizer) if tokenizer is not None else 0
    net, plan = build_net(
        options.net,
        len(store.classes),
        options.data.image_size,
        vocabulary,
        options.data.text_length,
        _frame(tokenizer),
    )
    size, mean, std = image_shape(plan)
    length = min(options.data.text_length, net.longest_text or options.data.text_length)
    options = replace(options, data=replace(options.data, image_size=size, text_length=length))
    tokens = _tokens(options, store, tokenizer, "text")
    view_maker = ViewMaker(
        mean,
        std,
        tokens,
        options.data.strong_text,
        options.data.strong_image,
        options.data.modality_dropout,
        device,
        options.run.compile,
    )
    known = np.full(len(store), UNLABELLED)
    known[split.labelled] = store.label[split.labelled]
    paraphrases = _tokens(options, store, tokenizer, "paraphrase") if store.has_paraphrase else None
    readers: dict[str, Any] = {
        "tokens": tokens, "image_size": size, "paraphrases": paraphrases, "fixed_length": options.run.compile,
        "regions": regions_for(net, store, options.data.region_features),
    }  # fmt: skip
    out = {name: net.encoders.take_out(name) for name in options.net.frozen if name in net.reads}
    for name, encoder in out.items():
        reading = {"image": {"image_size": size}, "text": {"tokens": tokens, "paraphrases": paraphrases}}[name]
        raw = PostSource(store, known, **reading)  # type: ignore[arg-type]
        folder = Path(options.data.cache_dir) / "features"
        readers[f"{name}_features"] = frozen_features(
            name, encoder, raw, view_maker, options.net.feature_views, folder, device
        )
    source = PostSource(store, known, hidden=_hidden(options, store, split), **readers)
    if processes.first:
        processes.barrier()
    net.to(device)
    if options.run.compile:
        net.compile()
    return Assembly(options, device, processes, store, split, tokenizer, net, plan, out, source, view_maker)


def _with_steps(training: TrainingOptions, labelled: int) -> TrainingOptions:
    """The same with the steps of an epoch, where they follow from the number of labelled posts."""
    if training.num_train_iter >= 0:
        return training
    return replace(training, num_train_iter=-(-labelled // training.batch_size))


def _split(options: Options, store: PostStore) -> Split:
    """The drawn split; what a person should know of it is printed."""
    data = options.data
    given = read_ids(data.labeled_ids_path) if data.labeled_ids_path else None
    split = draw_split(
        store, num_labels=data.num_labels, seed=options.run.seed, split_seed=data.split_seed,
        label_balance=data.label_balance, val_ratio=data.val_ratio, test_ratio=data.test_ratio,
        include_lb_to_ulb=data.include_lb_to_ulb, labeled_ids=given,
    )  # fmt: skip
    for name in ("validation", "test"):
        if not len(getattr(split, name)):
            raise ValueError(f"there is no labelled {name} post: raise --{name[:3] if name[0] == 'v' else name}_ratio")
    for note in split.notes:
        print(note)
    return split


def _say_of_teacher(options: Options, store: PostStore, split: Split) -> None:
    """Print what a person should know of the teacher's answers for the unlabelled posts."""
    assert store.teacher is not None
    answers = torch.from_numpy(np.asarray(store.teacher[split.unlabelled], np.float32))
    kind = algorithms.find(options.run.algorithm)
    if note := kind.note_on_teacher(options.algorithm, answers, store.classes):
        print(note)


def _hidden(options: Options, store: PostStore, split: Split) -> tuple[np.ndarray, np.ndarray] | None:
    """(N,) bool each: training posts whose image, and whose text, the options take away; None for none."""
    data = options.data
    if not data.missing_image_rate and not data.missing_text_rate:
        return None
    rows = np.union1d(split.labelled, split.unlabelled)
    both = (store.has_image & store.has_text)[rows]
    image_rate, text_rate = data.missing_image_rate, data.missing_text_rate
    found = missing_modalities(store.ids(rows), both, image_rate, text_rate, options.run.seed)
    hidden = np.zeros(len(store), dtype=bool), np.zeros(len(store), dtype=bool)
    for whole, some in zip(hidden, found, strict=True):
        whole[rows] = some
    return hidden


def _tokenizer(options: Options, store: PostStore) -> Any:
    """The tokenizer of the text net, trained on the store's texts where the net is from scratch; None without texts."""
    if "text" not in find(options.net.net).reads:
        return None
    from transformers import AutoTokenizer

    source = text_source(options.net)
    if not source and options.net.text_net in ("small", FASTTEXT):
        folder = Path(options.data.cache_dir) / "tokenizers" / store.fingerprint_of("text")[:16]
        with alone(folder):
            if (folder / "tokenizer.json").is_file():
                return AutoTokenizer.from_pretrained(folder)
            step = 8192
            texts = (text for start in range(0, len(store), step)
                     for text in store.texts(np.arange(start, min(start + step, len(store)))))  # fmt: skip
            return train_tokenizer(texts, folder)
    source = source or hub_name(options.net)
    try:
        return AutoTokenizer.from_pretrained(source, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise ValueError(
            f"the tokenizer of {source} cannot be loaded ({str(error).splitlines()[0]}): "
            "give --text_weights FOLDER, or --text_net small --text_weights none to train text net and tokenizer here"
        ) from error


def _frame(tokenizer: Any) -> tuple[int, int]:
    """Ids of the tokens that every text begins and ends with, 0 where there are none."""
    ids = [] if tokenizer is None else tokenizer("")["input_ids"]
    return (ids[0], ids[-1]) if ids else (0, 0)


def regions_for(net: PostNet, store: PostStore, folder: str) -> RegionFeatures | None:
    """What reads the regions of the store's images, for a net that looks at regions."""
    layout = net.encoders.layouts["image"] if net.regions else None
    return RegionFeatures(folder, store, layout.count, layout.token_width) if layout else None


def _tokens(options: Options, store: PostStore, tokenizer: Any, column: str) -> TokenCache | None:
    if tokenizer is None:
        return None
    folder = Path(options.data.cache_dir) / "tokens"
    return TokenCache(store, tokenizer, options.data.text_length, folder, column, options.data.text_rule)


def image_shape(plan: Plan) -> tuple[int, tuple[float, ...], tuple[float, ...]]:
    """Pixels of the square that the net reads (0: none), mean and standard deviation of its pixels."""
    if plan.image is None:
        return 0, NEUTRAL_SCALING, NEUTRAL_SCALING
    return plan.image["size"], tuple(plan.image["mean"]), tuple(plan.image["std"])
