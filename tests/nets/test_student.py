"""Students from files: the published Keras layout, converted exactly, and the house's own files."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from datasets.augment_image import normalise
from nets.keras_vit import read_keras_student
from nets.student import CLASSES, PUBLISHED, TWINS, ImageModel, load_student
from tests.nets.keras_files import NET, SIZE, keras_answers, keras_weights, write_keras
from tests.nets.tiny import tiny_net, tiny_posts
from training.checkpoint import plain_state


def photos() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (5, SIZE, SIZE, 3)).astype(np.float32)


def answers(model: ImageModel, images: np.ndarray) -> np.ndarray:
    """Probabilities for images from 0 to 255, scaled as the model says."""
    assert model.plan.image is not None
    mean, std = (torch.tensor(model.plan.image[name], dtype=torch.float32) for name in ("mean", "std"))
    posts = tiny_posts(count=len(images), both=True)
    batch = replace(posts, image=normalise(torch.from_numpy(images).permute(0, 3, 1, 2), mean, std))
    with torch.no_grad():
        return model.net(batch).logits.softmax(dim=1).numpy()


@pytest.mark.parametrize(("nested", "root"), [(False, "model_weights/"), (False, ""), (True, "model_weights/")])
def test_a_keras_file_answers_as_vit_keras_does(tmp_path: Path, nested: bool, root: str) -> None:
    weights = keras_weights()
    path = write_keras(tmp_path / "ViT.h5", weights, nested, root)
    model = load_student(path, NET)
    assert model.plan.image is not None and model.plan.image["size"] == SIZE
    assert model.squeezed and model.classes == CLASSES and not model.net.training
    expected = keras_answers(weights, photos() / 127.5 - 1)
    assert np.ptp(expected, axis=0).min() > 0.05
    np.testing.assert_allclose(answers(model, photos()), expected, atol=2e-6)


def test_every_weight_of_a_keras_file_counts_and_is_placed(tmp_path: Path) -> None:
    state = read_keras_student(write_keras(tmp_path / "a.h5", keras_weights()))
    net = load_student(tmp_path / "a.h5", NET).net
    assert set(state) == set(net.state_dict())
    query = keras_weights()["Transformer/encoderblock_3/MultiHeadDotProductAttention_1/query/kernel:0"]
    found = state["encoders.live.image.net.blocks.3.attn.qkv.weight"][:64]
    assert torch.equal(found, torch.from_numpy(query.T.copy()))


def test_only_the_published_b32_reads_pixels_from_zero_to_one() -> None:
    assert {name for name, net in PUBLISHED.items() if net != "vit_b32"} == {
        "boosted_model", "ViT_L16", "ViT_L32", "ViT_B16"
    }  # fmt: skip
    assert len(PUBLISHED) == 12
    assert all(PUBLISHED[name] == PUBLISHED[twin] and TWINS[twin] == name for name, twin in TWINS.items())


def test_shapes_tell_the_encoder_and_its_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_keras(tmp_path / "ViT.h5", keras_weights())
    with pytest.raises(ValueError, match=r"64 features a token and patches of 16 pixels.*--image_net"):
        load_student(path)
    monkeypatch.setattr("nets.student._SHAPES", {(64, 16): NET})
    monkeypatch.setattr("nets.student.SCALED_TO_ONE", NET)
    model = load_student(path)
    np.testing.assert_allclose(answers(model, photos()), keras_answers(keras_weights(), photos() / 255), atol=2e-6)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_a_state_of_the_house_s_student_is_read_too(tmp_path: Path, suffix: str) -> None:
    state = read_keras_student(write_keras(tmp_path / "a.h5", keras_weights()))
    path = tmp_path / f"student{suffix}"
    if suffix == ".pth":
        torch.save(state, path)
    else:
        save_file({name: value.contiguous() for name, value in state.items()}, path)
    expected = answers(load_student(tmp_path / "a.h5", NET), photos())
    np.testing.assert_array_equal(answers(load_student(path, NET), photos()), expected)


def test_a_file_that_says_its_plan_needs_nothing_else(tmp_path: Path) -> None:
    net, plan = tiny_net("image")
    model = ImageModel(net.eval(), plan, ("positive", "negative"), squeezed=False)
    save_file(plain_state(net), tmp_path / "net.safetensors", model.describe())
    again = load_student(tmp_path / "net.safetensors")
    assert again.plan.image is not None and plan.image is not None
    assert (
        json.dumps(again.plan.image) == json.dumps(plan.image)
        and again.classes == ("positive", "negative")
        and not again.squeezed
    )
    np.testing.assert_array_equal(answers(again, photos()), answers(model, photos()))


def test_files_of_something_else_are_one_sentence(tmp_path: Path) -> None:
    weights = keras_weights()

    def refused(file: Path, reason: str) -> None:
        with pytest.raises(ValueError, match=reason) as error:
            load_student(file, NET)
        assert file.name in str(error.value)

    refused(tmp_path / "none.h5", "there is no such file")
    refused(tmp_path / "weights.npz", "a student's file is one of .h5")
    (tmp_path / "text.h5").write_text("Google Drive - Virus scan warning")
    refused(tmp_path / "text.h5", "not a readable Keras file")
    short = {name: value for name, value in weights.items() if "dense_10" not in name}
    refused(write_keras(tmp_path / "short.h5", short), "has 1 dense layers after the ViT")
    other = weights | {"pre_logits/kernel:0": np.zeros((64, 64))}
    refused(write_keras(tmp_path / "top.h5", other), "pre_logits/kernel is no weight of a ViT of vit-keras")
    less = {name: value for name, value in weights.items() if "encoderblock_5" not in name}
    refused(write_keras(tmp_path / "less.h5", less), "holds the weights of another net .*blocks.5")
    keyless = {name: value for name, value in weights.items() if "encoderblock_2" not in name or "/key/" not in name}
    refused(write_keras(tmp_path / "key.h5", keyless), "lacks one of query, key and value")
    with h5py.File(tmp_path / "empty.h5", "w"):
        pass
    refused(tmp_path / "empty.h5", "has 0 dense layers")
    torch.save({"weight": torch.zeros(1)}, tmp_path / "other.pth")
    refused(tmp_path / "other.pth", "holds no ViT with the head of T4SA 2.0")
    (tmp_path / "best").mkdir()
    (tmp_path / "best" / "net.json").write_text("{}")
    save_file({"weight": torch.zeros(1)}, tmp_path / "best" / "model.safetensors")
    refused(tmp_path / "best" / "model.safetensors", "give the run's folder")
