"""What a run leaves: the best model, its figures on the test posts, predictions and report."""

from __future__ import annotations

import hashlib
import json
import resource
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from datasets.folders import new_file
from datasets.tokens import save_tokenizer
from evaluation.deciders import score_by_decider, selection_found
from evaluation.metrics import in_words
from evaluation.model_card import write_model_card
from evaluation.offset import validation_offset
from evaluation.predict import AVAILABILITY, Predictions, evaluate
from evaluation.report import read_metrics, write_report
from evaluation.tables import write_predictions
from evaluation.teaching import teaching
from nets.build import rebuild, save_plan
from nets.encoders import weights_metadata
from nets.post_net import MODALITIES, PostNet
from training.assembly import Assembly, autocast_type
from training.checkpoint import load_state, load_weights, plain_state, share_weights
from training.command_line import Options
from training.defaults import NETS, PLAIN_NET, resolve
from training.run_folder import RunFolder
from training.trainer import Summary

FROZEN_FILE = "frozen.safetensors"
TOKENIZER_FOLDER = "tokenizer"
NET_PARTS = ("decoupling", "selection", "decision", "joint_pooling", "image_tokens", "freeze", "feature_dropout")
"""Options of the net that make it another one in a table."""
MISSING = ("missing_image_rate", "missing_text_rate", "modality_dropout")
"""Options of the data that make a run another one in a table."""


def validate(assembly: Assembly, net: torch.nn.Module) -> tuple[dict[str, Any], Predictions]:
    """Scores of `net` on the validation posts, and its answers."""
    amp = autocast_type(assembly.options, assembly.device)
    scores, answers = evaluate(net, assembly.batches_of, assembly.split.validation, assembly.store, amp, ("full",))
    return scores["full"], answers


def keep_model(assembly: Assembly, folder: RunFolder) -> None:
    """Put beside the best weights all that is needed to read new posts without hub or original weights."""
    best = folder.best.parent
    text = assembly.frozen.get("text") or assembly.net.encoders.live["text"] if "text" in assembly.net.reads else None
    save_plan(assembly.plan, text, best)
    if assembly.tokenizer is not None:
        save_tokenizer(assembly.tokenizer, best / TOKENIZER_FOLDER)
    if assembly.frozen:
        digest = hashlib.sha256(repr(assembly.frozen_fingerprints).encode()).hexdigest()
        kept = Path(assembly.options.data.cache_dir) / "encoders" / f"{digest[:32]}.safetensors"
        share_weights(kept, best / FROZEN_FILE, lambda: frozen_state(assembly))


def frozen_state(assembly: Assembly) -> dict[str, torch.Tensor]:
    """The weights of the frozen encoders, by their names in the whole net."""
    return {
        f"encoders.live.{name}.{key}": value
        for name, encoder in assembly.frozen.items()
        for key, value in plain_state(encoder).items()
    }


def folder_of_model(folder: RunFolder) -> Path:
    """Where a run's best model lies. Raises ValueError where it has none."""
    best = folder.best.parent
    if not folder.best.is_file() or not (best / "net.json").is_file():
        raise ValueError(f"{folder.path} holds no trained model (best/model.safetensors): is it a finished run?")
    return best


def load_model(folder: RunFolder) -> PostNet:
    """The best net of a run, all encoders in it, in evaluation mode. Raises ValueError where a run has none."""
    best = folder_of_model(folder)
    state = load_weights(folder.best)
    if (best / FROZEN_FILE).is_file():
        state |= load_weights(best / FROZEN_FILE)
    net = rebuild(best)
    load_state(net, state, folder.best)
    return net.eval()


def load_weights_of(path: Path) -> dict[str, torch.Tensor]:
    """The weights at `path`: a file, a checkpoint's folder (its averaged net), or a run's folder (its best net)."""
    files = (path, path / "ema.safetensors", path / "best" / "model.safetensors", path / "model.safetensors")
    for file in files:
        if file.is_file():
            return load_weights(file)
    raise ValueError(f"--load_path {path}: there are no weights (a .safetensors file, a checkpoint or a run's folder)")


