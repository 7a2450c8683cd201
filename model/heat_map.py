"""Where a branch looks: one map per image, whatever the finding."""

from typing import Literal

import torch
from torch import Tensor

Statistic = Literal["max", "l1", "l2"]

# A range below this part of the maximum is rounding, not attention.
FLAT = 1e-6


def heat_map(features: Tensor, statistic: Statistic = "max") -> Tensor:
    """One number for all channels at each place, scaled per image by its minimum and maximum.

    Parameters
    ----------
    features
        `[B, C, h, w]`, any floating type.
    statistic
        `max` of the absolute activation, as in the paper; `l1`, its mean; `l2`, the root of the sum of squares. The
        paper divides the root by C, which the scaling takes out again.

    Returns
    -------
    Tensor
        `[B, h, w] float32 in [0, 1]`; all zero where the map is flat.
    """
    heat = over_channels(features.float(), statistic)
    low, high = heat.amin((1, 2), keepdim=True), heat.amax((1, 2), keepdim=True)
    span = high - low
    flat = span <= FLAT * high
    return torch.where(flat, 0.0, (heat - low) / torch.where(flat, 1.0, span))


def over_channels(features: Tensor, statistic: Statistic) -> Tensor:
    """Map `[B, C, h, w]` to `[B, h, w]`, ≥ 0."""
    if statistic == "max":
        return features.abs().amax(1)  # Eq. 3
    if statistic == "l1":
        return features.abs().mean(1)
    return features.square().sum(1).sqrt()
