"""S2-VER (Jia et al., ECCV 2022): labels that are distributions, and a threshold for each post by its ambiguity."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import kl_div, one_hot

from algorithms.base import Algorithm, Losses, Step, Task
from algorithms.embeddings import ProjectionHead, full_precision, pseudo_label_graph, similarity
from algorithms.gather import gather
from algorithms.options import EmbeddingOptions
from algorithms.pseudo_labels import PseudoLabels, accept, consistency_loss
from datasets.batch import Views

MOMENTUM = 0.9
"""Of prototypes and relations."""
DISTANCE_TEMPERATURE = 0.5
"""Of the relation between the prototypes of two classes."""


class S2Ver(Algorithm):
    """L = CE(p(weak x), y) + λ_u mean m CE(p(strong u), ŷ) + λ_c KL(Q ‖ softmax(z · z_1 / T)) + λ_d mean m KL(d ‖ p_1).

    p is the prediction for the weak view, ŷ its class; z and z_1 are the embeddings of two strong views, p_1 is the
    prediction for the second. d = (1 − r) p + r softmax(z_weak · P / T) M is the smoothed label distribution, with the
    prototypes P, moving averages of the embeddings of the rightly classified labelled posts of a class, and the
    relations M, a moving average of softmax(−‖P_i − P_j‖ / 0.5). m = 1[max p ≥ min(τ, t + (1 − t) a)], where
    a = min(1, 1 / ((1 + H(d)) d_ŷ)). Q is the graph of the distributions d. As released (MIT licence,
    github.com/exped1230/S2-VER), where d_ŷ is the sum over the emotions of one polarity: of negative, neutral and
    positive each is a polarity of its own.
    """

    name = "s2_ver"
    unlabelled_views = ("weak", "strong", "strong_1")

    @dataclass(frozen=True)
    class Options(EmbeddingOptions):
        """S2-VER"""

        smoothing_ratio: float = 0.2
        """Share of a label distribution that comes from the prototypes; the rest is the post's own prediction."""
        contrast_loss_ratio: float = 3.0
        """Weight of the loss on embeddings."""
        distribution_loss_ratio: float = 3.0
        """Weight of the loss on label distributions."""
        similarity_floor: float = 0.3
        """Probability of being of one class from which two posts should have similar embeddings."""
        least_threshold: float = 0.7
        """What the confidence must reach where it is least, under --threshold, which is the most it need be."""

        def __post_init__(self) -> None:
            super().__post_init__()
            self.check_from_zero("distribution_loss_ratio")
            self.check_share("similarity_floor", "least_threshold")

    replicated = ("prototypes", "relations")

    prototypes: Tensor  # (C, E)
    relations: Tensor  # (C, C), rows of sum 1

    def __init__(self, options: Options, net: nn.Module, teacher: nn.Module, task: Task) -> None:
        super().__init__(options, net, teacher, task)
        self.head = ProjectionHead(net, options.embedding_dim)
        self.register_buffer("prototypes", torch.zeros(task.num_classes, options.embedding_dim))
        self.register_buffer("relations", torch.full((task.num_classes, task.num_classes), 1 / task.num_classes))

    def step(self, labelled: Views, unlabelled: Views, step: Step) -> Losses:
        """See Algorithm."""
        options, known = self.options, labelled["weak"]
        weak, strong, strong_1 = (unlabelled[view] for view in self.unlabelled_views)
        answer, target, learner, other = self.predict_with_targets(known, weak, strong, strong_1)
        self.update(self.head(answer).detach(), answer.logits.detach().argmax(dim=1), known.label)
        probabilities = self.targets(target.logits)
        distribution = self.distribution(probabilities, self.head(target).detach())
        pseudo = self.accept(probabilities, distribution)
        alike = similarity(self.head(learner), self.head(other), options.embedding_temperature).log_softmax(dim=1)
        graph = pseudo_label_graph(distribution, options.similarity_floor)
        divergence = kl_div(other.logits.log_softmax(dim=1), distribution, reduction="none").sum(dim=1)
        return self.combine(
            pseudo,
            sup_loss=(1, self.labelled_loss(answer.logits, known.label)),
            unsup_loss=(options.ulb_loss_ratio, consistency_loss(learner.logits, pseudo.label, pseudo.mask)),
            contrast_loss=(options.contrast_loss_ratio, kl_div(alike, graph, reduction="batchmean")),
            distribution_loss=(options.distribution_loss_ratio, (divergence * pseudo.mask).mean()),
        )

    @torch.no_grad()
    def update(self, embedding: Tensor, predicted: Tensor, label: Tensor) -> None:
        """Take in the (B, E) embeddings of labelled posts, those of all processes. A class of which no post is
        classified rightly stays."""
        embedding, predicted, label = map(gather, (embedding, predicted, label))
        finite = embedding.isfinite().all(dim=1)
        embedding = torch.where(finite.unsqueeze(1), embedding, 0.0)
        right = one_hot(label, self.num_classes) * ((predicted == label) & finite).unsqueeze(1)
        times = right.sum(dim=0).unsqueeze(1)
        with full_precision(embedding):
            mean = right.T.to(embedding.dtype) @ embedding / times.clamp(min=1)
        self.prototypes.copy_(torch.where(times > 0, torch.lerp(mean, self.prototypes, MOMENTUM), self.prototypes))
        distance = (self.prototypes.unsqueeze(1) - self.prototypes.unsqueeze(0)).norm(dim=2)
        self.relations.lerp_((-distance / DISTANCE_TEMPERATURE).softmax(dim=1), 1 - MOMENTUM)

    def distribution(self, probabilities: Tensor, embedding: Tensor) -> Tensor:
        """(B, C) label distributions d from (B, C) predictions and (B, E) embeddings of the weak views."""
        with full_precision(embedding):
            near = similarity(embedding, self.prototypes, self.options.embedding_temperature).softmax(dim=1)
            return torch.lerp(probabilities, near @ self.relations, self.options.smoothing_ratio)

    def accept(self, probabilities: Tensor, distribution: Tensor) -> PseudoLabels:
        """Pseudo-labels of (B, C) predictions, with a threshold for each post by how ambiguous its distribution is."""
        if self.options.threshold > 1:
            return accept(probabilities, self.options.threshold)
        entropy = -(distribution * (distribution + 1e-7).log()).sum(dim=1, keepdim=True)
        agreed = distribution.gather(1, probabilities.argmax(dim=1, keepdim=True))
        least = self.options.least_threshold
        ambiguity = (1 / ((1 + entropy) * agreed)).clamp(max=1)
        return accept(probabilities, (least + (1 - least) * ambiguity).clamp(max=self.options.threshold))
