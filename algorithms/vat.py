"""VAT (Miyato et al., Virtual Adversarial Training, TPAMI 2018, arXiv 1704.03976): the worst small change changes
nothing."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import kl_div, normalize

from algorithms.base import Algorithm, Losses, Step, at_rest
from algorithms.mixing import Encoded, answer, encode
from algorithms.options import WarmUpOptions
from algorithms.pseudo_labels import accept_all
from datasets.batch import Views
from nets.post_net import PostNet

PROBE = 1e-2
"""Length ξ of the step by which the direction is sought, as a share of the features' length: small against them, and
large against the rounding of float32, in which a share of 1e-6 would drown."""


class Vat(Algorithm):
    """L = CE(p(x), y) + λ_u(t) · mean KL(p(u) ‖ p(u + r)) + λ_e · mean H(p(u)), r = argmax KL (Miyato et al., eq. 5-8).

    r is found by power iteration (eq. 12, alg. 1), one round by default, and gives no gradient to any weight. It moves
    the encoders' features, the one thing that is continuous in texts, images and cached features alike. A modality's r
    is ε of its features' length, post by post, so that one ε serves encoders of any scale, and what a post lacks stays
    zero. While r is sought the heads are in evaluation mode: dropout would be most of the difference that is followed,
    and BatchNorm must not take in what is only tried.

    λ_u = 1 and one round are the paper's; λ_e = 0.06 and the warm-up over the first 40 % of the run are USB's.
    """

    name = "vat"
    unlabelled_views = ("weak",)

    @dataclass(frozen=True)
    class Options(WarmUpOptions):
        """VAT"""

        vat_eps: float = 0.1
        """Length of the adversarial change, as a share of the length of the features."""
        vat_iterations: int = 1
        """Rounds of power iteration that seek its direction."""
        entropy_loss_ratio: float = 0.06
        """Weight of the entropy of the answers for unlabelled posts; 0: not minimised."""

        def __post_init__(self) -> None:
            super().__post_init__()
            self.check_above_zero("vat_eps")
            if self.vat_iterations < 1:
                raise ValueError(f"--vat_iterations {self.vat_iterations} must be 1 or more")
            self.check_from_zero("entropy_loss_ratio")

    net: PostNet

    def step(self, labelled: Views, unlabelled: Views, step: Step) -> Losses:
        """See Algorithm."""
        known = labelled["weak"]
        posts = encode(self.net, [known, unlabelled["weak"]])
        logits, first = answer(self.net, posts).logits, len(known)
        guess = logits[first:]
        pseudo = accept_all(self.targets(guess))
        moved = self.moved(posts[first:], self.options.vat_eps, self.direction(posts[first:]))
        entropy = -(guess.softmax(dim=1) * guess.log_softmax(dim=1)).sum(dim=1).mean()
        return self.combine(
            pseudo,
            sup_loss=(1, self.labelled_loss(logits[:first], known.label)),
            unsup_loss=(
                self.unlabelled_weight(step),
                divergence(pseudo.probabilities, answer(self.net, moved).logits),
            ),
            entropy_loss=(self.options.entropy_loss_ratio, entropy),
        )

    def direction(self, posts: Encoded) -> dict[str, Tensor]:
        """(B, width) by modality, of length 1, without gradient: where a small change changes the answer most."""
        posts = Encoded({name: value.detach().float() for name, value in posts.features.items()}, posts.present)
        found = {name: _unit(torch.randn_like(value)) for name, value in posts.features.items()}
        device = next(iter(found.values())).device
        heads = [child for name, child in self.net.named_children() if name != "encoders"]
        with at_rest(*heads), torch.autocast(device.type, enabled=False):
            target = answer(self.net, posts).logits.detach().softmax(dim=1)
            for _ in range(self.options.vat_iterations):
                trial = {name: value.requires_grad_() for name, value in found.items()}
                change = divergence(target, answer(self.net, self.moved(posts, PROBE, trial)).logits)
                gradients = torch.autograd.grad(change, list(trial.values()))
                found = {name: _unit(gradient) for name, gradient in zip(trial, gradients, strict=True)}
        return found

    @staticmethod
    def moved(posts: Encoded, share: float, direction: dict[str, Tensor]) -> Encoded:
        """The posts with their features moved into `direction`, of length 1, by this share of their own length."""
        features = {}
        for name, value in posts.features.items():
            length = share * value.detach().float().norm(dim=1, keepdim=True)
            features[name] = value + length * direction[name]
        return Encoded(features, posts.present)


def _unit(value: Tensor) -> Tensor:
    return normalize(value, dim=1, eps=1e-20)


def divergence(target: Tensor, logits: Tensor) -> Tensor:
    """Mean KL(target ‖ softmax logits) over the posts; both (B, C)."""
    return kl_div(logits.log_softmax(dim=1), target, reduction="batchmean")
