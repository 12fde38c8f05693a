"""The views of a batch: what the loader brought, turned into what nets read, on the device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from datasets.augment_image import STRONG_DRAWS, WEAK_DRAWS, normalise, strong_view, weak_view
from datasets.augment_text import paraphrased, strong_tokens
from datasets.batch import Batch, Views
from datasets.seeds import derive_seed

if TYPE_CHECKING:
    from datasets.tokens import TokenCache

KINDS = ("clean", "weak", "strong")
"""What a view may be; more of a kind are told apart by a number: "strong_1"."""
# Columns of a view's table of draws; one for each token follows.
DROPOUT, PARAPHRASE, IMAGE, TOKENS = 0, 2, 3, 3 + STRONG_DRAWS


def kind_of(view: str) -> str:
    """The kind of the view called `view`: "strong" of "strong_1"."""
    kind = view.split("_")[0]
    assert kind in KINDS, f"no view is called {view}"
    return kind


def _is_augmented(kind: str, batch: Batch) -> bool:
    """Whether a view of this kind has anything random about it, dropout aside; features have not."""
    live = batch.text_mask is not None or (batch.image is not None and batch.image.ndim == 4)
    return kind != "clean" and live


class ViewMaker:
    """Turns raw views into final ones.

    | kind | image | text |
    |---|---|---|
    | clean | normalised | as it is |
    | weak | flipped, shifted up to 12.5 %, normalised | as it is |
    | strong | affine map, colours, cut-out, normalised | tokens masked, dropped, swapped; or the paraphrase |

    Features of frozen encoders pass as they are: the loader has picked the kind of view. In training, and only there,
    every view is subject to modality dropout. What a post lacks comes out as zeros. One table of uniform numbers is
    drawn for each view, by a generator of the device seeded from (seed, stream, view, step), for all posts of the
    global batch; each process uses its rows, so their number changes nothing. The host never waits for the device.
    """

    def __init__(
        self,
        image_mean: Sequence[float] | Tensor,
        image_std: Sequence[float] | Tensor,
        tokens: TokenCache | None = None,
        strong_text: float = 0.15,
        strong_image: float = 1.0,
        modality_dropout: float = 0.0,
        device: torch.device | str = "cpu",
        compile: bool = False,
    ) -> None:
        """`image_mean`, `image_std`: (3,), 0 to 1. `tokens`: None without texts, or with their features.

        Raises ValueError for a share or a probability outside 0 to 1.
        """
        shares = {"strong_text": strong_text, "strong_image": strong_image, "modality_dropout": modality_dropout}
        for flag, value in shares.items():
            if not 0 <= value <= 1:
                raise ValueError(f"--{flag} {value}: it must lie between 0 and 1")
        self.device = torch.device(device)
        self.mean = torch.as_tensor(image_mean, dtype=torch.float32).to(self.device)
        self.std = torch.as_tensor(image_std, dtype=torch.float32).to(self.device)
        self.strong_text = strong_text
        self.strong_image = strong_image
        self.modality_dropout = modality_dropout
        self.length = 0 if tokens is None else tokens.length
        if tokens is not None:
            self.special_ids = torch.tensor(tokens.special_ids, device=self.device)
            self.mask_id, self.pad_id = tokens.mask_id, tokens.pad_id
        self.strong_view = torch.compile(strong_view, fullgraph=True) if compile else strong_view
        self._generator = torch.Generator(self.device)

    @torch.no_grad()
    def __call__(
        self,
        raw: Views,
        seed: int,
        step: int,
        stream: str,
        part: slice | None = None,
        total: int | None = None,
        training: bool = False,
    ) -> dict[str, Batch]:
        """The final views of `raw`, by name; those of `training` lose modalities.

        `part` is the slice of the global batch of `total` posts that `raw` holds; by default it is all of it.
        """
        final = {}
        dropout = self.modality_dropout if training else 0.0
        for name, batch in raw.items():
            kind = kind_of(name)
            draws = None
            if dropout > 0 or _is_augmented(kind, batch):
                posts = len(batch) if total is None else total
                self._generator.manual_seed(derive_seed(seed, f"{stream} {name} view", step))
                table = torch.rand((posts, TOKENS + self.length), generator=self._generator, device=self.device)
                draws = table if part is None else table[part]
                assert len(draws) == len(batch)
            # Pixels and colours keep their precision, whatever the net computes in.
            with torch.autocast(self.device.type, enabled=False):
                final[name] = self._finish(batch, kind, draws, dropout)
        return final

    def _finish(self, batch: Batch, kind: str, draws: Tensor | None, dropout: float) -> Batch:
        has_image, has_text = batch.has_image, batch.has_text
        if dropout > 0 and draws is not None:
            loses = has_image & has_text & (draws[:, DROPOUT] < dropout)
            loses_image = draws[:, DROPOUT + 1] < 0.5
            has_image, has_text = has_image & ~(loses & loses_image), has_text & ~(loses & ~loses_image)
        image, text, mask = batch.image, batch.text, batch.text_mask
        if image is not None:
            if image.ndim == 4:
                image = torch.where(has_image.view(-1, 1, 1, 1), self._view_image(image, kind, draws), 0.0)
            else:
                image = image * has_image.unsqueeze(1)
        if text is not None:
            if mask is not None:
                text, mask = self._view_text(batch, kind, draws)
                mask = mask & has_text[:, None]
            text = text * has_text[:, None]
        return replace(
            batch,
            has_image=has_image,
            has_text=has_text,
            image=image,
            text=text,
            text_mask=mask,
            paraphrase=None,
            paraphrase_mask=None,
        )

    def _view_image(self, image: Tensor, kind: str, draws: Tensor | None) -> Tensor:
        if draws is not None and kind == "weak":
            image = weak_view(image, draws[:, IMAGE : IMAGE + WEAK_DRAWS])
        elif draws is not None and kind == "strong":
            image = self.strong_view(image, draws[:, IMAGE : IMAGE + STRONG_DRAWS], 255 * self.mean, self.strong_image)
        return normalise(image, self.mean, self.std)

    def _view_text(self, batch: Batch, kind: str, draws: Tensor | None) -> tuple[Tensor, Tensor]:
        text, mask = batch.text, batch.text_mask
        assert text is not None and mask is not None
        if kind != "strong" or draws is None:
            return text, mask
        numbers = draws[:, TOKENS : TOKENS + text.shape[1]]
        strong = strong_tokens(text, mask, numbers, self.strong_text, self.special_ids, self.mask_id, self.pad_id)
        if batch.paraphrase is None or batch.paraphrase_mask is None:
            return strong
        return paraphrased(strong, (batch.paraphrase, batch.paraphrase_mask), draws[:, PARAPHRASE], self.pad_id)
