"""Options of the run and of training. Names and short forms are those of SCRD, TorchSSL and USB where they exist."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import tyro


@dataclass(frozen=True)
class RunOptions:
    """The run"""

    algorithm: str = "scrd"
    """How the net learns: the name of a file in algorithms/."""
    scrd_variant: Literal["reconstructed", "released"] = "reconstructed"
    """SCRD made self-consistent, or as its authors released it (the same as --algorithm scrd_released)."""
    save_dir: str = "./saved_models"
    """Folder of runs."""
    save_name: Annotated[str, tyro.conf.arg(aliases=["-sn"])] = "main"
    """Name of the run: its folder is <save_dir>/<save_name>."""
    resume: bool = False
    """Go on where the run stopped; with nothing saved yet, start."""
    load_path: str = ""
    """Checkpoint, run folder or file of weights to start the weights from; with --resume, while the run's own folder
    holds nothing: checkpoint or run folder to go on from."""
    overwrite: Annotated[bool, tyro.conf.arg(aliases=["-o"])] = False
    """Throw away what is in the run's folder."""
    eval_only: bool = False
    """Evaluate the run's best model again; train nothing."""
    seed: int = 1
    """Seed of the labelled posts, of the initial weights and of every draw in training."""
    gpu: int = 0
    """CUDA device; without CUDA the CPU is used; -1: the CPU."""
    deterministic: bool = False
    """The same bits on CUDA too, at some cost in speed."""
    compile: bool = False
    """torch.compile the net."""
    amp: bool = False
    """bf16 autocast on the CPU too; on CUDA it is on unless --precision float32."""
    precision: Literal["auto", "bfloat16", "float32"] = "auto"
    """auto: bf16 autocast on CUDA devices that compute in it, float32 on others and on the CPU."""

    def __post_init__(self) -> None:
        for name, low in {"seed": 0, "gpu": -1}.items():
            if getattr(self, name) < low:
                raise ValueError(f"--{name} {getattr(self, name)} must be {low} or more")
        for name in ("save_dir", "save_name"):
            if not getattr(self, name):
                raise ValueError(f"--{name} is empty; the run's folder is <save_dir>/<save_name>")
        if self.overwrite and (self.resume or self.eval_only):
            other = "resume" if self.resume else "eval_only"
            raise ValueError(f"--overwrite throws away the run that --{other} needs; give one of the two")
        if self.amp and self.precision == "float32":
            raise ValueError("--amp asks for bf16 and --precision float32 forbids it; give one of the two")


@dataclass(frozen=True)
class TrainingOptions:
    """Training"""

    epoch: int = 0
    """Epochs; 0: 8 on the synthetic world, else 20."""
    num_train_iter: int = 0
    """Steps of an epoch; 0: 64 on the synthetic world, else 512; -1: as many as read each labelled post once."""
    batch_size: Annotated[int, tyro.conf.arg(aliases=["-bsz"])] = 16
    """Labelled posts of a step, all processes together."""
    uratio: int = 4
    """Unlabelled posts of a step for each labelled one."""
    eval_batch_size: int = 128
    """Posts of an evaluation batch."""
    accumulate: int = 1
    """Parts into which a step's batch is cut to save memory. Losses that are means over posts have the gradient of the
    whole; those that compare posts, and running statistics, see a part at a time."""
    optim: Literal["AdamW", "RAdam", "SGD"] = "AdamW"
    """Optimiser."""
    lr: float = 0.0
    """Learning rate of the heads; 0: 5e-4 with encoders from scratch, 1e-3 where all are frozen, else 1e-4."""
    encoder_lr: float = 0.0
    """Learning rate of pretrained encoders; 0: a fifth of --lr; from scratch they learn at --lr."""
    layer_decay: float = 1.0
    """Factor on the learning rate from one encoder layer to the one below it."""
    momentum: float = 0.9
    """Momentum of SGD."""
    weight_decay: float = 0.05
    """Weight decay of all but biases and norms."""
    schedule: Literal["cosine", "constant", "released"] = "cosine"
    """Course of the learning rate: up, then along a cosine down to 0, or no further change; or that of SCRD's released
    code, which starts at --lr and ends at a fifth of it."""
    warmup: float = 0.05
    """Share of the steps over which the learning rate rises (--schedule cosine and constant)."""
    head_first: float = 0.0
    """Share of the steps over which only the heads learn, and encoders stay as they are."""
    clip: float = 1.0
    """Norm at which the gradient is clipped; 0: never."""
    ema_m: float = 0.999
    """Momentum of the moving average of the weights; 0: none."""
    patience: int = 0
    """Evaluations without a better validation macro-F1 after which the run stops; 0: never."""
    num_eval_iter: int = 0
    """Steps between evaluations; 0: an epoch."""
    num_log_iter: int = 20
    """Steps between log lines."""
    save_minutes: float = 5.0
    """Minutes between checkpoints within an epoch; one is always written at its end."""
    max_skipped: int = 10
    """Steps in a row with a loss or gradient that is not finite after which the run stops."""

    def __post_init__(self) -> None:
        at_least = {
            "epoch": 0, "num_train_iter": -1, "batch_size": 1, "uratio": 1, "eval_batch_size": 1, "accumulate": 1,
            "lr": 0, "encoder_lr": 0, "weight_decay": 0, "clip": 0, "patience": 0, "num_eval_iter": 0,
            "num_log_iter": 1, "save_minutes": 0, "max_skipped": 1,
        }  # fmt: skip
        for name, low in at_least.items():
            if not low <= getattr(self, name) < float("inf"):
                raise ValueError(f"--{name} {getattr(self, name)} must be a number from {low} up")
        for name in ("momentum", "ema_m", "warmup", "head_first"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"--{name} {getattr(self, name)} must be from 0 up, and below 1")
        if not 0 < self.layer_decay <= 1:
            raise ValueError(f"--layer_decay {self.layer_decay} must be above 0 and at most 1")
        if self.accumulate > self.batch_size:
            raise ValueError(
                f"--accumulate {self.accumulate} cuts a step into more parts than its --batch_size "
                f"{self.batch_size} has labelled posts"
            )
