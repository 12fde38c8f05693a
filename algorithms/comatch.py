"""CoMatch (Li et al., ICCV 2021, arXiv 2011.11183): pseudo-labels and embeddings, each smoothed by the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot

from algorithms.base import Algorithm, Losses, Step, Task
from algorithms.embeddings import ProjectionHead, full_precision, pseudo_label_graph, similarity
from algorithms.gather import gather
from algorithms.options import EmbeddingOptions
from algorithms.pseudo_labels import accept, consistency_loss
from datasets.batch import Views


class CoMatch(Algorithm):
    """L = CE(p(weak x), y) + λ_u · mean 1[max q ≥ τ] CE(p(strong u), q) + λ_c · CE(softmax(z · z_1 / T), W), sec. 3.

    q = (1 − r) p + r Σ_k a_k p_k, of the aligned prediction p for the weak view and those in the memory, weighted by
    a = softmax(z · z_k / T) (memory-smoothed pseudo-labels, from when the memory is full). W is the graph of the
    pseudo-labels q; z and z_1 are the embeddings of two strong views. Defaults are those released for CIFAR-10, where
    the memory holds 5 steps of 64 labelled and 448 unlabelled posts. Predictions are aligned by the house's moving
    average (released: the mean of the last 32 steps).
    """

    name = "comatch"
    unlabelled_views = ("weak", "strong", "strong_1")
    replicated = ("memory",)

    @dataclass(frozen=True)
    class Options(EmbeddingOptions):
        """CoMatch"""

        align: Literal["none", "uniform", "labelled"] = "uniform"
        """Distribution alignment: rescale what unlabelled posts are taken for, so that over time the classes are
        equally frequent, or as frequent as among the labelled posts."""
        similarity_floor: float = 0.8
        """Probability of being of one class from which two posts should have similar embeddings."""
        memory_size: int = 2560
        """Posts in the memory."""

        def __post_init__(self) -> None:
            super().__post_init__()
            self.check_share("similarity_floor")
            self.check_above_zero("memory_size")

    def __init__(self, options: Options, net: nn.Module, teacher: nn.Module, task: Task) -> None:
        super().__init__(options, net, teacher, task)
        self.head = ProjectionHead(net, options.embedding_dim)
        self.memory = Memory(options.memory_size, options.embedding_dim, task.num_classes)

    def step(self, labelled: Views, unlabelled: Views, step: Step) -> Losses:
        """See Algorithm."""
        options, known = self.options, labelled["weak"]
        weak, strong, strong_1 = (unlabelled[view] for view in self.unlabelled_views)
        answer, target, learner, other = self.predict_with_targets(known, weak, strong, strong_1)
        probabilities = self.targets(target.logits)
        embedding, known_embedding = self.head(target).detach(), self.head(answer).detach()
        remembered = self.memory(embedding, options.embedding_temperature)
        smoothed = torch.lerp(probabilities, remembered, options.smoothing_ratio)
        pseudo = accept(torch.where(self.memory.is_full, smoothed, probabilities), options.threshold)
        self.memory.write(
            torch.cat([embedding, known_embedding]),
            torch.cat([probabilities, one_hot(known.label, self.num_classes).to(probabilities.dtype)]),
        )
        alike = similarity(self.head(learner), self.head(other), options.embedding_temperature)
        graph = pseudo_label_graph(pseudo.probabilities, options.similarity_floor)
        return self.combine(
            pseudo,
            sup_loss=(1, self.labelled_loss(answer.logits, known.label)),
            unsup_loss=(options.ulb_loss_ratio, consistency_loss(learner.logits, pseudo.probabilities, pseudo.mask)),
            contrast_loss=(options.contrast_loss_ratio, cross_entropy(alike, graph)),
        )


class Memory(nn.Module):
    """Embeddings and class probabilities of the last K posts of the global batches; the oldest is overwritten first.

    A post whose embedding or probabilities are not finite leaves what was in its place.
    """

    embeddings: Tensor  # (K, E)
    probabilities: Tensor  # (K, C)
    written: Tensor  # () int64: posts that came so far

    def __init__(self, size: int, dim: int, num_classes: int) -> None:
        super().__init__()
        self.register_buffer("embeddings", torch.zeros(size, dim))
        self.register_buffer("probabilities", torch.zeros(size, num_classes))
        self.register_buffer("written", torch.tensor(0))

    @property
    def is_full(self) -> Tensor:
        """() bool."""
        return self.written >= len(self.embeddings)

    @torch.no_grad()
    def forward(self, embedding: Tensor, temperature: float) -> Tensor:
        """(B, E) embeddings to the (B, C) probabilities of the posts in the memory, the nearest weighing most."""
        with full_precision(embedding):
            return similarity(embedding, self.embeddings, temperature).softmax(dim=1) @ self.probabilities

    @torch.no_grad()
    def write(self, embedding: Tensor, probabilities: Tensor) -> None:
        """Remember (B, E) embeddings and (B, C) probabilities, of more than K posts the last K."""
        size, dim = self.embeddings.shape
        came = gather(torch.cat([embedding, probabilities], dim=1))
        kept = came[-size:]
        place = (self.written + torch.arange(len(came) - len(kept), len(came), device=came.device)) % size
        before = torch.cat([self.embeddings[place], self.probabilities[place]], dim=1)
        kept = torch.where(kept.isfinite().all(dim=1, keepdim=True), kept, before)
        self.embeddings[place], self.probabilities[place] = kept[:, :dim], kept[:, dim:]
        self.written.add_(len(came))
