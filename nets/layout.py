"""How an encoder's features of a post lie in one row: the pooled vector and, for nets that attend, its parts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad


class Unpacked(NamedTuple):
    """Features of B posts, taken apart."""

    pooled: Tensor  # (B, W)
    tokens: Tensor  # (B, T, V)
    mask: Tensor  # (B, T) bool: true where there is a token


@dataclass(frozen=True)
class Layout:
    """W pooled features; then T tokens, each of V features and a 1 where it is there.

    One flat row, because all that handles features (frozen caches, batches, mixing, masking of what is missing) then
    needs to know nothing of tokens. A row of zeros has none. Where a transformer reads the tokens, and each of them
    costs, rows are `ragged`: as wide as the longest text of their batch asks for, and wider by zeros where somebody
    joins batches.
    """

    width: int  # W
    count: int = 0  # T: tokens at most; 0: the pooled features alone
    token_width: int = 0  # V
    ragged: bool = False

    @property
    def size(self) -> int:
        """Features of the whole row, of the widest one where rows are ragged."""
        return self.width + self.count * (self.token_width + 1)

    def pack(self, pooled: Tensor, tokens: Tensor, mask: Tensor) -> Tensor:
        """(B, W), (B, L, V) and (B, L) bool to (B, size): the first T of the L tokens, padded to T unless ragged."""
        mask = mask[:, : self.count].unsqueeze(-1)
        tokens = torch.where(mask, tokens[:, : self.count], 0.0)
        rows = torch.cat([tokens, mask.to(tokens.dtype)], dim=2)
        more = 0 if self.ragged else self.count - rows.shape[1]
        return torch.cat([pooled, pad(rows, (0, 0, 0, more)).flatten(1)], dim=1)

    def pooled(self, features: Tensor) -> Tensor:
        """(B, size) to (B, W)."""
        return features[:, : self.width]

    def unpack(self, features: Tensor) -> Unpacked:
        """(B, size) to its parts. A token that is there by half or less, in a mixture of posts, is left out."""
        rows = features[:, self.width :].unflatten(1, (-1, self.token_width + 1))
        return Unpacked(self.pooled(features), rows[..., :-1], rows[..., -1] > 0.5)

    def map(self, features: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
        """(B, size) with `function` applied to the pooled features and to the tokens; which are there stays."""
        if not self.count:
            return function(features)
        pooled, tokens, mask = self.unpack(features)
        return self.pack(function(pooled), function(tokens), mask)


Grid = tuple[int, int]
"""Rows and columns into which an image is divided."""


def grid_means(image: Tensor, grid: Grid) -> Tensor:
    """(B, V, H, W) to the (B, rows · columns, V) means of the cells of a grid, row by row.

    What adaptive average pooling gives (cells overlap or repeat where H is no multiple of the rows), by products of
    matrices, because its gradient on CUDA is never the same twice.
    """
    rows, columns = (_averages(size, cells, image) for size, cells in zip(image.shape[2:], grid, strict=True))
    return (rows @ image @ columns.T).flatten(2).transpose(1, 2)


def _averages(size: int, cells: int, like: Tensor) -> Tensor:
    """(cells, size): each row averages the places of one cell."""
    place = torch.arange(size, device=like.device)
    cell = torch.arange(cells, device=like.device).unsqueeze(1)
    inside = (place >= cell * size // cells) & (place < -(-(cell + 1) * size // cells))
    return (inside / inside.sum(dim=1, keepdim=True)).to(like.dtype)
