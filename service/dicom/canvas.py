"""From display values to the square canvas that the network takes, and from boxes on the canvas back to the image.

All pixels pass through here, from PNG files in training and from DICOM files in the service.
"""

from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from service.dicom.plain_picture import UNREADABLE, stored_greys
from service.errors import UnsupportedEncoding

Rule = Literal["stretch", "pad"]
Floats = NDArray[np.float32]
Box = tuple[float, float, float, float]

CANVAS_SIZE = 896  # 4 x 224


def canvas(values: Floats, size: int = CANVAS_SIZE, rule: Rule = "stretch", aspect: float = 1.0) -> Floats:
    """Resize display values to a square, in float32 throughout.

    Parameters
    ----------
    values
        [H, W] float32 in [0, 1].
    size
        S, side of the canvas in pixels.
    rule
        `stretch` fills the square, as ChestX-ray14 was published; `pad` keeps the proportions, centred on black.
    aspect
        Height over width of one pixel of `values`; only `pad` uses it.

    Returns
    -------
    [1, S, S] float32 in [0, 1].
    """
    height, width = values.shape
    x0, y0, x1, y1 = (round(edge * size) for edge in content(height, width, rule, aspect))
    square = np.zeros((1, size, size), np.float32)
    x1, y1 = max(x1, x0 + 1), max(y1, y0 + 1)
    square[0, y0:y1, x0:x1] = _resize(values, y1 - y0, x1 - x0)
    return square


def content(height: int, width: int, rule: Rule = "stretch", aspect: float = 1.0) -> Box:
    """Return the part of the canvas that the image covers: (x0, y0, x1, y1) in [0, 1], exclusive end."""
    if rule == "stretch":
        return (0.0, 0.0, 1.0, 1.0)
    longest = max(width, height * aspect)
    x, y = (1 - width / longest) / 2, (1 - height * aspect / longest) / 2
    return (x, y, 1 - x, 1 - y)


def to_image(
    box: Box, height: int, width: int, rule: Rule = "stretch", aspect: float = 1.0
) -> tuple[int, int, int, int]:
    """Convert a box on the canvas to pixels of the image.

    Parameters
    ----------
    box
        (x0, y0, x1, y1) in [0, 1] of the canvas, exclusive end.
    height, width
        Size of the image in pixels.
    rule, aspect
        The same as for `canvas`.

    Returns
    -------
    (x0, y0, x1, y1) in pixels, exclusive end, edges rounded to whole pixels; clipped to the image and never empty.
    """
    left, top, right, bottom = content(height, width, rule, aspect)
    x0, x1 = _edges((box[0] - left) / (right - left), (box[2] - left) / (right - left), width)
    y0, y1 = _edges((box[1] - top) / (bottom - top), (box[3] - top) / (bottom - top), height)
    return x0, y0, x1, y1


def grey_values(path: Path) -> Floats:
    """Read a greyscale PNG or JPEG as display values.

    8-bit values are divided by 255, 16-bit values by 65535. RGB, RGBA and palette images whose channels are equal (some
    of ChestX-ray14) are read as greyscale; a transparency channel is ignored.

    Returns
    -------
    [H, W] float32 in [0, 1].

    Raises
    ------
    UnsupportedEncoding
        `image_unreadable`, or `colour_image` where the three channels differ.
    """
    try:
        with Image.open(path) as image:
            image.load()
            greys = stored_greys(image)
    except UNREADABLE as error:
        raise UnsupportedEncoding("not a readable PNG or JPEG", "image_unreadable") from error
    return greys.astype(np.float32) / np.float32(np.iinfo(greys.dtype).max)


def _resize(values: Floats, height: int, width: int) -> Floats:
    shrunk = _shrink_rows(values, height) if height < values.shape[0] else values
    image = Image.fromarray(np.ascontiguousarray(shrunk, np.float32))  # mode F
    resized = image.resize((width, height), Image.Resampling.BILINEAR)  # antialiased when reducing
    return np.clip(np.asarray(resized, np.float32), 0, 1)


def _shrink_rows(values: Floats, height: int) -> Floats:
    """Reduce the number of rows as Pillow's antialiased bilinear resize does, in less time: it works on columns first.

    Each new row is the mean of the rows within one new row of its centre, with weights that fall to 0 there.
    """
    scale = values.shape[0] / height
    rows = np.empty((height, values.shape[1]), np.float32)
    for row in range(height):
        centre = (row + 0.5) * scale
        first, end = max(int(centre - scale + 0.5), 0), min(int(centre + scale + 0.5), values.shape[0])
        weights = np.maximum(1 - np.abs(np.arange(first, end) + 0.5 - centre) / scale, 0)
        weights = (weights / weights.sum()).astype(np.float32)
        rows[row] = np.einsum("k,kw->w", weights, values[first:end])  # not `@`, which would start threads
    return rows


def _edges(start: float, end: float, length: int) -> tuple[int, int]:
    low = min(max(round(start * length), 0), length - 1)
    return low, min(max(round(end * length), low + 1), length)
