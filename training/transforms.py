"""Augmentation of canvases, before anything is shrunk or cut out, so that both branches see one and the same image.

No mirror: it would put the heart on the other side, and side markers with it.
"""

from dataclasses import dataclass
from math import pi

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

DRAWS = 8  # random numbers for one image


@dataclass(frozen=True)
class Augmentation:
    """Largest departures from the image as it is; 0 leaves a kind out.

    Attributes
    ----------
    rotation
        Degrees, either way.
    zoom
        Share by which the visible part is made smaller or larger.
    stretch
        Share by which width and height differ.
    shift
        Share of the side.
    brightness
        Share of the grey range.
    contrast, gamma
        Natural logarithm of the factor, and of the exponent.
    """

    rotation: float = 7.0
    zoom: float = 0.12
    stretch: float = 0.06
    shift: float = 0.05
    brightness: float = 0.06
    contrast: float = 0.2
    gamma: float = 0.2


def draws(seed: tuple[int, ...], indices: NDArray[np.int64]) -> Tensor:
    """Random numbers that depend on the seed and each index alone: [B, 8] float32, uniform in [-1, 1)."""
    rows = [np.random.default_rng((*seed, int(index))).random(DRAWS, np.float32) for index in indices]
    return torch.from_numpy(2 * np.stack(rows) - 1)


def augment(canvas: Tensor, drawn: Tensor, most: Augmentation) -> Tensor:
    """Move and re-expose canvases.

    Parameters
    ----------
    canvas
        [B, 1, S, S] float32 in [0, 1].
    drawn
        [B, 8] in [-1, 1), from `draws`.

    Returns
    -------
    [B, 1, S, S] float32 in [0, 1]; what comes in from outside the canvas repeats its edge.
    """
    places = grid(placement(drawn, most), canvas.shape[-1])
    return exposed(functional.grid_sample(canvas, places, padding_mode="border", align_corners=False), drawn, most)


def placement(drawn: Tensor, most: Augmentation) -> Tensor:
    """[B, 2, 3]: where, in -1 to 1, each place of the result is looked up."""
    angle = drawn[:, 0] * most.rotation * pi / 180
    scale = 1 + drawn[:, 1] * most.zoom
    width, height = scale * (1 + drawn[:, 2] * most.stretch), scale * (1 - drawn[:, 2] * most.stretch)
    x, y = 2 * most.shift * drawn[:, 3], 2 * most.shift * drawn[:, 4]
    sine, cosine = angle.sin(), angle.cos()
    rows = [torch.stack([width * cosine, -height * sine, x], 1), torch.stack([width * sine, height * cosine, y], 1)]
    return torch.stack(rows, 1)


def grid(matrices: Tensor, side: int) -> Tensor:
    """[B, 2, 3] to [B, side, side, 2], as `affine_grid` does, at a tenth of its cost on a processor."""
    steps = (2 * torch.arange(side, device=matrices.device) + 1) / side - 1  # pixel centres, -1 to 1
    along, down, offset = (matrices[:, :, column, None] for column in range(3))  # [B, 2, 1] each
    rows, columns = down * steps + offset, along * steps  # [B, 2, side]
    places = matrices.new_empty(len(matrices), side, side, 2)
    for axis in (0, 1):
        torch.add(rows[:, axis, :, None], columns[:, axis, None, :], out=places[..., axis])
    return places


def exposed(canvas: Tensor, drawn: Tensor, most: Augmentation) -> Tensor:
    """Change brightness, contrast about the middle grey, and gamma."""
    shift, contrast, gamma = (
        (drawn[:, column] * limit)[:, None, None, None]
        for column, limit in ((5, most.brightness), (6, most.contrast), (7, most.gamma))
    )
    graded = (canvas - 0.5).mul_(contrast.exp()).add_(0.5 + shift)
    return graded.clamp_(0, 1).pow_(gamma.exp())
