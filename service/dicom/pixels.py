"""From stored values to display values: the grayscale chain of PS3.3 C.11 and PS3.4 N.2, and the shape of a pixel.

The chain works on the levels that occur in the image, not on its pixels: at most 65,536 numbers, in float64, that are
looked up once.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from service.dicom.elements import integer, items, numbers, text
from service.dicom.lut import look_up, table_of
from service.errors import MalformedDicom

Levels = NDArray[np.float64]
Mask = NDArray[np.bool_]

_SQUARE = 0.01  # deviation of an aspect that nobody sees
_FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")  # PS3.3 C.11.2.1.3
_PLAUSIBLE = 10.0  # aspects beyond are errors of the writer


@dataclass(frozen=True)
class Display:
    """What a radiologist would see.

    Attributes
    ----------
    values
        [H, W] float32 in [0, 1], 0 black.
    flags
        `window_missing`, `window_width_invalid`, `voi_function_unknown`, `polarity_conflict`, `pixels_not_square`.
    """

    values: NDArray[np.float32]
    flags: tuple[str, ...]


class Window(NamedTuple):
    """A window of the file: `function` other than LINEAR_EXACT and SIGMOID counts as LINEAR."""

    centre: float
    width: float
    function: str


class Span(NamedTuple):
    """A straight line from black at `low` to white at `high`."""

    low: float
    high: float


class Toned(NamedTuple):
    """Levels after Modality LUT and VOI LUT, the window to show them with, and what had to be guessed."""

    values: Levels
    window: Window | Span
    flags: tuple[str, ...]


def display(stored: NDArray[np.integer[Any]], dataset: Dataset) -> Display:
    """Apply padding, Modality LUT, VOI and polarity, in this order.

    Parameters
    ----------
    stored
        [H, W] integers, as `decoder.decode` returns them.

    Raises
    ------
    MalformedDicom
        `element_missing`, `value_invalid`.
    """
    index, levels, present = occurring(stored)
    seen = present & ~padding(levels, dataset)
    toned = voi(modality(levels, dataset), seen, dataset)
    inverse, conflict = polarity(dataset)
    shades = shaded(toned.values, toned.window)
    painted = np.where(padding(levels, dataset), 0.0, 1 - shades if inverse else shades).astype(np.float32)
    flags = (*toned.flags, *conflict, *(("pixels_not_square",) if abs(aspect(dataset) - 1) > _SQUARE else ()))
    return Display(painted[index], flags)


def occurring(stored: NDArray[np.integer[Any]]) -> tuple[NDArray[np.int32], Levels, Mask]:
    """Levels from the smallest stored value to the largest, where in them each pixel is, [H, W], and which occur."""
    low = int(stored.min())
    index = stored.astype(np.int32) - low
    present = np.zeros(int(index.max()) + 1, np.bool_)
    present[index] = True
    return index, np.arange(low, low + present.size, dtype=np.float64), present


def padding(levels: Levels, dataset: Dataset) -> Mask:
    """Levels that are no part of the image, PS3.3 C.7.5.1.1.2."""
    first = _stored_value(dataset, "PixelPaddingValue")
    if first is None:
        return np.zeros(levels.shape, np.bool_)
    limit = _stored_value(dataset, "PixelPaddingRangeLimit")
    last = first if limit is None else limit
    return (levels >= min(first, last)) & (levels <= max(first, last))


def modality(levels: Levels, dataset: Dataset) -> Levels:
    """Modality LUT, or rescale slope and intercept, PS3.3 C.11.1."""
    sequence = items(dataset, "ModalityLUTSequence")
    if sequence:
        return look_up(levels, table_of(sequence[0], dataset))
    return levels * _single(dataset, "RescaleSlope", 1.0) + _single(dataset, "RescaleIntercept", 0.0)


def voi(values: Levels, seen: Mask, dataset: Dataset) -> Toned:
    """VOI LUT, else the first window, else what the pixels suggest, PS3.3 C.11.2.

    Parameters
    ----------
    values
        [N] after the Modality LUT.
    seen
        [N] those of them that occur in the image and are no padding.
    """
    sequence = items(dataset, "VOILUTSequence")
    if sequence:
        table = table_of(sequence[0], dataset)
        return Toned(look_up(values, table), Span(0, table.highest), ())
    found = windows(dataset)
    if not found:
        return _without_window(values, seen, dataset)
    unknown = () if found[0].function in _FUNCTIONS else ("voi_function_unknown",)
    if not is_wide_enough(found[0]):
        return Toned(values, span(values, seen), (*unknown, "window_width_invalid"))
    return Toned(values, found[0], unknown)


def windows(dataset: Dataset) -> tuple[Window, ...]:
    """Every window that the file gives, also one that is too narrow."""
    function = text(dataset, "VOILUTFunction").upper() or "LINEAR"
    pairs = zip(numbers(dataset, "WindowCenter"), numbers(dataset, "WindowWidth"), strict=False)
    return tuple(Window(centre, width, function) for centre, width in pairs)


def shaded(values: Levels, shown: Window | Span) -> Levels:
    """Bring values to [0, 1] with a window; a span of no width is black."""
    if isinstance(shown, Window):
        return window(values, shown.centre, shown.width, shown.function)
    if shown.high <= shown.low:
        return np.zeros(values.shape)
    return np.clip((values - shown.low) / (shown.high - shown.low), 0, 1)


def window(values: Levels, centre: float, width: float, function: str = "LINEAR") -> Levels:
    """One window to [0, 1]; `function` other than LINEAR_EXACT and SIGMOID counts as LINEAR."""
    if function == "SIGMOID":  # PS3.3 C.11.2.1.3.1
        return 1 / (1 + np.exp(np.clip(-4 * (values - centre) / width, -700, 700)))
    if function == "LINEAR_EXACT":  # PS3.3 C.11.2.1.3.2
        return np.clip((values - centre) / width + 0.5, 0, 1)
    if width == 1:  # PS3.3 C.11.2.1.2.1: a threshold
        return np.where(values > centre - 0.5, 1.0, 0.0)
    return np.clip((values - (centre - 0.5)) / (width - 1) + 0.5, 0, 1)  # PS3.3 C.11.2.1.2.1


def is_wide_enough(shown: Window) -> bool:
    """Whether a window's width is one that its function takes."""
    if shown.function in ("LINEAR_EXACT", "SIGMOID"):
        return shown.width > 0
    return shown.width >= 1  # PS3.3 C.11.2.1.2.1


