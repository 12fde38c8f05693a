"""The published head of T4SA 2.0's students."""

from __future__ import annotations

import torch
from torch.nn.functional import gelu

from tests.nets.tiny import tiny_net, tiny_posts


def test_the_head_is_32_units_with_gelu_over_the_class_token():
    net, plan = tiny_net("t4sa", "test_vit")
    net.eval()
    batch = tiny_posts()
    with torch.no_grad():
        encoder = net.encoders.live["image"]
        token = encoder.net.forward_head(encoder.net.forward_features(batch.image), pre_logits=True)
        answer = net(batch)
        hidden = gelu(token @ net.hidden[0].weight.T + net.hidden[0].bias, approximate="tanh")
        expected = hidden @ net.classify.weight.T + net.classify.bias
    there = batch.has_image
    assert hidden.shape == (6, 32) and net.dim == 32
    torch.testing.assert_close(answer.logits[there], expected[there])
    torch.testing.assert_close(answer.features[there], hidden[there])
    assert plan.net == "t4sa" and not any(isinstance(part, torch.nn.Dropout) for part in net.hidden)
