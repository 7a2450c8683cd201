"""The heat map: where a branch is activated, one map per image for all findings."""

from typing import Literal

import torch
from torch import Tensor

Statistic = Literal["max", "l1", "l2"]

# A range below this share of the maximum is caused by rounding.
FLAT = 1e-6
SMALLEST = torch.finfo(torch.float32).tiny


def heat_map(features: Tensor, statistic: Statistic = "max") -> Tensor:
    """Reduce the channels at each position to one value, and scale it per image by its minimum and maximum.

    Parameters
    ----------
    features
        `[B, C, h, w]`, any floating type.
    statistic
        `max` of the absolute activation, as in the paper; `l1`, its mean; `l2`, the root of the sum of squares. The
        paper divides the root by C, which makes no difference after scaling.

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
    """Map `[B, C, h, w]` to `[B, h, w]`, ≥ 0; `l1` and `l2` up to a factor per image."""
    if statistic == "max":
        return features.abs().amax(1)  # Eq. 3
    peak = features.abs().amax((1, 2, 3), keepdim=True)
    scaled = features / peak.clamp(min=SMALLEST)  # else the square of 1e20 overflows, and that of 1e-30 underflows
    return scaled.abs().mean(1) if statistic == "l1" else scaled.square().sum(1).sqrt()
