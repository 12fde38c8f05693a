"""One run in its folder: made ready, trained or resumed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import torch
from torch import nn

from datasets.splits import Split
from evaluation.gallery import most_confident_right, most_confident_wrong, picture_strip
from nets.encoders import weights_metadata
from training.assembly import Assembly, autocast_type
from training.checkpoint import (
    Checkpoint,
    checkpoints,
    load_checkpoint,
    load_state,
    load_weights,
    save_checkpoint,
    save_weights,
)
from training.command_line import Options, load_options, save_options
from training.defaults import weights_of
from training.distributed import Processes
from training.monitor import Monitor, evaluation_figures
from training.optimisers import build_optimiser
from training.options import RunOptions
from training.outcome import FROZEN_FILE, frozen_state, keep_model, load_weights_of, validate
from training.run_folder import RunFolder
from training.trainer import Progress, Summary, Trainer

Watch = Callable[[Assembly, nn.Module, int], Mapping[str, float]]
"""More figures of an evaluation, by their full tags, from the assembly, the averaged net and the steps done. They are
recorded like all others; nothing is chosen by them."""
SHOWN_POSTS = 8
"""Right and wrong validation posts that TensorBoard shows at every evaluation."""
CUBLAS = "CUBLAS_WORKSPACE_CONFIG"
"""cuBLAS gives the same bits again only with a workspace of fixed size, named before it starts."""


@contextmanager
def prepare_folder(folder: RunFolder, options: Options, processes: Processes) -> Iterator[None]:
    """Hold the run's folder: refused where another run left something and nobody said what to do with it.

    Raises ValueError then.
    """
    if options.run.deterministic:
        os.environ.setdefault(CUBLAS, ":4096:8")
    if not processes.first:
        yield
        return
    if options.run.eval_only and not folder.best.is_file():
        raise ValueError(f"--eval_only: {folder.path} holds no trained model (best/model.safetensors)")
    if folder.started and not (options.run.resume or options.run.overwrite or options.run.eval_only):
        raise ValueError(
            f"{folder.path} holds a run already: --resume goes on with it, --overwrite throws it away, "
            "--save_name gives this one a folder of its own"
        )
    with folder.lock():
        yield


def train(assembly: Assembly, folder: RunFolder, command: str, watch: Watch | None = None) -> Summary:
    """Train the assembled run to its end; from a checkpoint with --resume. `command` is the one that asks for it."""
    options, net = assembly.options, assembly.net
    loaded = net.loaded()
    pretrained = [
        name for name in loaded if weights_of(net, options.net, name) != "none" and name not in options.net.frozen
    ]
    optimiser, schedule = build_optimiser(
        assembly.algorithm,
        options.training,
        options.training.epoch * options.training.num_train_iter,
        loaded,
        pretrained,
    )
    monitor = Monitor(
        folder, options.training.epoch * options.training.num_train_iter, options.training.num_train_iter,
        assembly.processes.first,
    )  # fmt: skip

    def evaluate(net: nn.Module, step: int) -> Mapping[str, float]:
        """The figures of the validation posts; the monitor gets the pictures that go with them."""
        scores, answers = validate(assembly, net)
        monitor.add_confusion(step, scores["confusion"], assembly.store.classes)
        for name, choose in (("wrong", most_confident_wrong), ("right", most_confident_right)):
            strip = picture_strip(assembly.store, answers.take(choose(answers, SHOWN_POSTS)))
            if strip is not None:
                monitor.add_image(f"eval/{name}", strip, step)
        return evaluation_figures(scores) | (dict(watch(assembly, net, step)) if watch is not None else {})

    trainer = Trainer(
        assembly.algorithm, assembly.ema, optimiser, schedule, assembly.make_loader, evaluate, monitor, folder,
        options.training, seed=options.run.seed, device=assembly.device, meta=assembly.meta,
        autocast=autocast_type(options, assembly.device), truth=_truth(assembly), classes=assembly.store.classes,
        processes=assembly.processes,
    )  # fmt: skip
    if assembly.device.type == "cuda":  # what making the caches took is not what training takes
        torch.cuda.reset_peak_memory_stats(assembly.device)
    _start(trainer, assembly, folder)
    if assembly.processes.first:
        _keep_choices(assembly, folder, command)
        print(_opening(assembly))
        keep_model(assembly, folder)
    return trainer.train()


def check_same(assembly: Assembly, folder: RunFolder) -> None:
    """Raise ValueError where the options do not give the posts, the split and the frozen encoders that the run was
    trained with."""
    trained_on = Split.load(folder.split, assembly.store)
    if trained_on.fingerprint != assembly.split.fingerprint:
        raise ValueError(
            f"--eval_only: {folder.path} was trained on another split than these options give: leave out --num_labels, "
            "--seed and what else draws the split; of other posts scripts/predict.py gives answers and figures"
        )
    kept = folder.best.parent / FROZEN_FILE
    if kept.is_file():
        then, now = load_weights(kept), frozen_state(assembly)
        if then.keys() != now.keys() or not all(torch.equal(value, now[name]) for name, value in then.items()):
            raise ValueError(
                f"--eval_only: {folder.path} was trained with other frozen encoders than --image_weights and "
                "--text_weights give now"
            )


def _keep_choices(assembly: Assembly, folder: RunFolder, command: str) -> None:
    """Write options, split and command, now that nothing speaks against the run; with --overwrite what was there goes
    first. A run that goes on keeps the command that began it: the one that resumes it would not make it."""
    run = assembly.options.run
    if run.overwrite:
        folder.clear()
    assembly.split.save(folder.split)
    if not (run.resume and folder.options.is_file() and folder.command.is_file()):
        folder.command.write_text(f"{command}\n", encoding="utf-8")
    quiet = replace(run, resume=False, overwrite=False, eval_only=False)
    save_options(replace(assembly.options, run=quiet), folder.options)


def _start(trainer: Trainer, assembly: Assembly, folder: RunFolder) -> None:
    """Go on from a checkpoint, or begin, with the weights of `--load_path` where they are given."""
    run, first = assembly.options.run, assembly.processes.first
    # Asked once, for all: what the first process writes next would change the answer.
    source = assembly.processes.broadcast(_goes_on_from(folder, run) if first else None)
    if source is not None:
        checkpoint = load_checkpoint(source, assembly.meta)
        if checkpoint is None:
            raise ValueError(f"--load_path {source}: there is no checkpoint to go on from")
        trainer.resume(checkpoint)
        if source != folder.checkpoints:
            home = _home_of_best(checkpoint, trainer.progress)
            if home is None:  # a best model that is not to be had does not count: the next evaluation gives the best
                trainer.progress = Progress(trainer.progress.step, trainer.progress.seconds)
            if first:
                _take_along(checkpoint, trainer.progress, folder, home)
        if first:
            print(f"going on after step {checkpoint.step} ({checkpoint.path})")
        return
    if run.resume and first:
        print(f"--resume: nothing is saved in {folder.path} yet, so the run starts")
    if run.load_path:
        weights = load_weights_of(Path(run.load_path))
        for net in (assembly.net, assembly.ema.net):
            load_state(net, weights, run.load_path)


def _goes_on_from(folder: RunFolder, run: RunOptions) -> Path | None:
    """Where the checkpoint lies that the run goes on from; None: it begins.

    The run's own checkpoints where it has any. Else those of `--load_path`, unless its options are written: a run that
    went on from elsewhere would have a checkpoint by then, so this one was begun with the weights of `--load_path`.
    Raises ValueError where a run with checkpoints of its own is to go on from others.
    """
    if not run.resume:
        return None
    begun_with = load_options(folder.options).run.load_path if folder.options.is_file() else None
    again = begun_with is not None and Path(run.load_path).resolve() == Path(begun_with).resolve()
    if not checkpoints(folder.checkpoints):
        return Path(run.load_path) if run.load_path and not again else None
    if run.load_path and not again and begun_with is not None:
        raise ValueError(
            f"--load_path {run.load_path}: --resume goes on from the checkpoints that {folder.path} has of its own; "
            "leave out --load_path, or give another --save_name"
        )
    return folder.checkpoints


def _take_along(checkpoint: Checkpoint, progress: Progress, folder: RunFolder, home: RunFolder | None) -> None:
    """Make the checkpoint of another folder this run's own, so that the run is resumed from here ever after; `home` is
    that folder where its best model comes along, and then so do the figures of the steps before."""
    if home is not None:
        save_weights(folder.best, load_weights(home.best), weights_metadata(home.best))
        if home.metrics.is_file():
            shutil.copyfile(home.metrics, folder.metrics)
    given, state = checkpoint, {**checkpoint.state, "progress": asdict(progress)}
    save_checkpoint(folder.checkpoints, given.step, given.net, given.ema, state, given.meta, given.note)


def _home_of_best(checkpoint: Checkpoint, progress: Progress) -> RunFolder | None:
    """The run's folder in which the best model of `progress` lies beside its checkpoint. None where there is none, or
    that of another step: only the best of all the run's steps is kept, and the checkpoint may be older."""
    home = RunFolder(checkpoint.path.resolve().parent.parent)
    there = home.best.is_file() and weights_metadata(home.best).get("step") == str(progress.best_step)
    return home if there else None


