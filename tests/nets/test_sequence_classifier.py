"""What is trained here is a classifier of transformers."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoModel, AutoModelForSequenceClassification

from nets.build import build_net
from nets.options import NetOptions
from tests.nets.classifiers import CONFIGS, write_classifier
from tests.nets.tiny import tiny_posts


@pytest.mark.parametrize("kind", CONFIGS)
def test_the_encoder_is_loaded_and_the_head_is_new(kind, tmp_path):
    folder = write_classifier(tmp_path, ("a", "b"), kind)
    net, _ = build_net(NetOptions("sequence_classifier", text_weights=str(folder), feature_dim=8), 3, 0, 0, 0)
    inner = net.encoders.live["text"].net.base_model.state_dict()
    source = AutoModel.from_pretrained(folder).state_dict()
    assert inner and all(torch.equal(value, source[name]) for name, value in inner.items() if "pooler" not in name)
    answer = net(tiny_posts())
    assert answer.logits.shape == (6, 3) and answer.features is None and not net.has_features
    answer.logits.square().sum().backward()
    unused = [name for name, value in net.named_parameters() if value.grad is None]
    assert unused == []


@pytest.mark.parametrize("kind", CONFIGS)
def test_transformers_gives_the_same_logits(kind, tmp_path):
    folder = write_classifier(tmp_path, kind=kind)
    net, _ = build_net(NetOptions("sequence_classifier", text_weights=str(folder), feature_dim=8), 3, 0, 0, 0)
    net.eval()
    encoder = net.encoders.live["text"]
    encoder.net.save_pretrained(tmp_path / "again")
    theirs = AutoModelForSequenceClassification.from_pretrained(tmp_path / "again").eval()
    batch = tiny_posts()
    there = batch.has_text
    with torch.no_grad():
        logits = theirs(input_ids=batch.text, attention_mask=batch.text_mask.long()).logits
        ours = net(batch).logits
    torch.testing.assert_close(ours[there], logits[there], atol=1e-5, rtol=1e-5)
    assert (ours[~there] == 0).all()
    last = encoder.net.get_submodule(encoder.last)
    assert last.out_features == 3
    before = net(batch).logits
    with torch.no_grad():
        last.bias.add_(1)
    torch.testing.assert_close(net(batch).logits[there], before[there] + 1)
