"""ReMixMatch (Berthelot et al., ICLR 2020, arXiv 1911.09785): MixMatch with alignment, anchoring and rotations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot

from algorithms.base import Algorithm, Losses, Step, Task, running_statistics_kept
from algorithms.losses.decoupling import masked_mean
from algorithms.mixing import answer, encode, mixup
from algorithms.options import MixingOptions
from algorithms.pseudo_labels import accept_all, sharpen
from datasets.batch import Batch, Views
from nets.post_net import PostNet

TURNS = 4


class ReMixMatch(Algorithm):
    """L = CE(p(x'), y') + λ_u(t) CE(p(u'), q') + λ_1(t) CE(p(strong u), q) + λ_r CE(r(turned strong u), turn)
    (Berthelot et al., alg. 1, eq. 3).

    q is the answer for the weak view, aligned to the labelled posts' classes (sec. 3.1; by a moving average of momentum
    0.99, released: the mean of 128 steps), then sharpened. x', y' and u',
    q' are strong views of the labelled posts and two strong and the weak view of the unlabelled ones (augmentation
    anchoring with K = 2, as TorchSSL and USB), each mixed with one drawn from all of them. λ_u = 1.5, λ_1 = λ_r = 0.5,
    T = 0.5, α = 0.75, and λ_u and λ_1 warm up over the first 64th of the run, as in the released code.

    Features are mixed where the paper mixes pixels, as words cannot be. r is a linear layer on the image encoder's
    features that tells by which quarter turn the image was turned; where the net reads no images, the features of a
    frozen encoder, or images and texts in one transformer, there is no such term. Turned images have a pass of their
    own, which leaves BatchNorm's running statistics untouched, as released; guesses are made with
    those (released: with the batch's).
    """

    name = "remixmatch"
    labelled_views = ("strong",)
    unlabelled_views = ("weak", "strong", "strong_1")

    @dataclass(frozen=True)
    class Options(MixingOptions):
        """ReMixMatch"""

        ulb_loss_ratio: float = 1.5
        """Weight of the loss on mixed unlabelled posts."""
        align: Literal["none", "uniform", "labelled"] = "labelled"
        """Distribution alignment: rescale what unlabelled posts are taken for, so that over time the classes are
        equally frequent, or as frequent as among the labelled posts."""
        strong_loss_ratio: float = 0.5
        """Weight of the loss on strong views that are not mixed."""
        rotation_loss_ratio: float = 0.5
        """Weight of the loss that tells by how much an image was turned."""

        def __post_init__(self) -> None:
            super().__post_init__()
            self.check_from_zero("strong_loss_ratio", "rotation_loss_ratio")

    net: PostNet

    def __init__(self, options: Any, net: nn.Module, teacher: nn.Module, task: Task) -> None:
        super().__init__(options, net, teacher, task)
        self.turn: nn.Linear | None = None
        if "image" in self.net.encoders.live and not net.image_from_text and options.rotation_loss_ratio > 0:
            self.turn = nn.Linear(self.net.encoders.widths["image"], TURNS)

    def step(self, labelled: Views, unlabelled: Views, step: Step) -> Losses:
        """See Algorithm."""
        known, looks = labelled["strong"], [unlabelled[view] for view in ("strong", "strong_1", "weak")]
        posts = encode(self.net, [known, *looks])
        first, size = len(known), len(looks[0])
        pseudo = accept_all(sharpen(self.targets(self.guess(unlabelled["weak"]).logits), self.options.temperature))
        label = torch.cat([one_hot(known.label, self.num_classes), *[pseudo.probabilities] * len(looks)])
        mixed, label = mixup(posts, label, self.options.mixup_alpha)
        logits = answer(self.net, mixed).logits
        unmixed = answer(self.net, posts[first : first + size]).logits
        terms: dict[str, tuple[float, Tensor]] = {
            "sup_loss": (1, self.labelled_loss(logits[:first], label[:first])),
            "unsup_loss": (self.unlabelled_weight(step), cross_entropy(logits[first:], label[first:])),
            "strong_loss": (
                self.options.strong_loss_ratio * step.ramp(self.options.unsup_warm_up),
                cross_entropy(unmixed, pseudo.probabilities),
            ),
        }
        if self.turn is not None:
            terms["rotation_loss"] = (self.options.rotation_loss_ratio, self.rotation_loss(self.turn, looks[0]))
        return self.combine(pseudo, **terms)

    def rotation_loss(self, turn: nn.Linear, batch: Batch) -> Tensor:
        """Mean cross-entropy of the quarter turns drawn for the images of a batch, over the posts that have one."""
        assert batch.image is not None
        turns = torch.randint(TURNS, (len(batch),), device=batch.image.device)
        with running_statistics_kept(self.net):
            features = self.net.encoders.live["image"](turned(batch.image, turns))
        return masked_mean(cross_entropy(turn(features).float(), turns, reduction="none"), batch.has_image)


def turned(image: Tensor, turns: Tensor) -> Tensor:
    """(B, 3, S, S) images, each turned counter-clockwise by its (B,) number of quarter turns."""
    turns = turns.view(-1, 1, 1, 1)
    once = torch.where(turns % 2 == 1, image.transpose(2, 3).flip(2), image)
    return torch.where(turns >= 2, once.flip(2, 3), once)
