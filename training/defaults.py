"""What options left open become: small and quick on the synthetic world, the field's usual values on real posts."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from datasets.text import rule_of
from nets.options import FASTTEXT, NetOptions
from training.command_line import Options

SCRATCH_DIM, PRETRAINED_DIM = 128, 512
WORLD_STRENGTH = 0.3
"""Strength of strong views on the synthetic world, whose palettes tell the sentiment: at full strength they would
be recoloured."""
NETS = {"scrd": "scrd", "scrd_released": "scrd_released", "distillation": "image"}
"""The net that an algorithm is made for, where it is not the plain one."""
PLAIN_NET = "concat"


def synthetic(options: Options) -> bool:
    """Whether the posts are those of the synthetic world."""
    return not (options.data.data_dir or options.data.train_data_dir)


def resolve(options: Options) -> Options:
    """The same options with every `auto`, 0 or empty value that stands for a default replaced by it."""
    small = synthetic(options)
    from_scratch = "small" if options.net.net == "sequence_classifier" else FASTTEXT
    net = _fill(
        options.net,
        net=_fused_net(options) or NETS.get(options.run.algorithm, PLAIN_NET),
        image_net=_image_net(options.net, small),
        text_net=from_scratch if small and not options.net.text_weights else "bert",
        image_weights="none" if small else "",
        text_weights="none" if small or options.net.text_net == FASTTEXT else "",
    )
    scratch = {net.image_weights, net.text_weights} == {"none"}
    bert = net.text_net == "bert" and not net.text_weights
    net = _fill(net, feature_dim=SCRATCH_DIM if scratch else PRETRAINED_DIM, text_pooling="pooler" if bert else "mean")
    live = set(net.frozen) != {"image", "text"}
    training = _fill(
        options.training,
        epoch=8 if small else 20,
        num_train_iter=64 if small else 512,
        lr=1e-3 if not live else 5e-4 if scratch else 1e-4,
    )
    data = _fill(
        options.data,
        image_size=options.world.world_size if small else 0,
        strong_image=WORLD_STRENGTH if small else 1.0,
        text_rule=_text_rule(net),
    )
    return replace(options, net=net, training=training, data=data)


def _fused_net(options: Options) -> str:
    """The net that `--fusion` asks for, "" without. Raises ValueError where it is none, or another flag says else."""
    fusion, net, algorithm = options.net.fusion, options.net.net, options.run.algorithm
    if fusion == "auto":
        return ""
    from nets.build import nets
    from nets.post_net import MODALITIES

    there = sorted(name for name, kind in nets().items() if set(kind.reads) == set(MODALITIES))
    if fusion not in there:
        raise ValueError(f"--fusion {fusion}: there is none of that name; there are {', '.join(there)}")
    if net not in ("auto", fusion):
        raise ValueError(f"--fusion {fusion} is a net, and --net asks for {net}: give one of the two")
    own = NETS.get(algorithm, fusion)
    if own != fusion:
        raise ValueError(
            f"--algorithm {algorithm} has a fusion of its own: leave out --fusion {fusion}, or choose another "
            "algorithm, as fixmatch"
        )
    return fusion


def _image_net(options: NetOptions, small: bool) -> str:
    """The image net that the weights' file names, else the usual one."""
    if options.image_weights in ("", "none"):
        return "small" if small else "resnet18"
    from nets.encoders import image_weights_net

    return image_weights_net(options.image_weights) or "resnet18"


def _text_rule(options: NetOptions) -> str:
    """How the text net's own texts were rewritten."""
    from nets.build import hub_name

    return rule_of(hub_name(options) if options.text_weights in ("", "none") else options.text_weights)


def _fill(group: Any, **defaults: Any) -> Any:
    """`group` with these values for the fields that were left open, as they are where nobody gives them."""
    left_open = {field.name: field.default for field in fields(group)}
    chosen = {name: value for name, value in defaults.items() if getattr(group, name) == left_open[name]}
    return replace(group, **chosen)
