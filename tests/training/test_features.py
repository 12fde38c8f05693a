"""What the features of a frozen encoder depend on, and what they do not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from transformers import BertConfig

from datasets.augment import ViewMaker
from datasets.features import FeatureCache
from datasets.post_source import PostSource
from datasets.store import PostStore, StoreWriter
from datasets.tokens import TokenCache, train_tokenizer
from nets.layout import Layout
from tests.datasets.pictures import encoded, scene
from training.features import frozen_features

TEXTS = ("happy @anna", "sad @bob", "so so")


class Sums(nn.Module):
    """Stands for a text encoder: one feature, the sum of the token ids, or the first."""

    width, layout = 1, Layout(1)

    def __init__(self, pooling: str, activation: str) -> None:
        super().__init__()
        self.pooling = pooling
        self.config = BertConfig(hidden_act=activation)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """(B, L) ids and mask to (B, 1)."""
        read = ids * mask
        return (read[:, :1] if self.pooling == "cls" else read.sum(dim=1, keepdim=True)).float()


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory):
    return train_tokenizer(TEXTS * 3, tmp_path_factory.mktemp("tokenizer") / "own", vocab_size=200)


def store_of(path: Path, texts: tuple[str, ...] = TEXTS, label: str = "negative", **more) -> PostStore:
    with StoreWriter(path, ("negative", "positive")) as writer:
        for number, text in enumerate(texts):
            writer.add(str(number), text=text, label=label, **more)
    return PostStore(path)


def features_of(
    store: PostStore,
    tokenizer,
    cache: Path,
    rule: str = "none",
    length: int = 16,
    pooling: str = "mean",
    activation: str = "gelu",
) -> FeatureCache:
    tokens = TokenCache(store, tokenizer, length, cache, rule=rule)
    said = TokenCache(store, tokenizer, length, cache, "paraphrase", rule) if store.has_paraphrase else None
    source = PostSource(store, np.full(len(store), -1), tokens=tokens, paraphrases=said)
    view_maker = ViewMaker((0.5,) * 3, (0.5,) * 3, tokens)
    return frozen_features("text", Sums(pooling, activation), source, view_maker, 1, cache, torch.device("cpu"))


def test_other_labels_and_a_teacher_leave_the_features_of_texts_and_the_text_itself_does_not(tokenizer, tmp_path):
    cache = tmp_path / "cache"
    first = features_of(store_of(tmp_path / "a"), tokenizer, cache)
    assert np.ptp(first.clean) > 0
    relabelled = store_of(tmp_path / "b", label="positive", teacher=(0.5, 0.5), image=b"jpeg")
    assert features_of(relabelled, tokenizer, cache).path == first.path
    for name, store in {
        "another text": store_of(tmp_path / "c", texts=(*TEXTS[:2], "so")),
        "a paraphrase": store_of(tmp_path / "d", paraphrase="said otherwise"),
    }.items():
        assert features_of(store, tokenizer, cache).path != first.path, name


def test_texts_that_are_rewritten_cut_or_pooled_otherwise_have_features_of_their_own(tokenizer, tmp_path):
    store, cache = store_of(tmp_path / "a"), tmp_path / "cache"
    plain = features_of(store, tokenizer, cache)
    masked, cut = (
        features_of(store, tokenizer, cache, "twitter_roberta"),
        features_of(store, tokenizer, cache, length=3),
    )
    first = features_of(store, tokenizer, cache, pooling="cls")
    other = features_of(store, tokenizer, cache, activation="relu")  # the same weights, and another net
    assert len({plain.path, masked.path, cut.path, first.path, other.path}) == 5
    assert not np.array_equal(first.clean, plain.clean)
    assert not np.array_equal(masked.clean[:2], plain.clean[:2])
    assert np.array_equal(masked.clean[2], plain.clean[2])


class Brightness(nn.Module):
    """Stands for an image encoder: one feature, the mean of the pixels."""

    width, layout = 1, Layout(1)

    def __init__(self, plan: dict[str, object]) -> None:
        super().__init__()
        self.plan = plan

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, S, S) to (B, 1)."""
        return image.mean(dim=(1, 2, 3)).unsqueeze(1)


def test_features_of_images_go_by_what_the_encoders_file_says_in_whatever_order(tmp_path):
    store = store_of(tmp_path / "a", image=encoded(scene(40, 40)))
    source = PostSource(store, np.full(len(store), -1), image_size=32)
    view_maker = ViewMaker((0.5,) * 3, (0.5,) * 3, None)
    said = {"mean": "0.5", "std": "0.5", "pad_type": "same"}
    plans = [{"metadata": said}, {"metadata": dict(reversed(said.items()))}, {"metadata": said | {"pad_type": ""}}]
    first, again, other = (
        frozen_features("image", Brightness(plan), source, view_maker, 1, tmp_path, torch.device("cpu")).path
        for plan in plans
    )
    assert first == again != other
