"""Features of frozen encoders: weak and strong views of every post, computed once, cached by what they depend on."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from datasets.augment import ViewMaker
from datasets.features import FeatureCache, create_features
from datasets.folders import alone
from datasets.post_source import PostSource, draw_numbers
from nets.encoders import weights_fingerprint
from nets.fasttext import FastTextEncoder
from nets.post_net import Encoders

CHUNK = 64
"""Posts encoded at a time."""
VIEW_SEED = 0
"""Views of frozen encoders are the same for every seed of a run, so that all runs share them."""


def frozen_features(
    name: str,
    encoder: Any,
    source: PostSource,
    view_maker: ViewMaker,
    views: int,
    folder: Path,
    device: torch.device,
) -> FeatureCache:
    """The features of encoder `name` ("image" or "text") for every post of the source's store.

    Computed into a sub-folder of `folder`, named by the fingerprints of what is encoded and of the weights and by how
    views are made, unless they are there; `encoder` is on `device` while they are.
    """
    shown: list[object]
    if name == "image":
        posts = source.store.fingerprint_of("image")
        shown = [source.image_size, view_maker.strong_image, encoder.plan]
    else:
        posts = " ".join(texts.fingerprint for texts in (source.tokens, source.paraphrases) if texts is not None)
        shown = [view_maker.strong_text, encoder.pooling, _plan_of_text(encoder)]
    about = {
        "posts": posts, "weights": weights_fingerprint(encoder), "modality": name, "views": views, "shown": shown,
        "tokens": encoder.layout.count,
    }  # fmt: skip
    # sorted: the metadata of a file of weights come in another order in every process
    key = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()
    path = folder / f"features-{name}-{key[:16]}"
    if not FeatureCache.there(path):
        with alone(path):
            if not FeatureCache.there(path):  # another run may have made them meanwhile
                _compute(name, encoder.to(device).eval(), source, view_maker, views, path, about)
                encoder.cpu()  # it is not needed again, and the device's memory is
    return FeatureCache(path)


def _plan_of_text(encoder: Any) -> dict[str, Any]:
    """What besides its weights decides what a text encoder computes."""
    if isinstance(encoder, FastTextEncoder):
        return encoder.plan
    told = encoder.config.to_dict()
    return {name: value for name, value in told.items() if name not in ("_name_or_path", "transformers_version")}


def _compute(
    name: str, encoder: Any, source: PostSource, view_maker: ViewMaker, views: int, path: Path, about: dict[str, object]
) -> None:
    has = source.store.has_image if name == "image" else source.store.has_text
    rows = np.flatnonzero(has)
    if name == "text" and source.tokens is not None:  # texts of one length together: less padding to compute
        rows = rows[np.argsort(source.tokens.count(rows), kind="stable")]
    chunks = [rows[start : start + CHUNK] for start in range(0, len(rows), CHUNK)]
    kinds = [("clean", 0), *((kind, view) for kind in ("weak", "strong") for view in range(views))]
    reader = Encoders(encoder if name == "text" else None, encoder if name == "image" else None)
    with (
        create_features(path, len(has), encoder.width, views, about=about) as arrays,
        tqdm(total=len(rows) * len(kinds), desc=f"features of the frozen {name} encoder", unit="view") as bar,
        torch.inference_mode(),
    ):
        for kind, view in kinds:
            if name == "text" and kind == "weak":  # a weak view leaves the text as it is
                arrays["weak"][view] = arrays["clean"]
                bar.update(len(rows))
                continue
            out = arrays["clean"] if kind == "clean" else arrays[kind][view]
            stream = f"{name} features {kind} {view}"
            for number, chunk in enumerate(chunks):
                draws = None if kind == "clean" else draw_numbers(VIEW_SEED, stream, number, len(chunk), 1)
                raw = source.batch(chunk, (kind,), draws, labelled=False)
                raw = {kind: raw[kind].to(view_maker.device)}
                batch = view_maker(raw, VIEW_SEED, number, stream)[kind]
                out[chunk] = reader(batch)[name].float().cpu().numpy()
                bar.update(len(chunk))
