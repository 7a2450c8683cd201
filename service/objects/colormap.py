"""Colours of the levels of a map."""

from functools import cache
from typing import Literal

import numpy as np
import numpy.typing as npt

Colormap = Literal["viridis", "inferno", "turbo"]

COLORMAPS: dict[Colormap, str] = {  # evenly spaced; colours between them are interpolated linearly
    "viridis": "440154 482878 3e4989 31688e 26828e 1f9e89 35b779 6ece58 b5de2b fde725",
    "inferno": "000004 1b0c41 4a0c6b 781c6d a52c60 cf4446 ed6925 fb9b06 f7d13d fcffa4",
    "turbo": "30123b 4145ab 4675ed 39a2fc 1bcfd4 24eca6 61fc6c a4fc3b d1e834 f3c63a fe9b2d f36315 d93806 b11901 7a0403",
}


@cache
def colour_table(colormap: Colormap) -> npt.NDArray[np.uint8]:
    """Return the colours of 256 levels, [256, 3] uint8."""
    anchors = np.array([list(bytes.fromhex(colour)) for colour in COLORMAPS[colormap].split()], np.float64)
    levels = np.linspace(0, len(anchors) - 1, 256)
    channels = [np.interp(levels, np.arange(len(anchors)), channel) for channel in anchors.T]
    table: npt.NDArray[np.uint8] = np.rint(np.stack(channels, axis=1)).astype(np.uint8)
    return table