def span(values: Levels, seen: Mask) -> Span:
    """From the smallest seen value to the largest."""
    return Span(float(values[seen].min()), float(values[seen].max())) if seen.any() else Span(0, 0)


def polarity(dataset: Dataset) -> tuple[bool, tuple[str, ...]]:
    """Invert once or not at all: Presentation LUT Shape decides, or MONOCHROME1 where none is given, PS3.3 C.11.6."""
    white_is_low = text(dataset, "PhotometricInterpretation").upper() == "MONOCHROME1"
    shape = text(dataset, "PresentationLUTShape").upper()
    inverse = shape == "INVERSE" if shape in ("INVERSE", "IDENTITY") else white_is_low
    return inverse, (("polarity_conflict",) if inverse != white_is_low else ())


def aspect(dataset: Dataset) -> float:
    """Height over width of a pixel, PS3.3 C.7.6.3.1.7; 1 where nothing usable is said."""
    for keyword in ("PixelAspectRatio", "ImagerPixelSpacing", "PixelSpacing"):  # each: vertical, horizontal
        pair = numbers(dataset, keyword)
        if len(pair) == 2 and min(pair) > 0 and 1 / _PLAUSIBLE <= pair[0] / pair[1] <= _PLAUSIBLE:
            return pair[0] / pair[1]
    return 1.0


def _without_window(values: Levels, seen: Mask, dataset: Dataset) -> Toned:
    eight_bits = integer(dataset, "BitsStored") == 8 and not integer(dataset, "PixelRepresentation")
    rescaled = items(dataset, "ModalityLUTSequence") or (
        (_single(dataset, "RescaleSlope", 1.0), _single(dataset, "RescaleIntercept", 0.0)) != (1.0, 0.0)
    )
    if eight_bits and not rescaled:
        return Toned(values, Span(0, 255), ())
    return Toned(values, span(values, seen), ("window_missing",))


def _stored_value(dataset: Dataset, keyword: str) -> int | None:
    """A value among stored values; written without its sign where pixels have one, it is given it back."""
    if not numbers(dataset, keyword):
        return None
    value = integer(dataset, keyword)
    wraps = integer(dataset, "PixelRepresentation") and value >= 2 ** (integer(dataset, "BitsAllocated") - 1)
    return value - 2 ** integer(dataset, "BitsAllocated") if wraps else value


def _single(dataset: Dataset, keyword: str, default: float) -> float:
    values = numbers(dataset, keyword)
    if keyword == "RescaleSlope" and values[:1] == (0.0,):
        raise MalformedDicom("(0028,1053) RescaleSlope: another number than 0 wanted", "value_invalid")
    return values[0] if values else default
