"""The posts of a step as pairs of a text and an image, for losses that tell right pairs from wrong ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from datasets.batch import Batch
from nets.post_net import MODALITIES, PostNet
from nets.prediction import Prediction


@dataclass(frozen=True)
class Pairs:
    """The B views that a net has answered for in a step, in float32."""

    features: dict[str, Tensor]  # (B, width) by modality: what the encoders gave
    contrasted: dict[str, Tensor]  # (B, W) by modality: what image-text contrast compares
    space: dict[str, Tensor]  # (B, D) by modality: what the net has mapped to one width
    present: dict[str, Tensor]  # (B,) bool by modality
    label: Tensor  # (B,) int64, negative where it is not known
    repeated: Tensor  # (B, B) bool: no right pair to be told from a wrong one (see `repeated`)

    @property
    def both(self) -> Tensor:
        """(B,) bool: posts with a text and an image."""
        return self.present["text"] & self.present["image"]

    @property
    def can_swap(self) -> Tensor:
        """(B, B) bool: text k is a wrong one for post i, which has both."""
        both = self.both
        return both.unsqueeze(1) & both.unsqueeze(0) & ~self.repeated


def pairs_of(net: PostNet, answers: Sequence[tuple[Batch, Prediction]]) -> Pairs:
    """The pairs of batches and what `net` answered for them."""
    features, space, contrasted = {}, {}, {}
    compared = [net.contrasted(answer) for _, answer in answers]
    for name in MODALITIES:
        features[name] = _stacked([_encoded(answer)[name] for _, answer in answers])
        space[name] = torch.cat([answer.shared(name) for _, answer in answers])
        contrasted[name] = torch.cat([one[name] for one in compared])
    has_text, has_image, label = (
        torch.cat([getattr(batch, name) for batch, _ in answers]) for name in ("has_text", "has_image", "label")
    )
    return Pairs(
        features=features,
        contrasted=contrasted,
        space=space,
        present={"text": has_text, "image": has_image},
        label=label,
        repeated=repeated([batch for batch, _ in answers]),
    )


def repeated(batches: Sequence[Batch]) -> Tensor:
    """(B, B) bool: the same post, near-duplicates, or the same text.

    Strong views hide and swap words at random, so equal texts are told by the store's groups, which batches bring; the
    texts as they are read tell those that are too short for a group, and all where a batch has no groups.
    """

    def same(values: list[Tensor]) -> Tensor:
        joined = torch.cat(values)
        return joined.unsqueeze(1) == joined.unsqueeze(0)

    has_text = torch.cat([batch.has_text for batch in batches])
    found = same([text_key(batch) for batch in batches]) & has_text.unsqueeze(1) & has_text.unsqueeze(0)
    found = found | same([batch.index for batch in batches])
    groups = [batch.group for batch in batches if batch.group is not None]
    return found | same(groups) if len(groups) == len(batches) else found


def _stacked(features: list[Tensor]) -> Tensor:
    """One (B, width) of all; ragged rows (see nets/layout.py) get zeros, which are no tokens."""
    width = max(rows.shape[1] for rows in features)
    return torch.cat([pad(rows, (0, width - rows.shape[1])) for rows in features])


def _encoded(answer: Prediction) -> dict[str, Tensor]:
    assert answer.encoded is not None, "the answer does not say what the encoders gave"
    return answer.encoded


def text_key(batch: Batch) -> Tensor:
    """(B,) int64: equal for equal texts as they are read (token ids, or frozen features), whatever the padding, and
    different for others but by a chance of about 2⁻⁶⁴."""
    assert batch.text is not None
    if batch.text_mask is None:
        values = batch.text.to(torch.float32).contiguous().view(torch.int32).to(torch.int64)
    else:
        values = batch.text * batch.text_mask
    # A number for each place by the finaliser of SplitMix64 (Steele et al., OOPSLA 2014); products wrap around.
    place = torch.arange(1, values.shape[1] + 1, device=values.device) * -7046029254386353131
    place = (place ^ (place >> 30)) * -4658895280553007687
    place = (place ^ (place >> 27)) * -7723592293110705685
    return (values * (place ^ (place >> 31))).sum(dim=1)
