"""Image encoders through timm, text encoders through transformers; pretrained, from a file, or from scratch."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import timm
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from transformers import AutoModel, BertConfig, PretrainedConfig

from nets.layout import Grid, Layout, grid_means

IMAGE_NAMES = {
    "small": "test_mambaout",
    "vit_b16": "vit_base_patch16_224",
    "vit_b32": "vit_base_patch32_224",
    "vit_l16": "vit_large_patch16_224",
    "vit_l32": "vit_large_patch32_224",
}
"""Short names for timm's."""

TEXT_NAMES = {
    "bert": "google-bert/bert-base-uncased",
    "roberta": "FacebookAI/roberta-base",
    "bertweet": "vinai/bertweet-base",
    "bernice": "jhu-clsp/bernice",
    "minilm": "sentence-transformers/all-MiniLM-L6-v2",
}
"""Short names for the hub's."""


def read_weights(path: str, flag: str = "--image_weights") -> tuple[dict[str, Tensor], dict[str, str]]:
    """State dict and metadata of a weights file, which `flag` named; only tensors are ever read from it.

    Raises ValueError where it is not there or holds something else.
    """
    file = Path(path)
    if not file.is_file():
        raise ValueError(f"{flag} {path}: there is no such file")
    try:
        if file.suffix == ".safetensors":
            with safe_open(file, framework="pt") as opened:
                return {key: opened.get_tensor(key) for key in opened.keys()}, dict(opened.metadata() or {})  # noqa: SIM118
        state = torch.load(file, map_location="cpu", weights_only=True)
    except (SafetensorError, UnpicklingError, RuntimeError, OSError, ValueError, EOFError) as error:
        reason = (str(error) or "it is empty or cut off").splitlines()[0]
        raise ValueError(f"{flag} {path}: not a readable file of weights ({reason})") from error
    if not isinstance(state, dict):
        raise ValueError(f"{flag} {path}: holds a {type(state).__name__}, not weights by name")
    weights: dict[str, Tensor] = state.get("state_dict") or state.get("model") or state
    return weights, {}


