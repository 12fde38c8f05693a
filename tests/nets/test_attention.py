"""Heads that attend, against plain loops over tokens; and what frozen features of tokens are worth."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from nets.attention import TokenAttention
from nets.layout import Layout
from nets.post_net import Encoders
from tests.nets.tiny import tiny_net, tiny_posts
from tests.runs import TINY, run_main

WIDTH = 3
LAYOUT = Layout(WIDTH, 4, WIDTH)


class Given(nn.Module):
    """Stands for an encoder whose packed features are given."""

    layout, width = LAYOUT, LAYOUT.size


def attending(name: str):
    from nets.build import find

    torch.manual_seed(0)
    return find(name)(Encoders(Given(), Given()), 3, 2, 0.0)  # type: ignore[arg-type]


def packed(seed: int, lengths: list[int]) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    mask = torch.arange(4) < torch.tensor(lengths).unsqueeze(1)
    pooled = torch.randn(len(lengths), WIDTH, generator=draw)
    return LAYOUT.pack(pooled, torch.randn(len(lengths), 4, WIDTH, generator=draw), mask)


def by_hand(attention: TokenAttention, query: Tensor, tokens: list[Tensor]) -> Tensor:
    """Attention of one query over a list of tokens, one at a time."""
    asked = attention.query(query)
    scores = [math.exp(float(asked @ attention.key(token)) / math.sqrt(len(asked))) for token in tokens]
    return sum(score / sum(scores) * attention.value(token) for score, token in zip(scores, tokens, strict=True))


TEXT_LENGTHS, IMAGE_LENGTHS = [3, 2, 0, 0], [4, 0, 1, 0]
PRESENT = {"text": torch.tensor(TEXT_LENGTHS) > 0, "image": torch.tensor(IMAGE_LENGTHS) > 0}
FEATURES = {
    "text": packed(1, TEXT_LENGTHS) * PRESENT["text"].unsqueeze(1),
    "image": packed(2, IMAGE_LENGTHS) * PRESENT["image"].unsqueeze(1),
}


@torch.no_grad()
def test_the_text_asks_the_tokens_of_the_image():
    net = attending("attention")
    found = net.fuse(FEATURES, PRESENT).features
    image = LAYOUT.unpack(FEATURES["image"]).tokens
    text = net.map["text"][1](net.map["text"][0](LAYOUT.pooled(FEATURES["text"])))
    both = (text[0] + by_hand(net.attention, text[0], list(net.norm(image[0])))) / 2
    alone = by_hand(net.attention, net.query_without_text, [net.norm(image[2, 0])])
    expected = torch.stack([both, text[1], alone, torch.zeros(2)])
    torch.testing.assert_close(found, expected.relu())


@torch.no_grad()
def test_each_asks_the_tokens_of_the_other():
    net = attending("cross_attention")
    found = net.fuse(FEATURES, PRESENT).features
    text, image = (net.map[name](LAYOUT.unpack(FEATURES[name]).tokens) for name in ("text", "image"))
    texts, images = list(text[0, :3]), list(image[0])
    crossed = [
        torch.stack([token + by_hand(net.asks[name], token, list(net.norm[other](others))) for token in tokens]).mean(0)
        for name, tokens, other, others in (("text", texts, "image", image[0]), ("image", images, "text", text[0, :3]))
    ]
    expected = torch.stack([sum(crossed) / 2, text[1, :2].mean(0), image[2, 0], torch.zeros(2)])
    torch.testing.assert_close(found, expected.relu())


@pytest.mark.parametrize(("queries", "tokens", "cheaper"), [(1, 9, "query"), (9, 2, "key")])
@torch.no_grad()
def test_mapping_queries_or_keys_is_the_same_attention(queries, tokens, cheaper):
    attention = TokenAttention(5, 4, 3)
    asking, asked = torch.randn(1, queries, 5), torch.randn(1, tokens, 4)
    mapped = []
    attention.key.register_forward_hook(lambda *_: mapped.append("key"))
    everyone = [torch.ones(1, count, dtype=torch.bool) for count in (queries, tokens)]
    found = attention(asking, everyone[0], asked, everyone[1])
    assert mapped == (["key"] if cheaper == "key" else [])
    expected = torch.stack([by_hand(attention, one, list(asked[0])) for one in asking[0]]).mean(0)
    torch.testing.assert_close(found[0], expected)


@pytest.mark.parametrize("name", ["attention", "cross_attention"])
def test_which_token_is_where_matters_and_every_weight_learns(name):
    net, _ = tiny_net(name, "test_vit", image_grid=2)
    batch = tiny_posts(both=True)
    answer = net(batch)
    assert answer.features.shape == answer.parts["image"].shape == (6, net.dim)
    answer.logits.square().sum().backward()
    unused = [key for key, value in net.named_parameters() if value.grad is None and not key.startswith("encoders")]
    assert unused == []
    layout = net.encoders.layouts["image"]
    features = net.eval().encoders(batch)
    tokens = layout.unpack(features["image"]).tokens
    same = tokens.mean(dim=1, keepdim=True).expand_as(tokens)
    pooled = layout.pack(layout.pooled(features["image"]), same, torch.ones(6, 4, dtype=torch.bool))
    present = {"text": batch.has_text, "image": batch.has_image}
    attended = net.fuse(features, present).logits
    assert not torch.allclose(net.fuse(features | {"image": pooled}, present).logits, attended, atol=1e-4)


@pytest.mark.parametrize("name", ["attention", "cross_attention"])
def test_a_net_reads_the_tokens_of_the_encoders_taken_out_of_it(name):
    net, _ = tiny_net(name, seed=6)
    batch = tiny_posts()
    with torch.no_grad():
        expected = net.eval()(batch).logits
        features = net.encoders(batch)
        for modality in ("text", "image"):
            net.encoders.take_out(modality)
        image, text = features["image"], features["text"]
        cached = type(batch)(batch.index, batch.label, batch.has_image, batch.has_text, image, text)
        torch.testing.assert_close(net(cached).logits, expected)


def test_a_frozen_run_attends_to_cached_tokens(tmp_path, cache):
    words = ["--algorithm", "fixmatch", "--fusion", "cross_attention", "--freeze", "image,text", "--text_tokens", 8]
    words += ["--image_weights", "none", "--text_weights", "none"]
    done = run_main(*TINY, *words, "--image_grid", 2, "--cache_dir", cache, "--save_dir", tmp_path)
    assert done.code == 0, done.err
    assert "image small (random, frozen), text fasttext (random, frozen);" in done.out
