"""Normalisation of display values, to the scale that a network was trained with.

Published trunks expect RGB, each channel scaled by its ImageNet mean and standard deviation. A radiograph has one
channel, which is scaled by their averages; the difference is folded into the first convolution when weights are loaded.
A network that was trained on radiographs may have another scale.
"""

from typing import NamedTuple

import torch
from torch import Tensor

# ImageNet, RGB in [0, 1], as torchvision's published weights were trained.
RGB_MEAN = (0.485, 0.456, 0.406)
RGB_STD = (0.229, 0.224, 0.225)
GREY_MEAN = 0.449  # mean of RGB_MEAN
GREY_STD = 0.226  # mean of RGB_STD


class Scale(NamedTuple):
    """Mean and standard deviation, in display values, of a normalised value of 0 and of a difference of 1."""

    mean: float
    std: float


GREY = Scale(GREY_MEAN, GREY_STD)


def normalise(image: Tensor, scale: Scale = GREY) -> Tensor:
    """Scale display values `[B, 1, H, W] float32 in [0, 1]`: subtract the mean, divide by the standard deviation."""
    return (image - scale.mean) / scale.std


def fold(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Fold a first convolution over normalised RGB into one over a normalised grey channel.

    Parameters
    ----------
    weight
        `[C, 3, kh, kw]`, weight of a convolution whose input is RGB scaled by `RGB_MEAN` and `RGB_STD`.

    Returns
    -------
    weight, offset
        `[C, 1, kh, kw]` and `[C]`, such that for a grey image, away from zero padding,
        `conv_rgb(rgb(x)) == conv_grey(normalise(x)) + offset`.
    """
    mean, std = weight.new_tensor(RGB_MEAN).double(), weight.new_tensor(RGB_STD).double()
    wide = weight.double()
    grey = torch.einsum("ocij,c->oij", wide, GREY_STD / std)[:, None]
    offset = torch.einsum("ocij,c->o", wide, (GREY_MEAN - mean) / std)
    return grey.to(weight.dtype), offset.to(weight.dtype)
