"""What options left open become: small and quick on the synthetic world, the field's usual values on real posts."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from datasets.options import DataOptions
from datasets.text import rule_of
from nets.options import FASTTEXT, NetOptions
from training.command_line import Options

if TYPE_CHECKING:
    from nets.post_net import PostNet

SCRATCH_DIM, PRETRAINED_DIM = 128, 512
WORLD_STRENGTH = 0.3
"""Strength of strong views on the synthetic world, whose palettes tell the sentiment: at full strength they would
be recoloured."""
NETS = {"scrd": "scrd", "scrd_released": "scrd_released", "distillation": "image"}
"""The net that an algorithm is made for, where it is not the plain one."""
PLAIN_NET = "concat"
ATTENDING = {"image": "image_grid", "text": "text_tokens"}
"""Options of nets that attend to a modality's parts."""
OWN_NETS = ("auto", "small")
"""Names of `--image_net` and `--text_net` that mean, on the synthetic world, a small net from scratch."""


def synthetic(options: Options) -> bool:
    """Whether the posts are those of the synthetic world."""
    return not (options.data.data_dir or options.data.train_data_dir)


def resolve(options: Options) -> Options:
    """The same options with every `auto`, 0 or empty value that stands for a default replaced by it."""
    from nets.build import find

    small = synthetic(options)
    net = _fill(options.net, net=_fused_net(options) or NETS.get(options.run.algorithm, PLAIN_NET))
    kind = find(net.net)
    _check_net(kind, net, options.data)
    net = _fill_for(
        kind,
        net,
        # only where it is asked for: it reads the file of the weights, which may be gone when a run ends
        image_net=_image_net(options.net, small) if options.net.image_net == "auto" else options.net.image_net,
        text_net=kind.small_text if small and options.net.text_weights in ("", "none") else kind.pretrained_text,
        # a net that is called by its name is the pretrained one, on the world too
        image_weights="none" if small and options.net.image_net in OWN_NETS else "",
        text_weights="none" if options.net.text_net == FASTTEXT or (small and options.net.text_net in OWN_NETS) else "",
    )
    _check_frozen(kind, options.net, net)
    scratch = all(weights_of(kind, net, name) == "none" for name in kind.reads)
    bert = net.text_net == "bert" and not net.text_weights
    net = _fill_for(
        kind, net, feature_dim=SCRATCH_DIM if scratch else PRETRAINED_DIM, text_pooling="pooler" if bert else "mean"
    )
    live = not set(kind.reads) <= set(net.frozen)
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
    algorithm = options.algorithm
    if options.run.algorithm == "scrd":
        apart = scratch and net.decision == "sum"
        algorithm = _fill(algorithm, final_label_ratio=0.0 if apart else 1.0, label_smoothing=0.2 if scratch else 0.0)
    return replace(options, net=net, training=training, data=data, algorithm=algorithm)


def _check_net(kind: type[PostNet], net: NetOptions, data: DataOptions) -> None:
    """Raise ValueError for options that this net has no use for, or that it needs."""
    from nets.build import nets

    of_others = sorted({name for other in nets().values() for name in other.own} - set(kind.own))
    of_others += [flag for name, flag in ATTENDING.items() if name not in kind.attends]
    unused = [name for name in (*kind.ignores, *of_others) if getattr(net, name) != getattr(NetOptions(), name)]
    if unused:
        raise ValueError(f"--{unused[0]} {getattr(net, unused[0])} is of no use to --net {kind.name}: leave it out")
    frozen = [name for name in net.frozen if name not in kind.freezable]
    if frozen:
        raise ValueError(
            f"--freeze {net.freeze}: --net {kind.name} has no encoder of the {frozen[0]} by itself, as one transformer "
            "reads both"
        )
    _check_missing(kind, data)
    check_regions(kind, data)


def _check_missing(kind: type[PostNet], data: DataOptions) -> None:
    """Raise ValueError where training posts are to lose what a net of one modality reads."""
    if len(kind.reads) > 1:
        return
    (own,) = kind.reads
    rate = getattr(data, f"missing_{own}_rate")
    for flag, value in (("modality_dropout", data.modality_dropout), (f"missing_{own}_rate", rate)):
        if value:
            raise ValueError(
                f"--{flag} {value}: --net {kind.name} reads the {own} alone, and a post that lost it would be empty: "
                "leave it out, or choose a net that reads text and image, as --net concat"
            )


def weights_of(kind: type[PostNet] | PostNet, net: NetOptions, name: str) -> str:
    """The option for the weights that encode modality `name`: images may be encoded by the text net's."""
    return net.text_weights if f"{name}_weights" in kind.ignores else getattr(net, f"{name}_weights")


def _check_frozen(kind: type[PostNet], asked: NetOptions, net: NetOptions) -> None:
    """Raise ValueError for a frozen encoder that would be a random one although nobody asked for that."""
    for name in net.frozen:
        flag, place = f"--{name}_weights", {"image": "FILE", "text": "FOLDER"}[name]
        if name in kind.reads and weights_of(kind, net, name) == "none" != weights_of(kind, asked, name):
            raise ValueError(
                f"--freeze {net.freeze}: the {name} encoder ({getattr(net, f'{name}_net')}) has no pretrained weights "
                f"here, and frozen it would stay random: give {flag} {place}, or {flag} none if that is what you want"
            )


def check_regions(kind: type[PostNet] | PostNet, data: DataOptions) -> None:
    """Raise ValueError where a net lacks the regions of images that it reads, or another is given some."""
    if kind.regions and not data.region_features:
        raise ValueError(
            f"--net {kind.name} reads regions of images that a detector has found: give --region_features FOLDER, with "
            "files features/feat_ID and boxes/nbox_ID for the id of each post"
        )
    if data.region_features and not kind.regions:
        raise ValueError(f"--region_features {data.region_features} is of no use to --net {kind.name}: leave it out")


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
    if NETS.get(algorithm) == algorithm != fusion:  # its own net, and not only the one that it usually has
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

    name = hub_name(options)
    return rule_of(name if options.text_weights in ("", "none") else options.text_weights, name)


def _fill_for(kind: type[PostNet], net: NetOptions, **defaults: Any) -> NetOptions:
    """`_fill`, for those options that this net reads."""
    return _fill(net, **{name: value for name, value in defaults.items() if name not in kind.ignores})


def _fill(group: Any, **defaults: Any) -> Any:
    """`group` with these values for the fields that were left open, as they are where nobody gives them."""
    left_open = {field.name: field.default for field in fields(group)}
    chosen = {name: value for name, value in defaults.items() if getattr(group, name) == left_open[name]}
    return replace(group, **chosen)
