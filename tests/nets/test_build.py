"""From options to a net, and from what is saved of it to the same net."""

from __future__ import annotations

import json

import pytest
import torch
from transformers import BertModel

import nets.build
from nets.build import PLAN_FILE, build_net, find, rebuild, save_plan, text_source
from nets.build import nets as all_nets
from nets.encoders import small_text_config
from nets.options import NetOptions
from tests.nets.tiny import tiny_net, tiny_posts


@pytest.mark.parametrize("freeze", [(), ("image",), ("text",), ("image", "text")])
@pytest.mark.parametrize("name", sorted(all_nets()))
def test_a_rebuilt_net_answers_the_same(name, freeze, tmp_path):
    net, plan = tiny_net(name, "test_efficientnet", seed=5)
    net.eval()
    batch = tiny_posts(net=name)
    with torch.no_grad():
        expected = net(batch)
    frozen = {modality: net.encoders.take_out(modality) for modality in freeze if modality in net.encoders.live}
    text = frozen.get("text") or (net.encoders.live["text"] if "text" in net.reads else None)
    save_plan(plan, text, tmp_path)
    state = net.state_dict()
    for modality, encoder in frozen.items():
        assert not any(value.requires_grad for value in encoder.parameters())
        assert not any(key.startswith(f"encoders.live.{modality}.") for key in state)
        state |= {f"encoders.live.{modality}.{key}": value for key, value in encoder.state_dict().items()}
    again = rebuild(tmp_path).eval()
    again.load_state_dict(state)
    with torch.no_grad():
        torch.testing.assert_close(again(batch).logits, expected.logits)


def test_a_net_reads_the_features_of_the_encoders_taken_out_of_it():
    net, _ = tiny_net("scrd", seed=6)
    net.eval()
    batch = tiny_posts()
    with torch.no_grad():
        expected = net(batch).logits
        features = net.encoders(batch)
        encoders = {name: net.encoders.take_out(name) for name in ("text", "image")}
        cached = type(batch)(
            batch.index, batch.label, batch.has_image, batch.has_text, features["image"], features["text"]
        )
        torch.testing.assert_close(net(cached).logits, expected)
        for name, encoder in encoders.items():
            net.encoders.live[name] = encoder
        torch.testing.assert_close(net(batch).logits, expected)


def test_the_plan_is_json_and_holds_what_the_options_were(tmp_path):
    _, plan = tiny_net("image")
    save_plan(plan, None, tmp_path)
    read = json.loads((tmp_path / PLAN_FILE).read_text(encoding="utf-8"))
    assert (read["net"], read["num_classes"], read["text_pooling"]) == ("image", 3, None)
    assert NetOptions(**read["options"]).feature_dim == 16
    assert not (tmp_path / "text").exists()


def test_two_nets_of_one_name_are_refused(monkeypatch, tmp_path):
    for stem in ("concat", "scrd"):  # both modules are there already; the folder says which files to look into
        (tmp_path / f"{stem}.py").touch()
    monkeypatch.setattr(nets.build, "__file__", str(tmp_path / "build.py"))
    assert set(all_nets()) == {"concat", "image", "text", "scrd"}
    monkeypatch.setattr(find("scrd"), "name", "text")
    with pytest.raises(ValueError, match=r"two nets are called 'text': nets.concat, nets.scrd"):
        all_nets()


def test_where_text_comes_from(tmp_path):
    assert text_source(NetOptions(text_net="minilm")) == "sentence-transformers/all-MiniLM-L6-v2"
    assert text_source(NetOptions(text_net="someone/their-bert")) == "someone/their-bert"
    assert text_source(NetOptions(text_net="small", text_weights="none")) == ""
    assert text_source(NetOptions(text_weights=str(tmp_path))) == str(tmp_path)
    with pytest.raises(ValueError, match=r"--text_weights /nowhere: there is no such folder"):
        text_source(NetOptions(text_weights="/nowhere"))


def test_text_weights_of_a_folder_are_in_the_net_and_come_back(tmp_path):
    torch.manual_seed(8)
    BertModel(small_text_config(50, 24)).save_pretrained(tmp_path / "bert")
    options = NetOptions(net="text", text_weights=str(tmp_path / "bert"), text_pooling="pooler", feature_dim=16)
    net, plan = build_net(options, 3, 0, vocabulary=999, text_length=24)
    net.eval()
    inner = net.encoders.live["text"].net
    assert inner.config.vocab_size == 50  # that of the folder, not of the tokenizer of a net from scratch
    assert torch.equal(inner.pooler.dense.weight, BertModel.from_pretrained(tmp_path / "bert").pooler.dense.weight)
    save_plan(plan, net.encoders.live["text"], tmp_path / "best")
    again = rebuild(tmp_path / "best").eval()
    again.load_state_dict(net.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(again(tiny_posts()).logits, net(tiny_posts()).logits)


@pytest.mark.parametrize(("batch_norm", "weights", "frozen"), [
    ("auto", False, False), ("auto", True, True), ("frozen", False, True), ("batch", True, False),
])  # fmt: skip
def test_batch_norm_is_frozen_for_loaded_weights_or_where_asked(batch_norm, weights, frozen, tmp_path):
    image, _ = tiny_net("image", "test_efficientnet")
    torch.save(image.encoders.live["image"].net.state_dict(), tmp_path / "w.pt")
    path = str(tmp_path / "w.pt") if weights else "none"
    options = NetOptions("image", "test_efficientnet", path, batch_norm=batch_norm, feature_dim=8)
    net, _ = build_net(options, 3, 32, 0, 0)
    assert net.encoders.live["image"].frozen_statistics == frozen
