"""Weak and strong views of a batch of images: drawn per post, computed for all posts at once, on any device.

Every function is pure tensor arithmetic on a table of uniform draws: nothing is read back from the device and no Python
decision depends on the data, so each compiles into one graph.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

WEAK_DRAWS = 3
"""Uniform draws that a weak view takes from its row."""
MAX_SHIFT = 0.125
"""Largest shift of a weak view, as a share of the side."""

SWITCH = 0.25
"""Probability of each of the strong view's operations: 2.75 of the eleven on average; RandAugment takes 2 or 3."""
MAX_ROTATION = math.radians(30)
MAX_SHEAR = 0.3
MAX_TRANSLATION = 0.25
"""As a share of the side."""
MAX_SCALE = math.sqrt(2)
MAX_COLOUR = 0.8
"""Brightness, contrast and saturation are multiplied by 1 ± this at most."""
MAX_CUTOUT = 0.5
"""Largest side of the rectangle that is cut out, as a share of the image's side."""
LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in grey (ITU-R 601)."""
GEOMETRY = 6  # rotation, two shears, two translations, scale
COLOUR = 5  # brightness, contrast, saturation, posterise, solarise
STRONG_DRAWS = 2 * (GEOMETRY + COLOUR) + 1 + 4
"""Uniform draws that a strong view takes from its row: a switch and a size for each operation, a flip, a rectangle."""


def normalise(images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """(B, 3, H, W) uint8 or float, 0 to 255, to float32 with the encoder's (3,) `mean` and `std` (0 to 1) taken out."""
    return images.to(torch.float32) * (1 / (255 * std))[:, None, None] - (mean / std)[:, None, None]


def weak_view(images: Tensor, draws: Tensor) -> Tensor:
    """Flip half of the posts and shift each by whole pixels, up to an eighth of the side, reflected at the border.

    `images` (B, 3, H, W) uint8, `draws` (B, 3) uniform; the answer is uint8. The same as padding by reflection and
    cutting at random, but moved as bytes: no pixel value changes.
    """
    rows = _reflected(images.shape[2], draws[:, 0])
    columns = _reflected(images.shape[3], draws[:, 1])
    columns = torch.where(draws[:, 2:3] < 0.5, columns.flip(1), columns)
    posts = torch.arange(len(images), device=images.device)[:, None, None]
    moved = images.permute(0, 2, 3, 1)[posts, rows[:, :, None], columns[:, None, :]]
    return moved.permute(0, 3, 1, 2).contiguous()


def _reflected(side: int, draws: Tensor) -> Tensor:
    """(B, side) pixel numbers of a line shifted by the (B,) uniform draws."""
    most = int(side * MAX_SHIFT)
    shift = (draws * (2 * most + 1)).long() - most
    place = (torch.arange(side, device=draws.device) + shift[:, None]).abs()
    return torch.minimum(place, 2 * (side - 1) - place)


def strong_view(images: Tensor, draws: Tensor, fill: Tensor, strength: float = 1.0) -> Tensor:
    """An affine map, colour operations and one rectangle cut out, each drawn per post (after RandAugment and Cutout).

    `images` (B, 3, H, W) uint8, `draws` (B, STRONG_DRAWS) uniform, `fill` (3,) colour of the rectangle, 0 to 255;
    `strength` (0 to 1) scales how far each operation may go. The answer is float32, 0 to 255.
    """
    switches, sizes = draws[:, : 2 * (GEOMETRY + COLOUR)].unflatten(1, (2, -1)).unbind(1)
    on = switches < SWITCH
    rest = draws[:, 2 * (GEOMETRY + COLOUR) :]
    grid = _affine_grid(
        images.shape[2], images.shape[3], strength * (2 * sizes[:, :GEOMETRY] - 1) * on[:, :GEOMETRY], rest[:, 0]
    )
    values = grid_sample(images.to(torch.float32), grid, padding_mode="reflection", align_corners=False)
    values = _colour(values, sizes[:, GEOMETRY:], on[:, GEOMETRY:], strength)
    return _cut_out(values, rest[:, 1:], fill, strength)


