"""The mean of token vectors: by hand, alone and in a net, and through a run of the world."""

from __future__ import annotations

import json

import pytest
import torch

from nets.build import PLAN_FILE, rebuild, save_plan, text_source
from nets.fasttext import FastTextEncoder
from nets.options import NetOptions
from tests.nets.tiny import padded, tiny_net, tiny_posts
from tests.runs import TINY, run_main
from training.outcome import load_model
from training.run_folder import RunFolder


def test_a_text_is_the_mean_of_its_tokens_vectors():
    encoder = FastTextEncoder(vocabulary=4, width=4).eval()  # times √4, and no token left out
    with torch.no_grad():
        encoder.vectors.weight.copy_(torch.tensor([[9.0, 9.0], [1.0, 0.0], [0.0, 2.0], [5.0, 4.0]]).repeat(1, 2) / 2)
    mask = torch.tensor([[True, True, False], [True, True, True], [False, False, False]])
    found = encoder(torch.tensor([[1, 2, 0], [3, 3, 1], [3, 3, 3]]), mask)
    torch.testing.assert_close(found[:, :2], torch.tensor([[0.5, 1.0], [11 / 3, 8 / 3], [0.0, 0.0]]))
    found.sum().backward()
    expected = 2 * torch.tensor(
        [0.0, 1 / 2 + 1 / 3, 1 / 2, 2 / 3]
    )  # padding and the text without a token teach nothing
    torch.testing.assert_close(encoder.vectors.weight.grad, expected.unsqueeze(1).expand(4, 4))


def test_in_training_some_tokens_are_left_out_and_the_mean_is_of_the_others():
    torch.manual_seed(0)
    encoder = FastTextEncoder(vocabulary=2, width=4)
    text, mask = torch.ones(200, 30, dtype=torch.long), torch.ones(200, 30, dtype=torch.bool)
    mixed = torch.cat([torch.zeros_like(text), text], dim=1)
    assert (encoder(text, mask) - encoder.eval()(text, mask)).abs().max() < 1e-6
    means = encoder.train()(mixed, torch.cat([mask, mask], dim=1))
    apart = encoder.vectors.weight[0] - encoder.vectors.weight[1]
    assert (means.std(dim=0) > 0.05 * apart.abs()).all() and len(means.unique(dim=0)) > 20


def test_a_net_with_it_is_rebuilt_and_does_not_depend_on_padding(tmp_path):
    net, plan = tiny_net("concat", text_net="fasttext")
    net.eval()
    assert isinstance(net.encoders.live["text"], FastTextEncoder)
    batch = tiny_posts()
    save_plan(plan, net.encoders.live["text"], tmp_path)
    assert json.loads((tmp_path / PLAN_FILE).read_text())["fasttext"] == {"vocabulary": 50, "width": 64, "tokens": 0}
    again = rebuild(tmp_path).eval()
    again.load_state_dict(net.state_dict())
    with torch.no_grad():
        expected = net(batch).logits
        torch.testing.assert_close(again(batch).logits, expected)
        torch.testing.assert_close(net(padded(batch, 24)).logits, expected)


@pytest.mark.parametrize("given", [{"text_weights": "folder"}, {"text_pooling": "pooler"}])
def test_weights_and_pooling_of_others_are_refused(given):
    with pytest.raises(ValueError, match=r"--text_net fasttext is the mean of vectors learned from scratch: leave out"):
        text_source(NetOptions(text_net="fasttext", **given))


def test_a_run_with_it_is_finished_and_its_model_loads(tmp_path, cache):
    words = ["--algorithm", "fixmatch", "--text_net", "fasttext", "--cache_dir", cache, "--save_dir", tmp_path]
    done = run_main(*TINY, *words)
    assert done.code == 0, done.err
    assert isinstance(load_model(RunFolder(tmp_path / "main")).encoders.live["text"], FastTextEncoder)
