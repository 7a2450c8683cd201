"""From stored values to display values."""

from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from service.dicom.levels import levels_of
from service.dicom.presentation import Presentation, presentation
from service.dicom.window import Window


@dataclass(frozen=True)
class Display:
    """What a radiologist would see.

    Attributes
    ----------
    values
        [H, W] float32 in [0, 1], 0 black.
    presentation
        The presentation that they are from.
    greys
        [N] float32 in [0, 1], the grey of each stored value from the smallest of the image to the largest.
    blank
        Whether the image, without its padding and what its shutter covers, is of one of 256 greys.
    """

    values: NDArray[np.float32]
    presentation: Presentation
    greys: NDArray[np.float32]
    blank: bool


def display(stored: NDArray[np.integer[Any]], dataset: Dataset, window: Window | None = None) -> Display:
    """Apply padding, Modality LUT, VOI LUT or window, polarity, and shutter, in this order.

    Parameters
    ----------
    stored
        [H, W] integers, as `decoder.decode` returns them.
    window
        Replaces the VOI transformation of the file if given, even where it shows nothing.

    Raises
    ------
    MalformedDicom
        `element_missing`, `value_invalid`.
    """
    measure = cache(partial(levels_of, stored, dataset))
    shown = presentation(measure, dataset)
    if window is not None:
        shown = replace(shown, voi=window)
    levels = measure(shown.shutter)
    greys = np.where(levels.padding, 0.0, shown.shade(levels.values)).astype(np.float32)
    values, visible = levels.spread(greys), np.rint(255 * greys[levels.visible(shown.is_monotone)])
    if shown.shutter is not None:
        values[shown.shutter.covered] = 0
    return Display(values, shown, greys, blank=visible.size == 0 or bool(visible.min() == visible.max()))
