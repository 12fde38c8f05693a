"""Tiny sequence classifiers of transformers, in folders, with a tokenizer of their own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import AutoModelForSequenceClassification, BertConfig, DistilBertConfig, RobertaConfig

from datasets.tokens import train_tokenizer

WORDS = "good bad fine awful sun rain @user http #monday lovely terrible so what".split()
SIZES = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 24}
CONFIGS = {
    "bert": lambda vocabulary: BertConfig(vocab_size=vocabulary, max_position_embeddings=70, **SIZES),
    "roberta": lambda vocabulary: RobertaConfig(
        vocab_size=vocabulary, max_position_embeddings=72, pad_token_id=0, **SIZES
    ),
    "distilbert": lambda vocabulary: DistilBertConfig(
        vocab_size=vocabulary, max_position_embeddings=70, dim=16, n_layers=1, n_heads=2, hidden_dim=24, pad_token_id=0
    ),
}


def write_classifier(
    folder: Path, labels: Sequence[str] = ("negative", "neutral", "positive"), kind: str = "bert", seed: int = 0
) -> Path:
    """A classifier with random weights whose answers differ from text to text."""
    tokenizer = train_tokenizer(WORDS * 3, folder / "tokenizer", vocab_size=300)
    config = CONFIGS[kind](len(tokenizer))
    config.id2label = dict(enumerate(labels))
    config.label2id = {name: number for number, name in enumerate(labels)}
    torch.manual_seed(seed)
    net = AutoModelForSequenceClassification.from_config(config)
    with torch.no_grad():
        for parameter in net.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, 0.3)
    net.save_pretrained(folder / "teacher")
    tokenizer.save_pretrained(folder / "teacher")
    return folder / "teacher"
