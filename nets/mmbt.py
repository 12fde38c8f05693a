"""MMBT (Kiela et al., Supervised Multimodal Bitransformers, arXiv 1909.02950): parts of an image as words of a BERT."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import PretrainedConfig

from nets.attention import mean_of_tokens
from nets.dropout import Dropout
from nets.early import EarlyNet
from nets.encoders import attention_mask, first_position
from nets.layout import Grid, Unpacked
from nets.options import NetOptions
from nets.post_net import Encoders
from nets.prediction import Prediction

GRIDS: dict[int, Grid] = {4: (2, 2), 6: (3, 2), 8: (4, 2), 9: (3, 3)}
"""Into how many rows and columns the authors' code divides an image for so many parts; others lie one above another."""
SEGMENTS = 2
"""Image and text, in this order."""


class MmbtNet(EarlyNet):
    """h = BERT([start; W v_1 … W v_N; end | t_2 … t_L]), and W_c Dropout(pooler(h_1)).

    v_j are means of the image encoder's features over N parts of the image. Positions count from the first in both
    segments; a text's own first token is left out, as `start` stands for it. All of this is as in the authors' code,
    whose README trains with N = 3. Their grey image for a missing one is not: its parts are masked.

    `start` and `end` are learned, from the embeddings of the tokens that texts begin and end with. The answer's parts
    are the means of the states of each modality; both have seen the whole post.
    """

    name = "mmbt"
    attends = ("image",)
    image_from_text = False
    freezable = ("image",)
    own = ("image_tokens",)
    ignores = ("feature_dim", "text_pooling", "image_grid")
    model_types = ("bert", "roberta", "xlm-roberta", "camembert")

    @classmethod
    def small_config(cls, vocabulary: int, length: int) -> PretrainedConfig:
        """See PostNet."""
        return super().small_config(vocabulary, max(length, 2 + max(GRIDS)))

    @classmethod
    def image_parts(cls, options: NetOptions) -> Grid:
        """See PostNet."""
        return GRIDS.get(options.image_tokens, (options.image_tokens, 1))

    @classmethod
    def take_embeddings(cls, whole: Any) -> nn.Module:
        """See EarlyNet. Positions, segments and norm stay with the transformer, as the image's parts have them too."""
        embeddings = whole.embeddings
        words, embeddings.word_embeddings = embeddings.word_embeddings, None
        if whole.config.type_vocab_size < SEGMENTS:  # RoBERTa was trained with one
            one = embeddings.token_type_embeddings
            embeddings.token_type_embeddings = nn.Embedding(SEGMENTS, one.embedding_dim)
            embeddings.token_type_embeddings.weight.data.copy_(one.weight.data.mean(dim=0))
            whole.config.type_vocab_size = SEGMENTS
        return words

    def __init__(self, encoders: Encoders, num_classes: int, dropout: float, rest: Any) -> None:
        super().__init__(encoders, num_classes, dropout, rest)
        self.project = nn.Linear(encoders.layouts["image"].token_width, self.dim)
        self.end = nn.Parameter(torch.zeros(self.dim))
        self.transformer = rest
        self.classify = nn.Sequential(Dropout(dropout), nn.Linear(self.dim, num_classes))

    @torch.no_grad()
    def begin_with(self, first: int, last: int) -> None:
        """See PostNet."""
        super().begin_with(first, last)
        self.end.copy_(self.embedded(last))

    def transformer_parts(self) -> list[nn.Module]:
        """See EarlyNet."""
        return [self.transformer]

    def join(self, text: Unpacked, image: Unpacked, present: dict[str, Tensor]) -> Prediction:
        """See EarlyNet."""
        parts, words = self.project(image.tokens), text.tokens[:, 1:]
        start, end = (value.to(parts.dtype).expand(len(parts), 1, -1) for value in (self.start, self.end))
        always = torch.ones_like(present["text"]).unsqueeze(1)
        mask = torch.cat([always, image.mask, always, text.mask[:, 1:]], dim=1)
        in_image, in_text = 2 + parts.shape[1], words.shape[1]
        counts = [torch.arange(count, device=words.device) for count in (in_image, in_text)]
        config = self.transformer.config
        answer = self.transformer(
            inputs_embeds=torch.cat([start, parts, end, words], dim=1),
            attention_mask=attention_mask(config, mask),
            position_ids=(torch.cat(counts) + first_position(config)).unsqueeze(0),
            token_type_ids=torch.cat([counts[0] * 0, counts[1] * 0 + 1]).expand(len(words), -1),
        )
        states = answer.last_hidden_state
        means = {
            "text": mean_of_tokens(states[:, in_image:], text.mask[:, 1:]),
            "image": mean_of_tokens(states[:, 1 : in_image - 1], image.mask),
        }
        return Prediction(self.classify(answer.pooler_output), features=answer.pooler_output, parts=means)
