"""SimMatch (Zheng et al., CVPR 2022, arXiv 2203.06915): alike in class, and alike in which labelled posts are near."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from algorithms.base import Algorithm, Losses, Step, Task
from algorithms.embeddings import ProjectionHead, similarity
from algorithms.gather import gather
from algorithms.options import EmbeddingOptions
from algorithms.pseudo_labels import accept, consistency_loss
from datasets.batch import Views, concatenate


class SimMatch(Algorithm):
    """L = CE(p(weak x), y) + λ_u · mean 1[max q ≥ τ] CE(p(strong u), q) + λ_in · CE(softmax(z · Z / T), v), sec. 3.

    Of the teacher's aligned prediction p for the weak view and its similarity w = softmax(z · Z / T) to the bank Z of
    the n labelled posts' embeddings: v_i ∝ w_i p[y_i] (unfolding) and q_c = (1 − r) p_c + r Σ_{y_i = c} w_i
    (aggregation). A post's embedding in the bank moves with a momentum, as published for the smaller data sets, and
    comes from the teacher, as published for ImageNet; the projection head is the live one, which has the student's
    embeddings in the same space. Until every labelled post has been read (published: for one epoch) q = p and λ_in = 0.
    Predictions are aligned by the house's moving average (released: the mean of the last 256 steps).
    """

    name = "simmatch"
    replicated = ("bank",)

    @dataclass(frozen=True)
    class Options(EmbeddingOptions):
        """SimMatch"""

        align: Literal["none", "uniform", "labelled"] = "uniform"
        """Distribution alignment: rescale what unlabelled posts are taken for, so that over time the classes are
        equally frequent, or as frequent as among the labelled posts."""
        embedding_dim: int = 128
        """Width of an embedding."""
        embedding_temperature: float = 0.1
        """Temperature of the similarity between embeddings; low: only the nearest posts count."""
        bank_momentum: float = 0.7
        """Momentum of the labelled posts' embeddings in the bank."""

        def __post_init__(self) -> None:
            super().__post_init__()
            self.check_share("bank_momentum")

    bank: Tensor  # (n, E), a row of zeros until its post has been read
    rows: Tensor  # (n,) int64, ascending: rows of the labelled posts in the store
    labels: Tensor  # (n,) int64

    def __init__(self, options: Options, net: nn.Module, teacher: nn.Module, task: Task) -> None:
        super().__init__(options, net, teacher, task)
        self.head = ProjectionHead(net, options.embedding_dim)
        self.register_buffer("bank", torch.zeros(len(task.labelled), options.embedding_dim))
        self.register_buffer("rows", task.labelled, persistent=False)
        self.register_buffer("labels", task.labels, persistent=False)

    def step(self, labelled: Views, unlabelled: Views, step: Step) -> Losses:
        """See Algorithm."""
        options, known = self.options, labelled["weak"]
        answer, learner = self.predict(known, unlabelled["strong"])
        teacher = self.teach(concatenate([known, unlabelled["weak"]]))
        known_embedding, embedding = self.head(teacher).detach().split([len(known), len(unlabelled["weak"])])
        probabilities = self.targets(teacher.logits[len(known) :])
        near = similarity(embedding, self.bank, options.embedding_temperature).softmax(dim=1)
        unfolded = near * probabilities[:, self.labels]
        unfolded = unfolded / unfolded.sum(dim=1, keepdim=True).clamp(min=1e-12)
        aggregated = torch.zeros_like(probabilities).index_add_(1, self.labels, near)
        ready = self.bank.any(dim=1).all()
        smoothed = torch.lerp(probabilities, aggregated, options.smoothing_ratio)
        pseudo = accept(torch.where(ready, smoothed, probabilities), options.threshold)
        alike = similarity(self.head(learner), self.bank.clone(), options.embedding_temperature)
        self.remember(known.index, known_embedding)
        return self.combine(
            pseudo,
            sup_loss=(1, self.labelled_loss(answer.logits, known.label)),
            unsup_loss=(options.ulb_loss_ratio, consistency_loss(learner.logits, pseudo.probabilities, pseudo.mask)),
            contrast_loss=(options.contrast_loss_ratio, cross_entropy(alike, unfolded) * ready),
        )

    @torch.no_grad()
    def remember(self, index: Tensor, embedding: Tensor) -> None:
        """Move the bank towards the (B, E) embeddings of the labelled posts in the store's (B,) rows `index`.

        Of a post that comes twice it is their mean; one that is not finite is passed over.
        """
        index, embedding = gather(index), gather(embedding)
        place = torch.searchsorted(self.rows, index)
        finite = embedding.isfinite().all(dim=1)
        embedding = torch.where(finite.unsqueeze(1), embedding, 0.0)
        total = torch.zeros_like(self.bank).index_add_(0, place, embedding)
        times = torch.zeros_like(self.bank[:, :1]).index_add_(0, place, finite.unsqueeze(1).to(total.dtype))
        moved = torch.lerp(total / times.clamp(min=1), self.bank, self.options.bank_momentum)
        self.bank.copy_(torch.where(times > 0, normalize(moved, dim=1), self.bank))