def _truth(assembly: Assembly) -> torch.Tensor:
    """Classes of the unlabelled posts, for the pseudo-label accuracy. Those of validation and test posts stay unread;
    labelled ones, which by default are among the unlabelled, were told theirs and would count as right."""
    split, label = assembly.split, torch.from_numpy(assembly.store.label.astype("int64"))
    truth = torch.full_like(label, -1)
    truth[split.unlabelled] = label[split.unlabelled]
    truth[split.labelled] = -1
    return truth.to(assembly.device)


def _opening(assembly: Assembly) -> str:
    """What is about to be trained, in two lines."""
    options, split = assembly.options, assembly.split
    trained = sum(value.numel() for value in assembly.net.parameters() if value.requires_grad)
    encoders = ", ".join(_encoder(assembly, name) for name in ("image", "text") if name in assembly.net.reads)
    return (
        f"{options.run.algorithm}, net {options.net.net}: {encoders}; {trained:,} weights to train on "
        f"{assembly.device}\n"
        f"{len(split.labelled):,} labelled, {len(split.unlabelled):,} unlabelled, {len(split.validation):,} validation "
        f"and {len(split.test):,} test posts; split {split.fingerprint[:12]}, seed {options.run.seed}"
    )


def _encoder(assembly: Assembly, name: str) -> str:
    """What encodes modality `name`, and where its weights come from."""
    net, options = assembly.net, assembly.options.net
    called = options.net if f"{name}_net" in net.ignores else getattr(options, f"{name}_net")
    frozen = name in assembly.frozen
    random = "random" if frozen else "from scratch"
    weights = random if weights_of(net, options, name) == "none" else "pretrained"
    return f"{name} {called} ({weights}{', frozen' if frozen else ''})"
