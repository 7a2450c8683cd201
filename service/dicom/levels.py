"""The stored values of an image, each once: the grayscale chain works on them, not on the pixels.

Pixels are visited in blocks that stay in the processor's cache, as numpy converts every index to 8 bytes first.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from service.dicom.elements import integer, numbers
from service.dicom.shutter import Shutter

Entry = TypeVar("Entry", bound=np.generic)
Words = NDArray[np.unsignedinteger[Any]]

_BLOCK = 2**16  # pixels


@dataclass(frozen=True, eq=False)
class Levels:
    """Every whole number from the smallest stored value to the largest; N is at most 65,536.

    Attributes
    ----------
    stored
        [H, W] integers, the pixels.
    covered
        [H, W] bool, the pixels that a shutter covers; None where there is none.
    values
        [N] float64.
    padding
        [N] bool, whether pixels of the level are no part of the image, PS3.3 C.7.5.1.1.2.
    """

    stored: NDArray[np.integer[Any]]
    covered: NDArray[np.bool_] | None
    values: NDArray[np.float64]
    padding: NDArray[np.bool_]

    @cached_property
    def occurs(self) -> NDArray[np.bool_]:
        """[N] bool, whether any pixel has the level; those that a shutter covers do not count."""
        words, covered = _words(self.stored), None if self.covered is None else self.covered.reshape(-1)
        occurs = np.zeros(1 << 8 * words.itemsize, np.bool_)
        for place, index in _indices(words):
            occurs[index if covered is None else index[~covered[place]]] = True
        return occurs[_word(self.values, words)]

    def visible(self, monotone: bool) -> NDArray[np.bool_]:
        """[N] bool, whether the level occurs in the image itself.

        Parameters
        ----------
        monotone
            Whether the values of the levels will only rise, or only fall: the lowest and the highest level are then
            marked, and those between only where they cost no time.
        """
        if monotone and self.covered is None and not self.padding.any():
            ends = np.zeros(self.values.shape, np.bool_)
            ends[[0, -1]] = True
            return ends
        return self.occurs & ~self.padding

    def spread(self, table: NDArray[Entry]) -> NDArray[Entry]:
        """Give each pixel the entry of its level, [N] -> [H, W]."""
        words, pixels = _words(self.stored), np.empty(self.stored.shape, table.dtype)
        entries, flat = np.zeros(1 << 8 * words.itemsize, table.dtype), pixels.reshape(-1)
        entries[_word(self.values, words)] = table
        for place, index in _indices(words):
            np.take(entries, index, out=flat[place], mode="clip")  # no index is outside; other modes copy the block
        return pixels


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
    values = np.arange(int(stored.min()), int(stored.max()) + 1, dtype=np.float64)
    return Levels(stored, None if shutter is None else shutter.covered, values, _padding(values, dataset))


def _words(stored: NDArray[np.integer[Any]]) -> Words:
    """Return stored values, one after another, as words without sign: each is an index of a table of all words."""
    return stored.reshape(-1).view(f"u{stored.itemsize}")


def _word(values: NDArray[np.float64], words: Words) -> NDArray[np.int64]:
    """Return the word that holds each value."""
    return values.astype(np.int64) & (1 << 8 * words.itemsize) - 1


def _indices(words: Words) -> Iterator[tuple[slice, NDArray[np.intp]]]:
    """Yield words in blocks: their places, and the words as indices, which hold until the next block."""
    indices = np.empty(_BLOCK, np.intp)
    for start in range(0, words.size, _BLOCK):
        place = slice(start, start + _BLOCK)
        index = indices[: words[place].size]
        index[:] = words[place]
        yield place, index


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
