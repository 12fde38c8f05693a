"""The published flags of the auxiliary-losses system, and the house's options that each of its runs stands for.

Sanchez Villegas, Preoţiuc-Pietro and Aletras, Findings of EACL 2024; flags and defaults as in their repository
(danaesavi/SocialMedia-TextImage-Classification-AuxLosses). Imports no torch: `--help` is quick.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import tyro

from datasets.options import DataOptions
from nets.options import FASTTEXT

SAMPLE = 200
"""Posts that `--testing` draws, those of the test that are text alone among them."""
CHECKPOINTS = {
    "vit": "vit_base_patch16_224.orig_in21k",
    "beit": "beit_base_patch16_224.in22k_ft_in22k",
    "deit": "deit_base_distilled_patch16_224.fb_in1k",
    "resnet50": "resnet50.tv_in1k",
    "resnet152": "resnet152.tv_in1k",
}
"""timm's names for the published image encoders; the house has short names for those of text."""
GRIDS = {"vit": 14, "beit": 14, "deit": 14, "resnet50": 7, "resnet152": 7}
"""Side of the grid of parts that a fusion attends to: every patch, every place of the map."""
FUSIONS = {"aspect-att": "aspect_attention", "xatt": "cross_attention", "concat_cnn": "concat"}
"""The house's names for fusions that it calls otherwise. Of the last two, which were to read the maps of a ResNet, the
published code lacks the classes; what is left of the first has text and image ask each other, as here."""


OWN_NAMES = {
    "train_data_dir": "data_dir", "epoch": "epochs", "encoder_lr": "lr", "num_labels": "nsamples",
    "fusion": "fusion_name", "net": "model", "text_net": "txt_model_name", "image_net": "img_model_name",
    "text_weights": "txt_weights", "image_weights": "img_weights", "itc_loss_ratio": "beta_itc",
    "itm_loss_ratio": "beta_itm",
}  # fmt: skip
"""What the published scripts, those that have it, call a flag of the house."""
EarlyNet = Literal["vilt", "lxmert", "mmbt"]
"""Nets of early fusion, which a script of their own trains."""


WIDTH = ("--feature_dim", "768")
"""Width of what nets with separate encoders fuse."""


@dataclass(frozen=True)
class Task:
    """What a number of --task stands for."""

    name: str  # as in the published code
    key: str  # its table of posts
    reader: str  # the house's reader of the data set as its own authors publish it
    folder: str  # where that lies, as the published code has it
    batch_size: int
    classes: tuple[str, ...] = ()  # in the published order of ids, where that is not the reader's
    label_column: str = DataOptions.label_column
    texts: str = ""  # its table of test posts that are text alone


_TIR = "data_key_imgtxt_random.csv", "text-image"
TASKS = {
    0: Task("text_is_represented", _TIR[0], "tir_text", _TIR[1], 8, label_column="text_is_represented"),
    1: Task("image_adds", _TIR[0], "tir_image", _TIR[1], 8, label_column="image_adds"),
    2: Task("tir", _TIR[0], "tir", _TIR[1], 8),
    3: Task("mvsa", "data_key_mvsa.csv", "mvsa_single", "MVSA-Single", 16, ("neutral", "positive", "negative")),
    4: Task("mhp", "data_key_mhp.csv", "mhp", "MHP", 8),
    5: Task("mic", "data_key_mic.csv", "micd", "MIC", 16, texts="text_data_mic.csv"),
    6: Task("msd", "data_key_msd.csv", "msd", "MSD", 16),
}


