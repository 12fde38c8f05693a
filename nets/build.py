"""From options to a net, and from a saved net to the same one."""

from __future__ import annotations

import importlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import nn
from transformers import AutoConfig, PretrainedConfig

from nets.encoders import TEXT_NAMES, ImageEncoder, TextEncoder, image_encoder, small_text_config
from nets.fasttext import FastTextEncoder
from nets.options import FASTTEXT, NetOptions
from nets.post_net import Encoders, PostNet

PLAN_FILE = "net.json"
TEXT_FOLDER = "text"


def nets() -> dict[str, type[PostNet]]:
    """The nets that there are, by name: every PostNet with a `name` in a file of this folder.

    Raises ValueError where two share one.
    """
    found: dict[str, type[PostNet]] = {}
    for path in sorted(Path(__file__).parent.glob("*.py")):
        module = importlib.import_module(f"nets.{path.stem}")
        for value in vars(module).values():
            if not (isinstance(value, type) and issubclass(value, PostNet) and value.__module__ == module.__name__):
                continue
            if not value.name:
                continue
            if value.name in found:
                modules = f"{found[value.name].__module__}, {module.__name__}"
                raise ValueError(f"two nets are called {value.name!r}: {modules}")
            found[value.name] = value
    return found


def find(name: str) -> type[PostNet]:
    """The net called `name`. Raises ValueError for a name that none has."""
    known = nets()
    if name not in known:
        raise ValueError(f"--net {name}: there is none of that name; there are {', '.join(sorted(known))}")
    return known[name]


@dataclass(frozen=True)
class Plan:
    """All that is needed to make a net again without its weights; fits JSON. The configuration of a text encoder of
    transformers is a file of its own beside it."""

    net: str
    num_classes: int
    options: dict[str, Any]  # NetOptions
    image: dict[str, Any] | None  # ImageEncoder.plan
    text_pooling: str | None
    fasttext: dict[str, Any] | None = None  # FastTextEncoder.plan


def text_source(options: NetOptions) -> str:
    """Folder or hub name from which text encoder and tokenizer are loaded; "" for one from scratch."""
    if options.text_net == FASTTEXT:
        if options.text_weights not in ("", "none") or options.text_pooling not in ("auto", "mean"):
            raise ValueError(
                f"--text_net {FASTTEXT} is the mean of vectors learned from scratch: leave out --text_weights and "
                "--text_pooling"
            )
        return ""
    if options.text_weights not in ("", "none"):
        if not Path(options.text_weights).is_dir():
            raise ValueError(f"--text_weights {options.text_weights}: there is no such folder")
        return options.text_weights
    return "" if options.text_weights == "none" else hub_name(options)


def hub_name(options: NetOptions) -> str:
    """What the hub calls the text net, whose configuration and tokenizer are there too."""
    return TEXT_NAMES.get(options.text_net, options.text_net)


def build_net(
    options: NetOptions, num_classes: int, image_size: int, vocabulary: int, text_length: int
) -> tuple[PostNet, Plan]:
    """The net that resolved `options` ask for, and its plan.

    `vocabulary` and `text_length` shape a text encoder from scratch. Raises ValueError for names and files that are not
    to be had.
    """
    kind = find(options.net)
    image: ImageEncoder | None = None
    text: TextEncoder | FastTextEncoder | None = None
    if "image" in kind.reads:
        frozen = options.batch_norm == "frozen" or (options.batch_norm == "auto" and options.image_weights != "none")
        image = ImageEncoder(
            options.image_net, options.image_weights, image_size, frozen, grid=_attended(kind, options)["image"]
        )
    if "text" in kind.reads:
        tokens = _attended(kind, options)["text"]
        text = _text_encoder(kind, options, num_classes, vocabulary, text_length, tokens)
    net = kind.from_options(options, Encoders(text, image, kind.feature_dropout(options)), num_classes)
    plan = Plan(
        options.net, num_classes, asdict(options), image.plan if image else None, text.pooling if text else None,
        text.plan if isinstance(text, FastTextEncoder) else None,
    )  # fmt: skip
    return net, plan


def _attended(kind: type[PostNet], options: NetOptions) -> dict[str, int]:
    """Side of the grid and number of tokens that the encoders give beside their pooled features, 0: none."""
    most = {"image": options.image_grid, "text": options.text_tokens}
    return {name: count if name in kind.attends else 0 for name, count in most.items()}


def _text_encoder(
    kind: type[PostNet], options: NetOptions, num_classes: int, vocabulary: int, text_length: int, tokens: int
) -> TextEncoder | FastTextEncoder:
    """The text encoder that resolved `options` ask for, as this kind of net has it."""
    source = text_source(options)
    if options.text_net == FASTTEXT:
        return FastTextEncoder(vocabulary, tokens=tokens)
    if not source and options.text_net != "small":
        config = _hub_config(hub_name(options))
    else:
        config = small_text_config(vocabulary, text_length)
    return kind.text_encoder(source or config, options.text_pooling, num_classes, tokens)


def _hub_config(name: str) -> PretrainedConfig:
    """The configuration that the hub has under a name."""
    try:
        return AutoConfig.from_pretrained(name, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise ValueError(f"--text_net {name}: the hub has none of that name, or is out of reach") from error


def save_plan(plan: Plan, text: nn.Module | None, folder: Path) -> None:
    """Write what `rebuild` reads into `folder`; `text` is the text encoder, wherever it is just now."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / PLAN_FILE).write_text(json.dumps(asdict(plan), indent=1), encoding="utf-8")
    if text is not None and plan.fasttext is None:
        text.net.config.save_pretrained(folder / TEXT_FOLDER)  # type: ignore[union-attr, operator]


def rebuild(folder: Path) -> PostNet:
    """The net that `save_plan` described in `folder`, with random weights."""
    return net_of(read_plan(folder), folder / TEXT_FOLDER)


def read_plan(folder: Path) -> Plan:
    """The plan that `save_plan` wrote into `folder`."""
    return Plan(**json.loads((folder / PLAN_FILE).read_text(encoding="utf-8")))


def net_of(plan: Plan, text_folder: Path | None = None) -> PostNet:
    """The net of `plan`, with random weights; `text_folder` holds the configuration of transformers' text encoder,
    where there is one."""
    kind, options = find(plan.net), NetOptions(**plan.options)
    attended = _attended(kind, options)
    image = image_encoder(plan.image, attended["image"]) if plan.image else None
    text: TextEncoder | FastTextEncoder | None = None
    if plan.fasttext is not None:
        text = FastTextEncoder(**plan.fasttext)
    elif plan.text_pooling:
        assert text_folder is not None, "a text encoder of transformers needs its configuration"
        config: PretrainedConfig = AutoConfig.from_pretrained(text_folder, trust_remote_code=False)
        text = kind.text_encoder(config, plan.text_pooling, plan.num_classes, attended["text"])
    return kind.from_options(options, Encoders(text, image), plan.num_classes)
