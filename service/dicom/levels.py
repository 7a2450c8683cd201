"""The stored values of an image, each once: the grayscale chain works on them, not on the pixels."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from service.dicom.elements import integer, numbers
from service.dicom.shutter import Shutter


@dataclass(frozen=True)
class Levels:
    """Every whole number from the smallest stored value to the largest; N is at most 65,536.

    Attributes
    ----------
    values
        [N] float64.
    index
        [H, W] int32, the level of each pixel.
    occurs
        [N] bool, whether any pixel has the level; those that a shutter covers do not count.
    padding
        [N] bool, whether pixels of the level are no part of the image, PS3.3 C.7.5.1.1.2.
    """

    values: NDArray[np.float64]
    index: NDArray[np.int32]
    occurs: NDArray[np.bool_]
    padding: NDArray[np.bool_]

    @property
    def visible(self) -> NDArray[np.bool_]:
        """[N] bool, whether the level occurs in the image itself."""
        return self.occurs & ~self.padding


def levels_of(stored: NDArray[np.integer[Any]], dataset: Dataset, shutter: Shutter | None) -> Levels:
    """Collect the levels of [H, W] integers, as `decoder.decode` returns them.

    Parameters
    ----------
    shutter
        The shutter of the image, `Presentation.shutter`.

    Raises
    ------
    MalformedDicom
        `element_missing`, `value_invalid`.
    """
    low = int(stored.min())
    index = stored.astype(np.int32) - low
    occurs = np.zeros(int(index.max()) + 1, np.bool_)
    occurs[index if shutter is None else index[~shutter.covered]] = True
    values = np.arange(low, low + occurs.size, dtype=np.float64)
    return Levels(values, index, occurs, _padding(values, dataset))


def _padding(values: NDArray[np.float64], dataset: Dataset) -> NDArray[np.bool_]:
    first = _stored_value(dataset, "PixelPaddingValue")
    if first is None:
        return np.zeros(values.shape, np.bool_)
    limit = _stored_value(dataset, "PixelPaddingRangeLimit")
    last = first if limit is None else limit
    return (values >= min(first, last)) & (values <= max(first, last))


def _stored_value(dataset: Dataset, keyword: str) -> int | None:
    """Read a stored value; where pixels are signed and it was written without its sign, restore the sign."""
    if not numbers(dataset, keyword):
        return None
    value = integer(dataset, keyword)
    unsigned = integer(dataset, "PixelRepresentation") and value >= 2 ** (integer(dataset, "BitsAllocated") - 1)
    return value - 2 ** integer(dataset, "BitsAllocated") if unsigned else value
