"""Encoders against hand-built timm and transformers nets, their weights, and what they refuse."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel, BertModel

from nets.encoders import ImageEncoder, TextEncoder, image_encoder, image_weights_net, small_text_config

WEIGHTS = Path(__file__).parents[2].parent / "shared" / "weights"
IMAGE_FILE, TEXT_FOLDER = WEIGHTS / "mobilenetv2_100.safetensors", WEIGHTS / "minilm-l6"
needs_image_file = pytest.mark.skipif(not IMAGE_FILE.is_file(), reason=f"needs {IMAGE_FILE}")
needs_text_folder = pytest.mark.skipif(not TEXT_FOLDER.is_dir(), reason=f"needs {TEXT_FOLDER}")


@pytest.fixture
def pixels():
    return torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def image_file(tmp_path, request):
    """A file of weights of test_efficientnet, with its classifier, as timm saves them."""
    torch.manual_seed(1)
    net = timm.create_model("test_efficientnet", pretrained=False)
    said = {"timm": "test_efficientnet", "mean": "0.1,0.2,0.3", "std": "0.4,0.5,0.6", "input": "48", "pad_type": "same"}
    save_file(net.state_dict(), tmp_path / "net.safetensors", metadata=said)
    torch.save({"state_dict": net.state_dict()}, tmp_path / "net.pt")
    return tmp_path / "net.safetensors"


@torch.no_grad()
def by_timm(name, state, pixels, **settings):
    net = timm.create_model(name, pretrained=False, num_classes=0, **settings).eval()
    net.load_state_dict(state, strict=False)
    last = torch.channels_last  # another order of memory is another order of summing up
    return net.to(memory_format=last)(pixels.contiguous(memory_format=last))


@needs_image_file
def test_real_weights_give_the_features_of_a_net_built_by_hand(pixels):
    encoder = ImageEncoder("mobilenetv2_100", str(IMAGE_FILE)).eval()
    state = load_file(IMAGE_FILE)
    with torch.no_grad():
        features = encoder(pixels)
    torch.testing.assert_close(features, by_timm("mobilenetv2_100", state, pixels, pad_type="same"))
    assert (features - by_timm("mobilenetv2_100", state, pixels)).abs().max() > 0.01  # so the padding is heeded
    assert (encoder.width, encoder.size) == (1280, 224)
    assert encoder.plan["mean"] == encoder.plan["std"] == (0.5, 0.5, 0.5)
    assert image_weights_net(str(IMAGE_FILE)) == "mobilenetv2_100"


def test_what_the_file_says_of_itself_is_heeded(image_file, pixels):
    encoder = ImageEncoder("test_efficientnet", str(image_file)).eval()
    with torch.no_grad():
        features = encoder(pixels)
    state = load_file(image_file)
    torch.testing.assert_close(features, by_timm("test_efficientnet", state, pixels, pad_type="same"))
    assert not torch.allclose(features, by_timm("test_efficientnet", state, pixels))
    assert (encoder.plan["mean"], encoder.plan["std"], encoder.size) == ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6), 48)
    assert ImageEncoder("test_efficientnet", str(image_file), size=96).size == 96


def test_a_plain_state_dict_is_read_too(image_file, pixels):
    path = image_file.with_suffix(".pt")
    with torch.no_grad():
        features = ImageEncoder("test_efficientnet", str(path)).eval()(pixels)
    torch.testing.assert_close(features, by_timm("test_efficientnet", load_file(image_file), pixels))
    assert image_weights_net(str(path)) == image_weights_net("") == image_weights_net("none") == ""


def test_the_plan_makes_the_same_encoder_without_the_file(image_file, pixels):
    encoder = ImageEncoder("test_efficientnet", str(image_file), frozen_statistics=True).eval()
    again = image_encoder(json.loads(json.dumps(encoder.plan))).eval()
    again.load_state_dict(encoder.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(again(pixels), encoder(pixels))
    assert json.dumps(again.plan) == json.dumps(encoder.plan)


def test_what_is_not_the_weights_of_the_net_is_refused(image_file, tmp_path):
    with pytest.raises(ValueError, match=r"--image_weights nowhere.pt: there is no such file"):
        ImageEncoder("test_efficientnet", "nowhere.pt")
    with pytest.raises(ValueError, match=r"these are the weights of test_efficientnet, not of --image_net test_resnet"):
        ImageEncoder("test_resnet", str(image_file))
    with pytest.raises(ValueError, match=r"not the weights of test_vit: \d+ missing"):
        ImageEncoder("test_vit", str(image_file.with_suffix(".pt")))
    state = load_file(image_file)
    wide = state | {"conv_stem.weight": torch.zeros(7, 3, 3, 3)}
    save_file(wide, tmp_path / "wide.safetensors")
    with pytest.raises(ValueError, match=r"conv_stem.weight has the shape \(7, 3, 3, 3\)"):
        ImageEncoder("test_efficientnet", str(tmp_path / "wide.safetensors"))
    torch.save(torch.zeros(3), tmp_path / "tensor.pt")
    with pytest.raises(ValueError, match=r"tensor.pt: holds a Tensor, not weights by name"):
        ImageEncoder("test_efficientnet", str(tmp_path / "tensor.pt"))


@pytest.mark.parametrize("name", ["bad.safetensors", "bad.pt", "code.pt"])
def test_a_file_that_holds_no_tensors_is_refused_and_never_run(name, tmp_path):
    path = tmp_path / name
    path.write_bytes(b"<html>404</html>")
    if name == "code.pt":
        torch.save({"path": Path("x")}, path)  # a pickle that makes an object
    with pytest.raises(ValueError, match=rf"--image_weights .*{name}: not a readable file of weights"):
        ImageEncoder("test_efficientnet", str(path))


def test_a_misspelt_image_net_is_named():
    with pytest.raises(ValueError, match=r"--image_net resnet1 8: timm could not make it"):
        ImageEncoder("resnet1 8", "none")


@pytest.mark.parametrize("name", ["small", "test_resnet", "test_efficientnet", "test_vit"])
@pytest.mark.parametrize("size", [64, 160])
def test_the_width_is_that_of_the_features_at_any_size(name, size):
    encoder = ImageEncoder(name, "none", size).eval()  # a ViT must be told the size of its input
    with torch.no_grad():
        assert encoder(torch.randn(1, 3, size, size)).shape == (1, encoder.width)


def test_frozen_statistics_stay_in_training(pixels):
    def statistics(encoder):
        return {key: value.clone() for key, value in encoder.state_dict().items() if "running_" in key}

    for frozen in (True, False):
        encoder = ImageEncoder("test_efficientnet", "none", 64, frozen_statistics=frozen).train()
        before = statistics(encoder)
        encoder(pixels).sum().backward()
        same = all(torch.equal(value, before[key]) for key, value in statistics(encoder).items())
        assert before and same == frozen
        assert encoder.training and encoder.net.bn1.weight.grad is not None  # scale and shift still learn


@pytest.fixture
def tokens():
    draw = torch.Generator().manual_seed(0)
    ids = torch.randint(5, 50, (3, 8), generator=draw)
    return ids, torch.arange(8) < torch.tensor([[8], [5], [1]])


@pytest.fixture
def bert(tmp_path):
    torch.manual_seed(2)
    net = BertModel(small_text_config(50, 24))
    net.save_pretrained(tmp_path / "bert")
    return tmp_path / "bert"


@torch.no_grad()
@pytest.mark.parametrize("pooling", ["mean", "cls", "pooler"])
def test_text_features_are_those_of_the_model_pooled_by_hand(bert, tokens, pooling):
    ids, mask = tokens
    encoder = TextEncoder(str(bert), pooling).eval()
    model = BertModel.from_pretrained(bert).eval()
    for row in range(len(ids)):
        alone = model(ids[row : row + 1, : int(mask[row].sum())])
        state = alone.last_hidden_state[0]
        expected = {"mean": state.mean(0), "cls": state[0], "pooler": alone.pooler_output[0]}[pooling]
        torch.testing.assert_close(encoder(ids, mask)[row], expected, atol=1e-5, rtol=1e-5)
    assert encoder.width == small_text_config(50, 24).hidden_size


@torch.no_grad()
def test_pooling_ignores_what_padding_holds(bert, tokens):
    ids, mask = tokens
    encoder = TextEncoder(str(bert), "mean").eval()
    other = torch.where(mask, ids, 3)
    torch.testing.assert_close(encoder(other, mask), encoder(ids, mask), atol=1e-5, rtol=1e-5)


def test_a_text_without_tokens_is_finite_and_so_is_its_gradient(bert, tokens):
    ids, mask = tokens
    encoder = TextEncoder(str(bert), "mean").train()
    features = encoder(ids, mask & torch.tensor([[True], [False], [True]]))
    features.sum().backward()
    assert features.isfinite().all()
    assert all(value.grad.isfinite().all() for value in encoder.parameters() if value.grad is not None)


def test_no_pooler_is_kept_that_nothing_reads(bert):
    assert [name for name, _ in TextEncoder(str(bert), "mean").named_parameters() if "pooler" in name] == []
    assert [name for name, _ in TextEncoder(str(bert), "pooler").named_parameters() if "pooler" in name]


@needs_text_folder
@torch.no_grad()
def test_real_text_weights_give_the_features_of_the_model_itself(tokens):
    ids, mask = tokens
    encoder = TextEncoder(str(TEXT_FOLDER), "mean").eval()
    model = AutoModel.from_pretrained(TEXT_FOLDER, dtype=torch.float32).eval()
    state = model(input_ids=ids[:1], attention_mask=mask[:1].long()).last_hidden_state
    torch.testing.assert_close(encoder(ids, mask)[:1], state.mean(1), atol=1e-5, rtol=1e-5)
    assert encoder.width == 384


def test_folders_without_a_text_encoder_are_refused(bert, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"--text_weights .*empty: no text encoder could be loaded"):
        TextEncoder(str(tmp_path / "empty"), "mean")
    broken = shutil.copytree(bert, tmp_path / "broken")
    (broken / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(ValueError, match=r"--text_weights .*broken: no text encoder could be loaded"):
        TextEncoder(str(broken), "mean")


@pytest.mark.parametrize(("change", "message"), [
    ({"num_hidden_layers": 3}, "weights and config do not belong together"),
    ({"intermediate_size": 300}, "no text encoder could be loaded"),
])  # fmt: skip
def test_text_weights_of_another_net_are_refused(bert, change, message):
    config = json.loads((bert / "config.json").read_text())
    (bert / "config.json").write_text(json.dumps(config | change))
    with pytest.raises(ValueError, match=message):
        TextEncoder(str(bert), "mean")


def test_a_pooler_without_weights_is_refused(bert):
    state = load_file(bert / "model.safetensors")
    kept = {key: value for key, value in state.items() if not key.startswith("pooler.")}
    save_file(kept, bert / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"--text_pooling pooler: .* has no pooler"):
        TextEncoder(str(bert), "pooler")
    assert TextEncoder(str(bert), "mean").width == small_text_config(50, 24).hidden_size
