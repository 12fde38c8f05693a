"""Bench of a text teacher's labelling: scripts/label_tweets.py's way against the pipeline of transformers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import torch

from datasets.ingest import open_posts
from datasets.options import DataOptions, WorldOptions
from datasets.posts import SENTIMENTS
from datasets.store import PostStore, StoreWriter
from datasets.text import rewriter
from datasets.tokens import TokenCache, train_tokenizer
from nets.sequence_classifier import ClassifierEncoder
from scripts.bench_timing import Row, interleave, per_second, ratios
from scripts.bench_world import Bench
from training.tweet_labelling import NetTeacher, answer_all, default_budget

BATCH = 32
"""Texts of a pipeline's batch."""
SMALL = {"hidden_size": 256, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 1024}
"""BERT-mini (Turc et al., 2019)."""
TINY = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}


def labelling(bench: Bench) -> Iterator[Row]:
    """A teacher's answers, tokenised once, in batches of like length, against transformers' pipeline of that net."""
    store = _texts(bench)
    folder = _classifier(bench, store)
    teacher = NetTeacher(store, str(folder), bench.folder / "tokens", bench.device, default_budget(bench.device))
    answers: dict[str, np.ndarray] = {}
    number = count()

    def ours() -> int:
        """All that label_tweets.py does but loading the net: token ids are made anew, chunks are written."""
        fresh = bench.folder / f"labelling-{next(number)}"
        tokens = teacher.tokens
        teacher.tokens = TokenCache(store, tokenizer, tokens.length, fresh, rule=teacher.rule)
        found = answer_all(store, teacher, fresh)
        assert found is not None
        answers["ours"] = found
        return len(store)

    from transformers import AutoTokenizer, pipeline

    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    net = teacher.net.net
    classify = pipeline("text-classification", model=net, tokenizer=tokenizer, device=bench.device, top_k=None)
    rewrite = rewriter(teacher.rule)
    cut: dict[str, Any] = {"truncation": True, "max_length": teacher.tokens.length}

    def by_pipeline(name: str, batch: int) -> Callable[[], int]:
        def run() -> int:
            texts = [rewrite(text) for text in store.texts(np.arange(len(store)))]
            parts = [[text] for text in texts] if batch == 1 else [texts]
            found = [answer for part in parts for answer in classify(part, batch_size=batch, **cut)]
            by_name = [{item["label"]: item["score"] for item in answer} for answer in found]
            answers[name] = np.array([[answer[label] for label in SENTIMENTS] for answer in by_name], np.float32)
            return len(store)

        return run

    variants = {"ours": ours, "single": by_pipeline("single", 1), "batches": by_pipeline("batches", BATCH)}
    seconds = interleave(variants, bench.repeats, bench.device)
    words = {"single": "pipeline, one by one", "batches": f"pipeline, batches of {BATCH}"}
    lengths = teacher.tokens.lengths
    yield Row("texts", "texts", (len(store),))
    yield Row("tokens of a text, mean", "tokens", (float(lengths.mean()),))
    yield Row("tokenised once, batches of like length", "texts/s", per_second(seconds["ours"]))
    for name, said in words.items():
        yield Row(said, "texts/s", per_second(seconds[name]))
        yield Row(f"batches of like length over {said}", "×", ratios(seconds[name], seconds["ours"]))
        difference = float(np.abs(answers[name] - answers["ours"]).max())
        yield Row(f"largest difference of a probability from {said}", "", (difference,))


def _texts(bench: Bench) -> PostStore:
    """A store of nothing but the first texts of what is asked for."""
    size = 40 if bench.tiny else bench.label_texts
    data = DataOptions(data_dir=bench.texts, cache_dir=str(bench.folder / "cache"), num_workers=0)
    source = open_posts(data, WorldOptions(world_posts=10 + 3 * size // 2), labels_needed=False)
    rows = np.flatnonzero(source.has_text)[:size]
    with StoreWriter(bench.folder / "labelled texts") as writer:
        for number, text in enumerate(source.texts(rows)):
            writer.add(str(number), text=text)
    return PostStore(bench.folder / "labelled texts")


def _classifier(bench: Bench, store: PostStore) -> Path:
    """A folder with a classifier of sentiments and its tokenizer; its head has random weights, so answers differ."""
    from transformers import AutoTokenizer, BertConfig

    folder = bench.folder / "classifier"
    torch.manual_seed(0)
    source: Any = bench.text_weights
    if source:
        tokenizer: Any = AutoTokenizer.from_pretrained(source)
    else:
        tokenizer = train_tokenizer(store.texts(np.arange(len(store))), bench.folder / "tokenizer")
        size = TINY if bench.tiny else {} if bench.cuda else SMALL
        source = BertConfig(vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_token_id, **size)
    net = ClassifierEncoder(source, len(SENTIMENTS)).net
    net.config.id2label = dict(enumerate(SENTIMENTS))
    net.config.label2id = {name: number for number, name in enumerate(SENTIMENTS)}
    net.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
