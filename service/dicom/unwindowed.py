"""The values of a radiograph before any window, for a viewer that applies windows itself.

With the first window a viewer shows what `display` shows: both take the same presentation.
"""

from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from service.dicom.elements import name, texts
from service.dicom.levels import Levels, levels_of
from service.dicom.lut import Table, look_up
from service.dicom.presentation import Presentation, Rescale, presentation
from service.dicom.window import Span, Window, full_span, is_valid, standard_window, windows
from service.errors import MalformedDicom

FULL_RANGE = "full range"
_MAX_WINDOWS = 16  # windows are sent in an HTTP header
# Words in manufacturers' names of windows. A name with any other word may identify somebody, and headers are logged.
_WORDS = frozenset(
    {
        *("BODY", "BONE", "BONES", "CHEST", "LUNG", "LUNGS", "MEDIASTINUM", "SPINE", "THORAX", "TISSUE"),
        *("BRIGHT", "CONTRAST", "DARK", "HARD", "HARDER", "HIGH", "LOW", "MEDIUM", "NARROW", "SOFT", "SOFTER", "WIDE"),
        *("CUSTOM", "DEFAULT", "LINEAR", "NORMAL", "ORIGINAL", "PRESET", "SIGMOID", "STANDARD", "USER", "VOI"),
        "WINDOW",
        *"123456789",
    }
)
_CODES = 2**16


@dataclass(frozen=True)
class Preset:
    """A window with a name; `function` is LINEAR, LINEAR_EXACT or SIGMOID, PS3.3 C.11.2.1.2 and C.11.2.1.3."""

    name: str
    center: float
    width: float
    function: str


@dataclass(frozen=True)
class Unwindowed:
    """A radiograph before windowing.

    Attributes
    ----------
    codes
        [H, W] uint16. slope * code + intercept is the value after Modality LUT and, where there is one, VOI LUT. It is
        exact where the values are evenly spaced, as integers with a rescale are, and else off by slope / 2 at most.
    padding
        Code of the pixels that are no part of the image or that its shutter covers, black in every window; None where
        there are none.
    invert
        Whether to invert once, after the window.
    voi_lut
        Whether a VOI LUT is applied already.
    windows
        The first is the one that `display` uses.
    spacing, spacing_from, aspect, orientation
        See `Geometry`.
    """

    codes: NDArray[np.uint16]
    slope: float
    intercept: float
    padding: int | None
    invert: bool
    voi_lut: bool
    windows: tuple[Preset, ...]
    spacing: tuple[float, float] | None
    spacing_from: str | None
    aspect: float
    orientation: tuple[str, str] | None


def without_window(stored: NDArray[np.integer[Any]], dataset: Dataset) -> Unwindowed:
    """Apply padding, Modality LUT and, where there is one, VOI LUT; return the rest of the presentation as numbers.

    Parameters
    ----------
    stored
        [H, W] integers, as `decoder.decode` returns them.

    Raises
    ------
    MalformedDicom
        `element_missing`, `value_invalid`.
    """
    measure = cache(partial(levels_of, stored, dataset))
    shown = presentation(measure, dataset)
    levels = measure(shown.shutter)
    values, window, visible = shown.rescale(levels.values), shown.voi, levels.visible(shown.is_monotone)
    if has_lut := isinstance(window, Table):
        values, window = look_up(values, window), Span(0, window.highest)
    if not np.isfinite(2 * values[visible]).all():
        raise MalformedDicom(f"{name('RescaleSlope')} is too large", "value_invalid")
    codes, slope, intercept, padding = _encode(values, levels, shown)
    pixels = levels.spread(codes)
    if shown.shutter is not None and padding is not None:
        pixels[shown.shutter.covered] = padding
    return Unwindowed(
        codes=pixels,
        slope=slope,
        intercept=intercept,
        padding=padding,
        invert=shown.inverse,
        voi_lut=has_lut,
        windows=_presets(window, full_span(values, visible), () if has_lut else windows(dataset), dataset),
        spacing=shown.geometry.spacing,
        spacing_from=shown.geometry.spacing_from,
        aspect=shown.geometry.aspect,
        orientation=shown.geometry.orientation,
    )


def _encode(
    values: NDArray[np.float64], levels: Levels, shown: Presentation
) -> tuple[NDArray[np.uint16], float, float, int | None]:
    """Return the code of each level, [N]; slope and intercept that turn codes into values; the code of padding."""
    has_padding = shown.shutter is not None or (levels.padding.any() and bool(levels.occurs[levels.padding].any()))
    low, high = full_span(values, levels.visible(shown.is_monotone))
    count, slope = _CODES - has_padding, _step(shown)
    if round((high - low) / slope) >= count:
        slope = (high - low) / (count - 1)
    codes, intercept = np.clip(np.rint((values - low) / slope), 0, count - 1), low
    padding = (_CODES - 1 if shown.inverse else 0) if has_padding else None
    if padding == 0:
        codes, intercept = codes + 1, intercept - slope
    return np.where(levels.padding, padding or 0, codes).astype(np.uint16), slope, intercept, padding


def _step(shown: Presentation) -> float:
    """Distance between neighbouring values: tables hold whole numbers."""
    if isinstance(shown.voi, Table) or not isinstance(shown.modality, Rescale):
        return 1.0
    return abs(shown.modality.slope)


def _presets(first: Window | Span, full: Span, others: tuple[Window, ...], dataset: Dataset) -> tuple[Preset, ...]:
    """The window that `display` uses, then the file's other windows or the full range.

    A file with a VOI LUT has no others: its windows are for values before the table.
    """
    names = _names(dataset)
    named = [
        _preset(window, names[place : place + 1], place)
        for place, window in enumerate(others[:_MAX_WINDOWS])
        if is_valid(window)
    ]
    if isinstance(first, Window):  # it is the first of them
        return (*named, _preset(full))
    return (_preset(first), *named)


def _names(dataset: Dataset) -> tuple[str, ...]:
    """Names of the file's windows; empty where a name has other words than `_WORDS`."""
    explanations = texts(dataset, "WindowCenterWidthExplanation")
    return tuple(text if set(text.upper().split()) <= _WORDS else "" for text in explanations)


def _preset(window: Window | Span, names: tuple[str, ...] = (), place: int = 0) -> Preset:
    if isinstance(window, Span):
        width = window.high - window.low
        if width <= 0:  # all black: every value is at the window's lower end
            return Preset(FULL_RANGE, window.low + 0.5, 1.0, "LINEAR_EXACT")
        return Preset(FULL_RANGE, (window.low + window.high) / 2, width, "LINEAR_EXACT")
    centre, width, function = standard_window(window)
    return Preset((names or ("",))[0] or f"window {place + 1}", centre, width, function)