@dataclass(frozen=True, kw_only=True)
class PublishedFlags:
    """Flags of every published script, and those that say where things are here."""

    own_names: ClassVar[Mapping[str, str]] = {}
    """What this script calls a flag of the house otherwise than OWN_NAMES says."""

    task: Literal[0, 1, 2, 3, 4, 5, 6]
    """Text represented in the image or not (0), image adds to the text or not (1), both (2), sentiment (MVSA-Single,
    3), hate (MHP, 4), influencers' commercial content (MICD, 5), sarcasm (MSD, 6)."""
    epochs: int = 2
    """Passes over the training posts."""
    lr: float = 1e-5
    """Learning rate of every weight; it does not change."""
    weight_decay: float = 0.00025
    """Weight decay of all but biases and norms."""
    dropout: float = 0.05
    """Dropout before the classifier."""
    seed: int = 30
    """Seed of the initial weights and of every draw in training."""
    testing: bool = False
    """A trial on 200 posts; its files are written in a folder testing."""
    save_model: bool = False
    """Write the weights after the last epoch, ..._net.pth."""
    use_loss_correction: bool = False
    """Never did anything in the published code; ignored."""
    data_dir: Path = Path("data")
    """Folder of the tables data_key_*.csv and of the folders of images; without its table a task reads the data set as
    its authors publish it, in the same folder."""
    results_dir: Path = Path("results")
    """Folder of the published result files."""
    save_dir: str = "./saved_models"
    """Folder of runs, with report, checkpoints and the best model."""
    resume: bool = False
    """Go on with a run that was stopped; otherwise one of the same name is thrown away, as the published scripts do."""
    gpu: int = 0
    """CUDA device; without CUDA the CPU is used; -1: the CPU."""
    num_workers: int = DataOptions.num_workers
    """Processes that read and decode posts; 0: none but the main one."""
    cache_dir: str = DataOptions.cache_dir
    """Where post stores, token ids and features of frozen encoders are kept between runs."""

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise ValueError(f"--epochs {self.epochs} must be 1 or more")
        if not self.lr > 0:
            raise ValueError(f"--lr {self.lr} must be above 0")

    def in_own_words(self, sentence: str) -> str:
        """What the house says of its flags, said of the script's own."""
        names = {**OWN_NAMES, **self.own_names}
        there = {field.name for field in fields(self)}

        def own(flag: re.Match[str]) -> str:
            name = names.get(flag[1], "")
            return f"--{name}" if name in there else flag[0]

        return re.sub(r"--(\w+)", own, sentence)


@dataclass(frozen=True, kw_only=True)
class TextFlags:
    """The text encoder's weights."""

    txt_weights: Annotated[str, tyro.conf.arg(aliases=["--text_weights"])] = ""
    """Folder with the text encoder's weights and tokenizer; empty: from the hub; none: from scratch."""


@dataclass(frozen=True, kw_only=True)
class ImageFlags:
    """The image encoder's weights."""

    img_weights: Annotated[str, tyro.conf.arg(aliases=["--image_weights"])] = ""
    """File with the image encoder's weights; empty: timm's; none: from scratch."""


@dataclass(frozen=True, kw_only=True)
class LossFlags:
    """The auxiliary losses."""

    use_clip_loss: bool = False
    """Image-text contrast (ITC)."""
    use_tim_loss: bool = False
    """Image-text matching (ITM)."""
    beta_itc: float = 0.1
    """Share of image-text contrast in the loss."""
    beta_itm: float = 0.1
    """Share of image-text matching in the loss."""
    use_saved_features: bool = False
    """Preprocessed images are always kept between runs here; ignored."""

    @property
    def loss_name(self) -> str:
        """The losses in the names of files."""
        itc = f"itc{self.beta_itc}" if self.use_clip_loss else ""
        return itc + (f"itm{self.beta_itm}" if self.use_tim_loss else "")

    @property
    def loss_words(self) -> list[str]:
        """The house's flags for them. Raises ValueError where they leave nothing to the main loss."""
        itc = ["--itc_loss_ratio", str(self.beta_itc)] if self.use_clip_loss else []
        itm = ["--itm_loss_ratio", str(self.beta_itm)] if self.use_tim_loss else []
        shares = [self.beta_itc] * bool(itc) + [self.beta_itm] * bool(itm)
        if any(not share > 0 for share in shares) or sum(shares) >= 1:
            raise ValueError(
                f"--beta_itc {self.beta_itc}, --beta_itm {self.beta_itm}: shares of the loss must be above 0, and "
                "below 1 together: the rest is the main loss"
            )
        return [*itc, *itm]


