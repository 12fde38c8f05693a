"""A text net that was just trained becomes a teacher: calibrated, and in a folder that transformers loads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from datasets.posts import SENTIMENTS
from datasets.text import RULE_KEY
from datasets.tokens import save_tokenizer
from evaluation.calibration import fit_temperature, with_temperature
from evaluation.metrics import score
from evaluation.predict import Predictions
from nets.lexicon import Lexicon
from nets.sequence_classifier import ClassifierEncoder
from training.assembly import Assembly
from training.outcome import validate
from training.run_folder import RunFolder

TEMPERATURE_KEY = "calibration_temperature"
SCORES_FILE = "scores.json"


def make_teacher(assembly: Assembly, folder: RunFolder, answers: Predictions) -> str:
    """Write the best net of the run, which `assembly.ema` holds, to `<run>/teacher`. Returns in words how good it is,
    from its `answers` for the test posts.

    The temperature is fitted on the validation posts and divided out of the layer that gives the logits, so whoever
    loads the folder reads calibrated probabilities; config.json names temperature, classes and how texts are rewritten.
    The net must be the sequence_classifier, its encoder trained.
    """
    encoder = assembly.ema.net.encoders.live["text"]  # type: ignore[union-attr, index]
    assert isinstance(encoder, ClassifierEncoder)
    held_out = validate(assembly, assembly.ema.net)[1]
    temperature = fit_temperature(held_out.probabilities, held_out.label)
    probabilities, label = answers.probabilities, answers.label
    path = folder.teacher
    _save(encoder, assembly, temperature, path)
    classes = assembly.store.classes
    scores = {
        "before": score(probabilities, label, classes),
        "after": score(with_temperature(probabilities, temperature), label, classes),
    }
    if classes == SENTIMENTS:
        texts = assembly.store.texts(answers.rows)
        scores["lexicon"] = score(Lexicon()(texts), label, classes)
    content = {"temperature": temperature, **scores}
    (path / SCORES_FILE).write_text(json.dumps(content, indent=1), encoding="utf-8")
    lines = [f"{name}: {figures(found)}" for name, found in scores.items()]
    return "\n".join([f"temperature {temperature:.3f}, fitted on the validation posts", *lines, f"teacher: {path}"])


def figures(scores: dict[str, Any]) -> str:
    """Macro-averaged recall, accuracy and calibration error in one line."""
    recall = np.mean([value for value in scores["recall"].values() if value is not None])
    return (
        f"macro-averaged recall {recall:.4f}, accuracy {scores['accuracy']:.4f}, "
        f"ECE {scores['ece']:.4f} ({scores['n']:,} texts)"
    )


def _save(encoder: ClassifierEncoder, assembly: Assembly, temperature: float, path: Path) -> None:
    """The classifier with its temperature divided out, its tokenizer, and what its config should say."""
    net = encoder.net
    classes = assembly.store.classes
    net.config.id2label = dict(enumerate(classes))
    net.config.label2id = {name: number for number, name in enumerate(classes)}
    setattr(net.config, RULE_KEY, assembly.options.data.text_rule)
    setattr(net.config, TEMPERATURE_KEY, temperature)
    state = net.state_dict()
    state |= {f"{encoder.last}.{name}": state[f"{encoder.last}.{name}"] / temperature for name in ("weight", "bias")}
    net.save_pretrained(path, state_dict=state)
    save_tokenizer(assembly.tokenizer, path)
