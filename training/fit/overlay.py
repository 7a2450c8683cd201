"""A radiograph with heat map and box drawn on it, for logs and reports."""

from functools import cache

import numpy as np
from matplotlib import colormaps
from numpy.typing import NDArray
from PIL import Image

from training.data.sample import Floats

COLOURS = "viridis"  # uniform in lightness and suitable for colour blindness; also used by the service's overlay
OPACITY = 0.6  # opacity where the map is 1; proportional below
LINE = 1 / 256  # width of a line as a share of the picture's side


def overlay(canvas: Floats, heat_map: Floats, box: Floats) -> NDArray[np.uint8]:
    """Draw the heat map over the canvas, more opaque where it is higher, and the box as a white line with dark edges.

    Parameters
    ----------
    canvas
        `[1, S, S] float32 in [0, 1]`.
    heat_map
        `[h, w] float32 in [0, 1]`, enlarged bilinearly with half-pixel centres, as for the region.
    box
        `[4] float32`, (x0, y0, x1, y1) in [0, 1] of the canvas, exclusive end.

    Returns
    -------
    ndarray
        `[S, S, 3] uint8`, RGB.
    """
    size = canvas.shape[-1]
    values = Image.fromarray(np.asarray(heat_map, np.float32)).resize((size, size), Image.Resampling.BILINEAR)
    heat = np.clip(np.asarray(values), 0, 1)[..., None]  # [S, S, 1]
    colours = colour_table()[np.rint(heat[..., 0] * 255).astype(np.uint8)]
    blended = (1 - OPACITY * heat) * 255 * np.clip(canvas[0], 0, 1)[..., None] + OPACITY * heat * colours
    return draw_box(np.rint(blended).astype(np.uint8), box)


def draw_box(picture: NDArray[np.uint8], box: Floats) -> NDArray[np.uint8]:
    """Draw the edges of a box `[4]` inside it on a picture `[S, S, 3] uint8`; the smallest box is one pixel."""
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
def colour_table() -> NDArray[np.float64]:
    """Return the colour of each of 256 levels: `[256, 3] float64 in [0, 255]`."""
    levels = np.asarray(colormaps[COLOURS](np.arange(256)), np.float64)
    return levels[:, :3] * 255
