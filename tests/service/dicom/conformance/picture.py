"""A radiograph, and its expected canvas, computed in float64 and without the service."""

from functools import cache

import imagecodecs
import numpy as np
from pydicom import dcmread
from pydicom.encaps import get_frame

from tests.conftest import ROOT

STEP = 3  # 86 greys, each a whole number at 8 bits and more; the values between are free for padding
BORDER = 24


@cache
def picture() -> np.ndarray:
    """Return [640, 560] uint8: multiples of `STEP` from 0 to 255, both of which occur, within a black border.

    It is a phantom of samples/, decoded by CharLS through imagecodecs.
    """
    source = dcmread(ROOT / "samples" / "pneumothorax.dcm")
    stored = imagecodecs.jpegls_decode(get_frame(source.PixelData, 0, number_of_frames=1))
    rows = np.arange(640) * stored.shape[0] // 640
    columns = np.arange(560) * stored.shape[1] // 560
    values = stored[np.ix_(rows, columns)].astype(np.float64)
    inner = values[BORDER:-BORDER, BORDER:-BORDER]
    share = np.clip((values - inner.min()) / np.ptp(inner), 0, 1)
    grey = (np.rint(share * (255 // STEP)) * STEP).astype(np.uint8)
    grey[border()] = 0
    return grey


@cache
def border() -> np.ndarray:
    """Return [640, 560] bool: the black border, where padding may be."""
    edge = np.ones((640, 560), np.bool_)
    edge[BORDER:-BORDER, BORDER:-BORDER] = False
    return edge


def reference(shades: np.ndarray, size: int, rule: str = "stretch", aspect: float = 1.0) -> np.ndarray:
    """Resize [H, W] in [0, 1] to [1, S, S] float64, with a triangle filter as wide as a pixel of the coarser grid."""
    height, width = shades.shape
    top, left = 0, 0
    rows, columns = size, size
    if rule == "pad":
        longest = max(height * aspect, width)
        top, left = (round(size * (1 - side / longest) / 2) for side in (height * aspect, width))
        rows, columns = (round(size * (1 + side / longest) / 2) for side in (height * aspect, width))
        rows, columns = rows - top, columns - left
    square = np.zeros((1, size, size))
    resized = _triangle(height, rows) @ shades.astype(np.float64) @ _triangle(width, columns).T
    square[0, top : top + rows, left : left + columns] = resized
    return square


@cache
def _triangle(old: int, new: int) -> np.ndarray:
    """Return the weights of the old pixels, [new, old]; each row sums to 1."""
    scale = old / new
    distance = (np.arange(old)[None] + 0.5) - (np.arange(new)[:, None] + 0.5) * scale
    weights = np.maximum(1 - np.abs(distance) / max(scale, 1.0), 0)
    return weights / weights.sum(1, keepdims=True)