def conclude(
    assembly: Assembly, folder: RunFolder, summary: Summary | None, command: str
) -> tuple[dict[str, Any], Predictions]:
    """Read the test posts once with the best model; write results, predictions, model card and report.

    Returns the results and the answers for the test posts.

    `summary` is None where nothing was trained now: steps and seconds are then those of the results that are there.
    `command` made the run where its folder names none.
    """
    net = assembly.ema.net
    load_state(net, load_weights(folder.best), folder.best)
    amp = autocast_type(assembly.options, assembly.device)
    both = set(assembly.net.reads) == set(MODALITIES)
    seen = AVAILABILITY if both else AVAILABILITY[:1]  # a net of one modality has nothing to lose
    scores, answers = evaluate(net, assembly.batches_of, assembly.split.test, assembly.store, amp, seen)
    offset = validation_offset(
        net, assembly.net.reads, assembly.batches_of, assembly.split.validation, assembly.store, amp
    )
    before = _before(folder) if summary is None else {}
    options = assembly.options
    results = {
        "name": _name(options),
        "algorithm": options.run.algorithm,
        "net": options.net.net,
        "reads": list(assembly.net.reads),
        "seed": options.run.seed,
        "num_labels": len(assembly.split.labelled),
        "labels_from": options.data.labels_from,
        "reads_labels": bool(assembly.algorithm.labelled_views),
        "asks_teacher": bool(assembly.algorithm.asks_teacher(options.algorithm)),
        "classes": list(assembly.store.classes),
        "split_fingerprint": assembly.split.fingerprint,
        "store_fingerprint": assembly.store.fingerprint,
        "test_fingerprint": assembly.test_fingerprint,
        "validation": validate(assembly, net)[0],
        "two_classes": asdict(offset) if offset else None,
        "test": scores | score_by_decider(assembly.store, answers),
        "selection": selection_found(assembly.store, answers),
        "teaching": teaching(read_metrics(folder.metrics), assembly.store.classes),
        "steps": summary.steps if summary else before.get("steps", 0),
        "best_step": int(weights_metadata(folder.best).get("step", -1)),
        "skipped": summary.skipped if summary else before.get("skipped", 0),
        "seconds": summary.seconds if summary else before.get("seconds", 0.0),
        "peak_memory_gib": before.get("peak_memory_gib", _peak_memory(assembly.device)),
        "command": _text(folder.command) or before.get("command", command),
        "torch": torch.__version__,
    }
    _write_json(folder.results, results)
    write_predictions(folder.predictions, assembly.store, answers, assembly.store.classes)
    write_model_card(folder.path)
    write_report(folder.path, assembly.store, answers, assembly.split)
    return results, answers


def describe(results: dict[str, Any], folder: RunFolder) -> str:
    """The figures of a run in a few lines."""
    lines = [in_words(f"test, {name.replace('_', ' ')}", found) for name, found in results["test"].items()]
    return "\n".join([*lines, f"report: {folder.report}"])


def _name(options: Options) -> str:
    """What a table calls the run: its algorithm, its net where that is not the one made for it, and every option of
    the algorithm, of the net's inside, of what is frozen and of what is missing that is not the default."""
    plain = resolve(replace(options, algorithm=type(options.algorithm)())).algorithm
    own, chosen = asdict(plain), asdict(options.algorithm)
    for group, names in ((options.net, NET_PARTS), (options.data, MISSING)):
        own |= {name: getattr(type(group)(), name) for name in names}
        chosen |= {name: getattr(group, name) for name in names}
    changed = [f"{name}={chosen[name]}" for name in sorted(own) if chosen[name] != own[name]]
    usual = NETS.get(options.run.algorithm, PLAIN_NET)
    net = [] if options.net.net == usual else [f"net={options.net.net}"]
    return " ".join([options.run.algorithm, *net, *changed])


def _before(folder: RunFolder) -> dict[str, Any]:
    """The results that are there already, {} where there are none."""
    return json.loads(folder.results.read_text(encoding="utf-8")) if folder.results.is_file() else {}


def _text(path: Path) -> str:
    """What the file says, "" where there is none."""
    return path.read_text(encoding="utf-8").strip() if path.is_file() else ""


def _write_json(path: Path, content: dict[str, Any]) -> None:
    with new_file(path) as unfinished:
        unfinished.write_text(json.dumps(content, indent=1), encoding="utf-8")


def _peak_memory(device: torch.device) -> float:
    """Most memory that this process held, GiB: on the device where it is CUDA, else of the host."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**30
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30
