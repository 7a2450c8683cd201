"""From stored values to display values."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from service.dicom.levels import levels_of
from service.dicom.presentation import Presentation, presentation


@dataclass(frozen=True)
class Display:
    """What a radiologist would see: `values` [H, W] float32 in [0, 1], 0 black, and the presentation they are from."""

    values: NDArray[np.float32]
    presentation: Presentation


def display(stored: NDArray[np.integer[Any]], dataset: Dataset) -> Display:
    """Apply padding, Modality LUT, VOI LUT or window, and polarity, in this order.

    Parameters
    ----------
    stored
        [H, W] integers, as `decoder.decode` returns them.

    Raises
    ------
    MalformedDicom
        `element_missing`, `value_invalid`.
    """
    levels = levels_of(stored, dataset)
    shown = presentation(lambda: levels, dataset)
    greys = np.where(levels.padding, 0.0, shown.shade(levels.values)).astype(np.float32)
    return Display(greys[levels.index], shown)
