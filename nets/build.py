"""From options to a net, and from a saved net to the same one."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import nn
from transformers import AutoConfig, PretrainedConfig

from nets.encoders import TEXT_NAMES, longest_text
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
    image: dict[str, Any] | None  # the `plan` of the image encoder, where it reads pixels
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
    options: NetOptions,
    num_classes: int,
    image_size: int,
    vocabulary: int,
    text_length: int,
    frame: tuple[int, int] = (2, 3),
) -> tuple[PostNet, Plan]:
    """The net that resolved `options` ask for, and its plan.

    `vocabulary` and `text_length` shape a text encoder from scratch; `frame` are the ids of the tokens that every text
    begins and ends with, by default those of datasets/tokens.py. Raises ValueError for names and files that are not to
    be had.
    """
    kind = find(options.net)

    def make_text() -> Any:
        return _text_encoder(kind, options, num_classes, vocabulary, text_length) if "text" in kind.reads else None

    text, image = _encoders(kind, options, image_size, None, make_text)
    net = kind.from_options(options, Encoders(text, image, kind.feature_dropout(options)), num_classes)
    net.begin_with(*frame)
    plan = Plan(
        options.net, num_classes, asdict(options), image.plan if image else None, text.pooling if text else None,
        text.plan if isinstance(text, FastTextEncoder) else None,
    )  # fmt: skip
    return net, plan


def _encoders(
    kind: type[PostNet],
    options: NetOptions,
    image_size: int,
    image_plan: dict[str, Any] | None,
    make_text: Callable[[], Any],
) -> tuple[Any, Any]:
    """Encoders of text and image, None for what the net does not read. Weights from scratch are drawn for the image
    first, unless its encoder comes out of the text's."""
    text = make_text() if kind.image_from_text else None
    image = kind.image_encoder(options, image_size, image_plan, text) if "image" in kind.reads else None
    return text or make_text(), image


def _tokens(kind: type[PostNet], options: NetOptions) -> int:
    """Number of tokens that the text encoder gives beside its pooled features, 0: none."""
    return options.text_tokens if "text" in kind.attends else 0


def _text_encoder(kind: type[PostNet], options: NetOptions, num_classes: int, vocabulary: int, text_length: int) -> Any:
    """The text encoder that resolved `options` ask for, as this kind of net has it."""
    source, tokens = text_source(options), _tokens(kind, options)
    if options.text_net == FASTTEXT:
        return FastTextEncoder(vocabulary, tokens=tokens)
    made_of = source or _new_config(kind, options, vocabulary, text_length)
    return kind.text_encoder(made_of, options.text_pooling, num_classes, tokens)


def _new_config(kind: type[PostNet], options: NetOptions, vocabulary: int, text_length: int) -> PretrainedConfig:
    """The configuration of a transformer from scratch."""
    if options.text_net != "small":
        return _hub_config(hub_name(options))
    return kind.small_config(vocabulary, text_length)


def read_length(options: NetOptions, text_length: int) -> int:
    """Tokens of texts of `text_length` that the net of resolved `options` reads, without making the net.

    Raises ValueError where the net cuts texts and its configuration is not to be had.
    """
    kind = find(options.net)
    if not kind.cuts_texts:
        return text_length
    source = text_source(options)
    config = _hub_config(source) if source else _new_config(kind, options, 1, text_length)  # whatever the vocabulary
    return min(text_length, longest_text(config))


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
        text.config.save_pretrained(folder / TEXT_FOLDER)  # type: ignore[union-attr, operator]


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

    def make_text() -> Any:
        if plan.fasttext is not None:
            return FastTextEncoder(**plan.fasttext)
        if plan.text_pooling is None:
            return None
        assert text_folder is not None, "a text encoder of transformers needs its configuration"
        config: PretrainedConfig = AutoConfig.from_pretrained(text_folder, trust_remote_code=False)
        return kind.text_encoder(config, plan.text_pooling, plan.num_classes, _tokens(kind, options))

    text, image = _encoders(kind, options, 0, plan.image, make_text)
    return kind.from_options(options, Encoders(text, image), plan.num_classes)