@dataclass(frozen=True)
class PublishedRun:
    """One run of a published script."""

    kind: str  # the folder of its results
    stem: str  # what the names of its files begin with, up to the last underscore
    flags: PublishedFlags
    words: tuple[str, ...]  # the house's flags for its net
    preds: bool = False  # write the test posts' predictions
    metrics: bool = False  # write the test posts' figures in a file of their own
    text_test: bool = False  # evaluate on the posts of the test that never had an image
    load: bool = False  # evaluate saved weights, train nothing

    @property
    def task(self) -> Task:
        """What it learns."""
        return TASKS[self.flags.task]

    @property
    def _parts(self) -> tuple[str, ...]:
        return (self.kind, "testing") if self.flags.testing else (self.kind,)

    def file(self, name: str) -> Path:
        """The result file of that name."""
        return Path(self.flags.results_dir, *self._parts, f"{self.stem}_{name}")

    def argv(self) -> list[str]:
        """The run as flags of main.py, over configs/auxiliary_losses.yaml.

        Raises ValueError, which says what is wanted where, if the posts are not there, or not those that flags ask for.
        """
        flags = self.flags
        if self.text_test and not self.task.texts:
            raise ValueError(f"--eval_txt_test: only task 5 (MICD) has test posts of text alone, not task {flags.task}")
        path, reader = find_posts(self.task, flags.data_dir)
        if self.text_test:
            _need_texts(self.task, path)
        given: dict[str, object] = {
            "train_data_dir": path, "dataset": reader, "label_column": self.task.label_column,
            "batch_size": self.task.batch_size, "epoch": flags.epochs, "lr": flags.lr, "encoder_lr": flags.lr,
            "weight_decay": flags.weight_decay, "dropout": flags.dropout, "seed": flags.seed,
            "num_posts": SAMPLE if flags.testing else 0, "gpu": flags.gpu, "num_workers": flags.num_workers,
            "cache_dir": flags.cache_dir, "save_dir": Path(flags.save_dir, *self._parts),
            "save_name": self.stem.rstrip("_"),
        }  # fmt: skip
        words = [word for name, value in given.items() for word in (f"--{name}", str(value))]
        return [*words, *self.words, "--resume" if flags.resume else "--overwrite"]


def find_posts(task: Task, data_dir: Path) -> tuple[Path, str]:
    """The task's posts and their reader: the published table, else the data set as its own authors publish it.

    Raises ValueError where neither is there.
    """
    if (data_dir / task.key).is_file():
        return data_dir / task.key, "data_key"
    if (data_dir / task.folder).is_dir():
        return data_dir / task.folder, task.reader
    raise ValueError(
        f"there are no posts of the task {task.name}: supply the table {data_dir / task.key} or, as its own authors "
        f"publish the data set (layout {task.reader}), the folder {data_dir / task.folder}; or name another --data_dir"
    )


def _need_texts(task: Task, path: Path) -> None:
    """Raise ValueError where the table of the test posts that are text alone is not where the reader of `path`, the
    task's table or folder, looks for it."""
    places = [path.parent / task.texts] if path.is_file() else [path / task.texts, path / "data" / task.texts]
    if not any(place.is_file() for place in places):
        raise ValueError(
            f"--eval_txt_test: there is no {places[0]}, the table of the test posts that are text alone: supply it"
        )


def text_words(name: str, flags: TextFlags) -> list[str]:
    """The house's flags for a text encoder by its published or house name."""
    return ["--text_net", name, "--text_weights", flags.txt_weights]


def pooling_words(name: str) -> list[str]:
    """Those for what is read of a text encoder by itself: the first token, where there is a special one."""
    return ["--text_pooling", "mean" if name == FASTTEXT else "cls"]


def image_words(name: str, flags: ImageFlags, attended: bool = False) -> list[str]:
    """The house's flags for an image encoder by its published or house name; `attended`: its parts are asked for."""
    grid = ["--image_grid", str(GRIDS[name])] if attended and name in GRIDS else []
    return ["--image_net", CHECKPOINTS.get(name, name), "--image_weights", flags.img_weights, *grid]


def file_name(*names: str) -> str:
    """Names of models as part of a file's name; those of the hub have a slash."""
    return "-".join(names).replace("/", "_")


def warn_of_dead_flags(flags: PublishedFlags, *names: str) -> None:
    """Say of each flag of these names that is given that it does nothing, and why."""
    usual = {field.name: field.default for field in fields(flags)}
    for name in names:
        if getattr(flags, name) != usual[name]:
            print(f"warning: --{name} never did anything in the published code; it is ignored", file=sys.stderr)
    if getattr(flags, "use_saved_features", False):
        print("note: --use_saved_features: preprocessed images are always kept between runs", file=sys.stderr)
