"""What the methods that compare posts share, on a few posts by hand."""

from __future__ import annotations

import pytest
import torch

from algorithms.embeddings import ProjectionHead, pseudo_label_graph, similarity
from algorithms.options import EmbeddingOptions
from nets.prediction import Prediction
from tests.algorithms.clusters import DIM, feature_net, make, posts


def test_the_graph_by_hand():
    pseudo = torch.tensor([[0.9, 0.1], [0.8, 0.2], [0.0, 1.0]])
    graph = pseudo_label_graph(pseudo, 0.5)  # products 0.74, 0.1 and 0.2 off the diagonal
    expected = torch.tensor([[1, 0.74, 0], [0.74, 1, 0], [0, 0, 1.74]]) / 1.74
    torch.testing.assert_close(graph, expected)


def test_with_the_highest_floor_every_post_is_like_itself_alone():
    assert torch.equal(pseudo_label_graph(torch.full((3, 2), 0.5), 1.0), torch.eye(3))


def test_embeddings_have_length_one_and_teach_the_net():
    net = feature_net("concat")
    head = ProjectionHead(net, 5)
    embedding = head(net(posts(4)))
    assert embedding.shape == (4, 5)
    torch.testing.assert_close(embedding.norm(dim=1), torch.ones(4))
    similarity(embedding, embedding, 0.5)[0, 1].backward()
    assert net.map["text"][1].weight.grad.abs().sum() > 0 and head.layers[0].weight.grad.abs().sum() > 0


@pytest.mark.parametrize("algorithm", ["comatch", "simmatch", "s2_ver"])
def test_a_net_without_features_is_refused(algorithm, monkeypatch):
    net = feature_net("concat")
    monkeypatch.setattr(net, "has_features", False)
    with pytest.raises(ValueError, match="--net concat gives no features, by which"):
        make(algorithm, net)


def test_embeddings_and_similarities_stay_in_full_precision():
    head = ProjectionHead(feature_net("concat"), 5)
    prediction = Prediction(torch.zeros(4, 3), features=torch.randn(4, DIM))
    with torch.autocast("cpu", torch.bfloat16):
        embedding = head(prediction)
        logits = similarity(embedding, embedding, 0.5)
    torch.testing.assert_close(embedding, head(prediction))
    torch.testing.assert_close(logits, embedding @ embedding.T / 0.5)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("embedding_dim", 0, "must be a number above 0"),
        ("embedding_temperature", 0.0, "must be a number above 0"),
        ("smoothing_ratio", 1.2, "is a share, so it must be from 0 to 1"),
        ("contrast_loss_ratio", -1.0, "must be a number from 0 up"),
    ],
)
def test_options_out_of_range_name_their_flag(name, value, message):
    with pytest.raises(ValueError, match=f"--{name} {value} {message}"):
        EmbeddingOptions(**{name: value})
