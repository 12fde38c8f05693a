"""The strong view of a batch of token ids: some masked, some dropped, some swapped, all posts at once, on any device.

Pure tensor arithmetic on uniform draws, as in `augment_image`.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

PARAPHRASE = 0.5
"""Probability that the strong view of a post with a paraphrase is the paraphrase."""


def strong_tokens(
    ids: Tensor, mask: Tensor, draws: Tensor, share: float, special_ids: Tensor, mask_id: int, pad_id: int
) -> tuple[Tensor, Tensor]:
    """Disturb a `share` of the words, or little less: a third each masked, dropped and swapped with a neighbour.

    `ids` (B, L) int64, `mask` (B, L) bool, `draws` (B, L) uniform, `special_ids` (S,) tokens that are left alone, as is
    padding. Where every word of a post would be dropped, none is. Answers new ids and a new mask; dropped places hold
    `pad_id`.
    """
    words = mask & ~(ids[..., None] == special_ids).any(-1)
    masked = words & (draws < share / 3)
    dropped = words & (draws >= share / 3) & (draws < 2 * share / 3)
    dropped = dropped & (words & ~dropped).any(1, keepdim=True)
    # A swap disturbs two words, so it starts half as often.
    wanted = (draws >= 2 * share / 3) & (draws < 5 * share / 6)
    free = words & ~masked & ~dropped
    first = (wanted & free)[:, :-1] & free[:, 1:]
    first = pad(first & ~pad(wanted, (1, 0))[:, : first.shape[1]], (0, 1))
    second = pad(first, (1, 0))[:, :-1]
    swapped = torch.where(first, ids.roll(-1, 1), torch.where(second, ids.roll(1, 1), ids))
    answer = torch.where(masked, mask_id, torch.where(dropped, pad_id, swapped))
    return answer, mask & ~dropped


def paraphrased(
    text: tuple[Tensor, Tensor], paraphrase: tuple[Tensor, Tensor], draws: Tensor, pad_id: int
) -> tuple[Tensor, Tensor]:
    """The paraphrase where the post has one and the draw says so, else `text`; each is (ids (B, L), mask (B, L)).

    `draws` (B,) uniform. The widths may differ; the answer has the larger.
    """
    width = max(text[0].shape[1], paraphrase[0].shape[1])
    use = (paraphrase[1].any(1) & (draws < PARAPHRASE))[:, None]

    def wide(tokens: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        more = (0, width - tokens[0].shape[1])
        return pad(tokens[0], more, value=pad_id), pad(tokens[1], more)

    pairs = zip(wide(paraphrase), wide(text), strict=True)
    ids, mask = (torch.where(use, said, as_it_is) for said, as_it_is in pairs)
    return ids, mask
