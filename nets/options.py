"""Options of the net."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

FASTTEXT = "fasttext"
"""The `--text_net` of nets/fasttext.py."""


@dataclass(frozen=True)
class NetOptions:
    """The net"""

    net: str = "auto"
    """What is learned: image or text alone, scrd, t4sa, sequence_classifier, or one of --fusion; auto: what --fusion
    says, else what the algorithm is made for (scrd: scrd, distillation: image, else concat)."""
    image_net: str = "auto"
    """Image encoder: any timm name or a short one (resnet18, resnet50, vit_b16, vit_b32, vit_l16, vit_l32, small);
    auto: small from scratch on the synthetic world, else what --image_weights holds or resnet18."""
    image_weights: str = ""
    """File with the image encoder's weights (safetensors, or a state dict); empty: timm's own, but from scratch for the
    small net of the synthetic world; none: from scratch."""
    text_net: str = "auto"
    """Text encoder: any hub name or a short one (bert, roberta, bertweet, bernice, minilm, small), or fasttext, the
    mean of token vectors learned from scratch; auto: fasttext on the synthetic world, else what
    --text_weights holds or bert; vilt and lxmert: weights of that model, auto: those that were published."""
    text_weights: str = ""
    """Folder with the text encoder's weights and tokenizer; empty: from the hub, but from scratch for fasttext and the
    small net of the synthetic world; none: from scratch."""
    text_pooling: Literal["auto", "mean", "cls", "pooler"] = "auto"
    """What stands for a text: mean of its tokens, first token, or the encoder's pooler; auto: pooler (bert) or mean."""
    freeze: str = ""
    """Encoders whose weights stay as they are, pretrained ones: image, text, or image,text. Their features are computed
    once, cached."""
    feature_views: int = 2
    """Weak and strong views kept of each post for a frozen encoder, beside the clean one; 0: none."""
    feature_dim: int = 0
    """Width of the fused representation; 0: 512, or 128 for the small nets."""
    fusion: str = "auto"
    """How image and text are fused: concat, attention (text asks the image), cross_attention (each asks the other),
    aspect_attention (weights of the two), gmu (gated unit), late (mean of two answers), joint (pooling), common_space
    (joint, in a space that both share); early, in one transformer: vilt (words and patches of pixels), mmbt (words and
    parts of the image as --image_net sees it), lxmert (words and regions, see --region_features); auto: what --net
    says."""
    joint_pooling: Literal["max", "mean", "sum", "product"] = "max"
    """Pooling of --fusion joint and common_space."""
    image_tokens: int = 3
    """--fusion mmbt: the image is seen as this many parts, 1 to 9."""
    image_grid: int = 4
    """Fusion that attends to the image (attention, cross_attention): it is seen as this many by this many parts."""
    text_tokens: int = 32
    """Fusion that attends to the text (cross_attention): its first tokens, this many at most."""
    decoupling: bool = True
    """SCRD's net: divide each modality into a private and a common part."""
    selection: Literal["soft", "gumbel", "none"] = "soft"
    """SCRD's net: parts weigh by their probability to decide, one is drawn to decide, or all count the same. With
    --decision fused the drawn one counts alone, else three times as much as the other."""
    decision: Literal["sum", "fused"] = "sum"
    """SCRD's net: the answer is the sum of what text and image say by themselves, as the selection weighs them, or what
    a classifier reads in the parts fused by attention."""
    dropout: float = 0.4
    """Dropout before each classifier."""
    feature_dropout: float = -1.0
    """Dropout of the features that encoders give; -1: 0.5 for frozen encoders, whose features heads else learn by
    heart, 0 for others."""
    batch_norm: Literal["auto", "batch", "frozen"] = "auto"
    """Statistics of BatchNorm in training: of the batch, or frozen as loaded; auto: frozen for loaded weights."""

    @property
    def frozen(self) -> tuple[str, ...]:
        """The encoders that `--freeze` names."""
        return tuple(name for name in self.freeze.split(",") if name)

    def __post_init__(self) -> None:
        for name, low in {"feature_views": 0, "feature_dim": 0, "image_grid": 1, "text_tokens": 1}.items():
            if getattr(self, name) < low:
                raise ValueError(f"--{name} {getattr(self, name)} must be {low} or more")
        if not 1 <= self.image_tokens <= 9:
            raise ValueError(f"--image_tokens {self.image_tokens} must be from 1 to 9")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"--dropout {self.dropout} is a probability below 1, so it must be from 0 up to 1")
        if self.feature_dropout != -1 and not 0 <= self.feature_dropout < 1:
            raise ValueError(f"--feature_dropout {self.feature_dropout} must be from 0 up to 1, or -1 for the default")
        if self.freeze not in ("", "image", "text", "image,text", "text,image"):
            raise ValueError(f"--freeze {self.freeze!r} must be image, text or image,text")