def weights_fingerprint(module: nn.Module) -> str:
    """sha256 of names and values of all weights."""
    digest = hashlib.sha256()
    for name, value in module.state_dict().items():
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def weights_metadata(file: Path) -> dict[str, str]:
    """What a .safetensors file says of itself. Raises ValueError where it cannot be read."""
    try:
        with safe_open(file, framework="pt") as opened:
            return dict(opened.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{file}: not a readable file of weights ({error})") from error


def image_weights_net(path: str) -> str:
    """The timm name that a weights file says it belongs to (metadata `timm`), or ''."""
    return read_weights(path)[1].get("timm", "") if path not in ("", "none") else ""


class ImageEncoder(nn.Module):
    """(B, 3, S, S) normalised pixels to (B, width) features, by a timm net without its classifier.

    Args:
        name: timm name or a short one of IMAGE_NAMES.
        weights: file (safetensors, whose metadata may give mean, std, input and pad_type; or a state dict), "" for
            timm's pretrained weights, "none" for random ones.
        size: pixels of the input square; 0: what the weights were trained with.
        frozen_statistics: BatchNorm keeps the statistics that came with the weights, also in training, so that a
            prediction never depends on the other posts of a small batch.
        metadata: what the file of the weights would say, for weights that come later.
        grid: rows and columns of the parts that are given beside the pooled features, see Layout; (0, 0): none.
    """

    def __init__(
        self,
        name: str,
        weights: str = "",
        size: int = 0,
        frozen_statistics: bool = False,
        metadata: Mapping[str, str] | None = None,
        grid: Grid = (0, 0),
    ) -> None:
        super().__init__()
        name = IMAGE_NAMES.get(name, name)
        state, said = read_weights(weights) if weights not in ("", "none") else ({}, dict(metadata or {}))
        owner = said.get("timm", name)
        if owner.split(".")[0] != name.split(".")[0]:
            raise ValueError(f"--image_weights {weights}: these are the weights of {owner}, not of --image_net {name}")
        known: dict[str, Any] = {"pad_type": said["pad_type"]} if "pad_type" in said else {}
        try:
            self.net = timm.create_model(name, pretrained=weights == "", num_classes=0, **known)
        except (RuntimeError, OSError, TypeError) as error:
            raise ValueError(
                f"--image_net {name}: timm could not make it ({str(error).splitlines()[0]}); a misspelt name, "
                "or pretrained weights that cannot be reached: give --image_weights FILE, or none for random ones"
            ) from error
        if state:
            self._load(name, weights, state)
        self.net.to(memory_format=torch.channels_last)  # MobileNetV2 learns 1.2 times as fast on a CPU
        config = self.net.pretrained_cfg
        mean, std = _three(said.get("mean"), config["mean"]), _three(said.get("std"), config["std"])
        self.size = size or int(said.get("input", config["input_size"][-1]))
        if hasattr(self.net, "set_input_size") and self.size != config["input_size"][-1]:
            self.net.set_input_size(img_size=self.size)
        pooled: int = getattr(self.net, "head_hidden_size", self.net.num_features)
        self.grid = grid
        self.layout = Layout(pooled, grid[0] * grid[1], self.net.num_features)
        self.width = self.layout.size
        self.frozen_statistics = frozen_statistics
        self.plan: dict[str, Any] = {
            "name": name, "size": self.size, "frozen_statistics": frozen_statistics, "metadata": said,
            "mean": mean, "std": std,
        }  # fmt: skip
        """What `image_encoder` needs to make the same net without its weights, and how its pixels are scaled."""

    def _load(self, name: str, weights: str, state: dict[str, Tensor]) -> None:
        own = self.net.state_dict()
        foreign = [key for key, value in state.items() if key in own and own[key].shape != value.shape]
        if foreign:
            raise ValueError(
                f"--image_weights {weights}: these are not the weights of {name}: {foreign[0]} has the shape "
                f"{tuple(state[foreign[0]].shape)}, not {tuple(own[foreign[0]].shape)}"
            )
        missing, unexpected = self.net.load_state_dict(state, strict=False)
        missing = [key for key in missing if "num_batches_tracked" not in key]
        unexpected = [key for key in unexpected if not key.startswith(("classifier", "head.", "fc.", "head_dist"))]
        if missing or unexpected:
            raise ValueError(
                f"--image_weights {weights}: these are not the weights of {name}: "
                f"{len(missing)} missing ({missing[:2]}), {len(unexpected)} that it does not have ({unexpected[:2]})"
            )

    def train(self, mode: bool = True) -> ImageEncoder:
        """Set the mode; BatchNorm stays in evaluation where its statistics are frozen."""
        super().train(mode)
        if mode and self.frozen_statistics:
            for module in self.net.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()
        return self

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, S, S) to (B, width)."""
        image = image.contiguous(memory_format=torch.channels_last)
        if not self.layout.count:
            return self.net(image)
        states = self.net.forward_features(image)
        tokens = grid_means(self._places(states), self.grid)
        there = torch.ones(tokens.shape[:2], dtype=torch.bool, device=tokens.device)
        return self.layout.pack(self.net.forward_head(states), tokens, there)

    def _places(self, states: Tensor) -> Tensor:
        """(B, V, H, W) features by place from what timm's `forward_features` gives: a map of channels, first or last,
        or tokens of patches with class tokens before them."""
        if states.dim() == 4:
            return states.permute(0, 3, 1, 2) if getattr(self.net, "output_fmt", "") == "NHWC" else states
        patches = states[:, getattr(self.net, "num_prefix_tokens", 0) :]
        side = math.isqrt(patches.shape[1])
        return patches.transpose(1, 2).unflatten(2, (side, side))


def image_encoder(plan: Mapping[str, Any], grid: Grid = (0, 0)) -> ImageEncoder:
    """The encoder of `plan`, with random weights."""
    return ImageEncoder(plan["name"], "none", plan["size"], plan["frozen_statistics"], plan["metadata"], grid)


def _three(said: str | None, default: tuple[float, ...]) -> tuple[float, float, float]:
    """Three numbers for red, green and blue, as a weights file says them ("0.5,0.5,0.5") or by default."""
    red, green, blue = map(float, said.split(",")) if said else default
    return red, green, blue


def small_text_config(vocabulary: int, length: int) -> BertConfig:
    """A one-layer BERT that trains from scratch in minutes on a CPU."""
    return BertConfig(
        vocab_size=vocabulary,
        hidden_size=64,
        num_hidden_layers=1,
        num_attention_heads=4,
        intermediate_size=128,
        max_position_embeddings=length,
        pad_token_id=0,
    )


def pretrained_text(source: str) -> tuple[nn.Module, set[str]]:
    """The encoder in a folder or on the hub, and the tensors of its pooler that its weights do not hold.

    Raises ValueError where it cannot be loaded or lacks any other tensor.
    """
    try:
        net, report = AutoModel.from_pretrained(
            source, dtype=torch.float32, trust_remote_code=False, output_loading_info=True
        )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise ValueError(
            f"--text_net or --text_weights {source}: no text encoder could be loaded ({str(error).splitlines()[0]}); "
            "give --text_weights FOLDER with its config, weights and tokenizer, "
            "or --text_net small --text_weights none to train one from scratch"
        ) from error
    missing = set(report["missing_keys"])
    pooler_missing = {key for key in missing if key.startswith("pooler.")}
    if missing - pooler_missing:
        raise ValueError(
            f"--text_net or --text_weights {source}: weights and config do not belong together, "
            f"{len(missing)} tensors are missing, as {min(missing - pooler_missing)}"
        )
    return net, pooler_missing


def attention_mask(config: PretrainedConfig, mask: Tensor) -> Tensor:
    """The (B, L) bool mask as a transformer of this configuration reads it.

    transformers asks a (B, L) one, on the host, whether it is all ones; spread out to (B, 1, L, L) it goes to the
    attention as it is and the device is not waited for.
    """
    if config._attn_implementation != "sdpa":
        return mask.to(torch.long)
    return mask[:, None, None, :].expand(-1, 1, mask.shape[1], -1)


def first_position(config: PretrainedConfig) -> int:
    """The position of a text's first token: RoBERTa and its kin count on from the padding's."""
    return config.pad_token_id + 1 if config.model_type in ("roberta", "xlm-roberta", "camembert") else 0


def longest_text(config: PretrainedConfig) -> int:
    """Tokens that a transformer of this configuration can read at most."""
    return config.max_position_embeddings - first_position(config)


class TextEncoder(nn.Module):
    """(B, L) token ids to (B, width) features, by a transformers encoder.

    Args:
        source: folder or hub name to load configuration and weights from, or a configuration for random weights.
        pooling: "mean" over the tokens, "cls" (the first token), or "pooler" (BERT's own).
        tokens: states of a text's first tokens that are given beside the pooled features, see Layout.
    """

    def __init__(self, source: str | PretrainedConfig, pooling: str, tokens: int = 0) -> None:
        super().__init__()
        pooler_missing: set[str] = set()
        if isinstance(source, PretrainedConfig):
            self.net = AutoModel.from_config(source, dtype=torch.float32, trust_remote_code=False)
        else:
            self.net, pooler_missing = pretrained_text(source)
        if pooling == "pooler" and (pooler_missing or getattr(self.net, "pooler", None) is None):
            raise ValueError(f"--text_pooling pooler: {source} has no pooler; use mean or cls")
        if pooling != "pooler" and getattr(self.net, "pooler", None) is not None:
            self.net.pooler = None  # a layer that no loss reads
        self.pooling = pooling
        self.layout = Layout(self.net.config.hidden_size, tokens, self.net.config.hidden_size)
        self.width = self.layout.size

    @property
    def config(self) -> PretrainedConfig:
        """The configuration of the transformer."""
        return self.net.config

    def run(self, text: Tensor, mask: Tensor) -> tuple[Any, Tensor]:
        """What the transformers net answers to (B, L) ids and (B, L) bool mask, and the mask that it was given: a row
        without any token shows its first one, so that its answer is finite."""
        nothing = ~mask.any(dim=1, keepdim=True)
        first = torch.zeros_like(mask)
        first[:, 0] = True
        mask = mask | (nothing & first)  # attention over no token at all is not a number, and so is its gradient
        return self.net(input_ids=text, attention_mask=attention_mask(self.config, mask)), mask

    def forward(self, text: Tensor, mask: Tensor) -> Tensor:
        """(B, L) ids and (B, L) bool mask to (B, width). A row without any token: finite values that mean nothing."""
        answer, shown = self.run(text, mask)
        pooled = self._pool(answer, shown)
        return self.layout.pack(pooled, answer.last_hidden_state, mask) if self.layout.count else pooled

    def _pool(self, answer: Any, mask: Tensor) -> Tensor:
        if self.pooling == "pooler":
            return answer.pooler_output
        if self.pooling == "cls":
            return answer.last_hidden_state[:, 0]
        weight = mask.unsqueeze(-1).to(answer.last_hidden_state.dtype)
        return (answer.last_hidden_state * weight).sum(dim=1) / weight.sum(dim=1)
