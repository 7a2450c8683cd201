"""Where a branch looks: one map per image, whatever the finding."""

import torch
from torch import Tensor

# A range below this part of the maximum is rounding, not attention.
FLAT = 1e-6


def heat_map(features: Tensor) -> Tensor:
    """Maximum over channels of the absolute activation, scaled per image by its minimum and maximum.

    Parameters
    ----------
    features
        `[B, C, h, w]`, any floating type.

    Returns
    -------
    Tensor
        `[B, h, w] float32 in [0, 1]`; all zero where the map is flat.
    """
    heat = features.float().abs().amax(1)  # Eq. 3
    low, high = heat.amin((1, 2), keepdim=True), heat.amax((1, 2), keepdim=True)
    span = high - low
    flat = span <= FLAT * high
    return torch.where(flat, 0.0, (heat - low) / torch.where(flat, 1.0, span))
