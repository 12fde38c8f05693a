"""Features in one row, taken apart again; and the grid of an image's parts."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import adaptive_avg_pool2d

from nets.encoders import ImageEncoder, TextEncoder, small_text_config
from nets.layout import Layout, grid_means


def test_what_is_packed_comes_out_again_and_the_rest_is_no_token():
    layout = Layout(width=2, count=3, token_width=1)
    pooled, tokens = torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([[[5.0], [6.0]], [[7.0], [8.0]]])
    row = layout.pack(pooled, tokens, torch.tensor([[True, True], [True, False]]))
    assert row.tolist() == [[1, 2, 5, 1, 6, 1, 0, 0], [3, 4, 7, 1, 0, 0, 0, 0]]
    assert row.shape[1] == layout.size == 8
    found = layout.unpack(row)
    assert torch.equal(found.pooled, pooled) and torch.equal(layout.pooled(row), pooled)
    assert found.tokens.squeeze(2).tolist() == [[5, 6, 0], [7, 0, 0]]
    assert found.mask.tolist() == [[True, True, False], [True, False, False]]
    assert not layout.unpack(torch.zeros(1, 8)).mask.any()


def test_tokens_beyond_the_limit_are_cut_off():
    layout = Layout(width=1, count=1, token_width=2)
    row = layout.pack(torch.tensor([[9.0]]), torch.tensor([[[1.0, 2.0], [3.0, 4.0]]]), torch.ones(1, 2).bool())
    assert row.tolist() == [[9, 1, 2, 1]]


@pytest.mark.parametrize("shape", [(4, 4), (7, 7), (2, 2), (1, 1), (10, 6)])
def test_the_grid_is_adaptive_average_pooling(shape):
    image = torch.randn(2, 3, *shape, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(grid_means(image, (4, 4)), adaptive_avg_pool2d(image, 4).flatten(2).transpose(1, 2))


@torch.no_grad()
@pytest.mark.parametrize("name", ["test_mambaout", "test_resnet", "test_vit", "test_efficientnet"])
def test_an_image_encoder_gives_its_pooled_features_and_the_means_of_the_parts(name):
    torch.manual_seed(0)
    encoder = ImageEncoder(name, "none", 160, grid=(2, 2)).eval()
    pixels = torch.randn(2, 3, 160, 160)
    found = encoder.layout.unpack(encoder(pixels))
    torch.testing.assert_close(found.pooled, encoder.net(pixels))
    assert found.mask.all() and found.tokens.shape == (2, 4, encoder.net.num_features)
    features = encoder.net.forward_features(pixels)
    if name == "test_mambaout":  # channels come last
        features = features.permute(0, 3, 1, 2)
    if name == "test_vit":  # one class token, then ten rows of ten patches
        patches = features[:, 1:].reshape(2, 10, 10, -1)
        corner = patches[:, :5, 5:].mean(dim=(1, 2))
    else:
        corner = adaptive_avg_pool2d(features, 2)[:, :, 0, 1]
    torch.testing.assert_close(found.tokens[:, 1], corner)


@torch.no_grad()
def test_a_text_encoder_gives_its_pooled_features_and_its_first_states():
    torch.manual_seed(0)
    plain = TextEncoder(small_text_config(50, 24), "mean").eval()
    encoder = TextEncoder(small_text_config(50, 24), "mean", tokens=4).eval()
    encoder.load_state_dict(plain.state_dict())
    text, mask = torch.randint(5, 50, (3, 6)), torch.arange(6) < torch.tensor([[6], [2], [0]])
    found = encoder.layout.unpack(encoder(text, mask))
    torch.testing.assert_close(found.pooled[:2], plain(text, mask)[:2])
    states = plain.net(input_ids=text[:1], attention_mask=mask[:1].long()).last_hidden_state
    torch.testing.assert_close(found.tokens[:1], states[:, :4], atol=1e-5, rtol=1e-5)
    assert found.mask.sum(dim=1).tolist() == [4, 2, 0]
