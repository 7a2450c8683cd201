"""A radiograph with the heat map over it and the box drawn: for logs and reports, not for a reader of films."""

from functools import cache

import numpy as np
from matplotlib import colormaps
from numpy.typing import NDArray
from PIL import Image

from training.data.sample import Floats

COLOURS = "viridis"  # rises evenly in lightness, safe for the colour-blind, as the service's overlay
OPACITY = 0.6  # where the map is 1; in proportion below
LINE = 1 / 256  # of the picture's side


def overlay(canvas: Floats, heat_map: Floats, box: Floats) -> NDArray[np.uint8]:
    """Lay the heat map over the canvas, the more opaque the higher, and outline the box: white between dark lines.

    Parameters
    ----------
    canvas
        [1, S, S] in [0, 1].
    heat_map
        [h, w] in [0, 1], enlarged bilinearly with half-pixel centres: the surface that the region is found on.
    box
        [4] (x0, y0, x1, y1) in [0, 1] of the canvas, exclusive end.

    Returns
    -------
    [S, S, 3] RGB.
    """
    size = canvas.shape[-1]
    values = Image.fromarray(np.asarray(heat_map, np.float32)).resize((size, size), Image.Resampling.BILINEAR)
    heat = np.clip(np.asarray(values), 0, 1)[..., None]  # [S, S, 1]
    colours = table()[np.rint(heat[..., 0] * 255).astype(np.uint8)]
    blended = (1 - OPACITY * heat) * 255 * np.clip(canvas[0], 0, 1)[..., None] + OPACITY * heat * colours
    return outlined(np.rint(blended).astype(np.uint8), box)


def outlined(picture: NDArray[np.uint8], box: Floats) -> NDArray[np.uint8]:
    """[S, S, 3] with a box's edges drawn just inside it; a dot at least, however small the box."""
    size = len(picture)
    left, top, right, bottom = (round(float(edge) * size) for edge in box)
    left, top = min(left, size - 1), min(top, size - 1)
    right, bottom = max(left + 1, right), max(top + 1, bottom)
    line, drawn = max(1, round(size * LINE)), picture.copy()
    for inset, shade in ((0, 0), (1, 255), (1 + line, 0)):
        drawn[top + inset : max(0, bottom - inset), left + inset : max(0, right - inset)] = shade
    inside = (slice(top + line + 2, max(0, bottom - line - 2)), slice(left + line + 2, max(0, right - line - 2)))
    drawn[inside] = picture[inside]
    return drawn


@cache
def table() -> NDArray[np.float64]:
    """Colour of each of 256 levels, [256, 3] in [0, 255]."""
    levels = np.asarray(colormaps[COLOURS](np.arange(256)), np.float64)
    return levels[:, :3] * 255