def _centres(side: int, device: torch.device) -> Tensor:
    """(side,) pixel centres, the image reaching from -1 to 1."""
    return (2 * torch.arange(side, device=device) + 1) / side - 1


def _affine_grid(height: int, width: int, sizes: Tensor, flip: Tensor) -> Tensor:
    """(B, H, W, 2): where each pixel of the view comes from. `sizes` (B, 6) in -1 to 1, 0 for an operation that is off.

    Written out rather than by `affine_grid`, whose matrix product loses the sub-pixel part under TF32 and autocast.
    """
    rotation, shear_x, shear_y, move_x, move_y, scale = sizes.unbind(1)
    angle, shear_x, shear_y = rotation * MAX_ROTATION, shear_x * MAX_SHEAR, shear_y * MAX_SHEAR
    zoom = torch.exp(scale * math.log(MAX_SCALE))
    mirror = torch.where(flip < 0.5, -zoom, zoom)
    cos, sin = angle.cos(), angle.sin()
    # rotation · shear · scale, the first column mirrored
    a, b = (cos - sin * shear_y) * mirror, (cos * shear_x - sin) * zoom
    c, d = (sin + cos * shear_y) * mirror, (sin * shear_x + cos) * zoom
    x, y = _centres(width, sizes.device)[None, None, :], _centres(height, sizes.device)[None, :, None]
    a, b, c, d, move_x, move_y = (value[:, None, None] for value in (a, b, c, d, move_x, move_y))
    return torch.stack((a * x + b * y + 2 * MAX_TRANSLATION * move_x, c * x + d * y + 2 * MAX_TRANSLATION * move_y), -1)


def _colour(values: Tensor, sizes: Tensor, on: Tensor, strength: float) -> Tensor:
    """Brightness, contrast, saturation, posterise, solarise. `values` (B, 3, H, W) 0 to 255; `sizes`, `on` (B, 5)."""
    factors = 1 + strength * MAX_COLOUR * (2 * sizes[:, :3] - 1) * on[:, :3]
    brightness, contrast, saturation = factors[..., None].unbind(1)
    # The first three are linear in the pixel v: one 3 x 3 matrix and one offset a post instead of a pass each. With
    # the pixel's grey g and the mean m of all greys, contrast is m + contrast · (v - m) and saturation is
    # g + saturation · (v - g).
    mean = values.mean((2, 3))
    middle = brightness * sum(weight * mean[:, c : c + 1] for c, weight in enumerate(LUMA))
    gain = brightness * contrast
    grey = torch.stack([gain * (1 - saturation) * weight for weight in LUMA], -1)
    matrix = (gain * saturation)[..., None] * torch.eye(3, device=values.device) + grey
    offset = ((1 - contrast) * middle)[..., None]
    values = torch.baddbmm(offset, matrix, values.flatten(2)).clamp_(0, 255).view_as(values)
    posterise, solarise = (switch[:, None, None, None] for switch in on[:, 3:].unbind(1))
    size, threshold = (strength * size[:, None, None, None] for size in sizes[:, 3:].unbind(1))
    # Of 8 bits 4 to 7 stay, and where the operation is off 8 more than there were.
    step = torch.exp2(torch.where(posterise, (size * 4).ceil(), -8.0))
    values = values.div_(step).floor_().mul_(step)
    # The upper half of the range at most: below that a photograph is a negative, and its sentiment gone.
    limit = torch.where(solarise, 255 - 127.5 * threshold, 256.0)
    return torch.where(values > limit, 255 - values, values)


def _cut_out(values: Tensor, draws: Tensor, fill: Tensor, strength: float) -> Tensor:
    """Replace a rectangle by the colour `fill` (3,). `draws` (B, 4): centre across and down, width, height."""
    centre_x, centre_y, width, height = (draw[:, None] for draw in draws.unbind(1))
    x, y = _centres(values.shape[3], values.device), _centres(values.shape[2], values.device)
    inside_x = (x - (2 * centre_x - 1)).abs() < strength * width * MAX_CUTOUT
    inside_y = (y - (2 * centre_y - 1)).abs() < strength * height * MAX_CUTOUT
    inside = inside_y[:, None, :, None] & inside_x[:, None, None, :]
    return torch.where(inside, fill[:, None, None], values)
