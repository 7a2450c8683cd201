"""The values of a radiograph before any window, for a viewer that windows them itself, and how the service would.

`display` and this part ways only after `pixels.voi`: what they show with the first window is the same.
"""

import math
import re
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from service.dicom.elements import items, name, numbers, texts
from service.dicom.pixels import (
    Levels,
    Span,
    Toned,
    Window,
    aspect,
    is_wide_enough,
    modality,
    occurring,
    padding,
    polarity,
    span,
    voi,
    windows,
)
from service.errors import MalformedDicom

FULL_RANGE = "full range"
_MOST = 16  # windows: they go into a header
# What makers call windows of a radiograph. A name of any other word may be of anybody, and headers stand in logs.
_WORDS = frozenset(
    {
        *("BODY", "BONE", "BONES", "CHEST", "LUNG", "LUNGS", "MEDIASTINUM", "SPINE", "THORAX", "TISSUE"),
        *("BRIGHT", "CONTRAST", "DARK", "HARD", "HARDER", "HIGH", "LOW", "MEDIUM", "NARROW", "SOFT", "SOFTER", "WIDE"),
        *(
            "CUSTOM",
            "DEFAULT",
            "LINEAR",
            "NORMAL",
            "ORIGINAL",
            "PRESET",
            "SIGMOID",
            "STANDARD",
            "USER",
            "VOI",
            "WINDOW",
        ),
        *"123456789",
    }
)
_DIRECTION = re.compile("[APRLHF]{1,3}")  # PS3.3 C.7.6.1.1.1
_CODES = 2**16


@dataclass(frozen=True)
class Preset:
    """A window by its name; `function` is LINEAR, LINEAR_EXACT or SIGMOID, PS3.3 C.11.2.1.2 and C.11.2.1.3."""

    name: str
    center: float
    width: float
    function: str


@dataclass(frozen=True)
class Tones:
    """A radiograph before windowing.

    Attributes
    ----------
    codes
        [H, W] uint16; the value after Modality LUT, and VOI LUT where there is one, is slope * code + intercept: the
        very value where those are evenly spaced, as integers with a rescale are, else off by slope / 2 at most.
    padding
        Code of the pixels that are no part of the image, black in every window; None where there are none.
    invert
        To be done once, after the window.
    windows
        The first is what `display` shows.
    spacing
        Millimetres from row to row and from column to column, and the keyword that says so; None where none does.
    orientation
        Where rows and columns point to, as PatientOrientation has it; None where it is absent or says anything else.
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


def tones(stored: NDArray[np.integer[Any]], dataset: Dataset) -> Tones:
    """Apply padding and Modality LUT, and VOI LUT where there is one; give the rest as numbers.

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
    hidden = padding(levels, dataset)
    seen = present & ~hidden
    toned = voi(modality(levels, dataset), seen, dataset)
    if not np.isfinite(2 * toned.values[seen]).all():
        raise MalformedDicom(f"{name('RescaleSlope')}: smaller numbers wanted", "value_invalid")
    inverse, _ = polarity(dataset)
    has_padding = bool((present & hidden).any())
    lut = bool(items(dataset, "VOILUTSequence"))
    step = _step(dataset, lut)
    coded, slope, intercept = _coded(toned.values, seen, step, _CODES - has_padding)
    code = (_CODES - 1 if inverse else 0) if has_padding else None
    if code == 0:
        coded, intercept = coded + 1, intercept - slope
    table = np.where(hidden, code or 0, coded).astype(np.uint16)
    spacing, spacing_from = _spacing(dataset)
    return Tones(
        codes=table[index],
        slope=slope,
        intercept=intercept,
        padding=code,
        invert=inverse,
        voi_lut=lut,
        windows=_presets(toned, seen, dataset, lut),
        spacing=spacing,
        spacing_from=spacing_from,
        aspect=aspect(dataset),
        orientation=_orientation(dataset),
    )


def _step(dataset: Dataset, lut: bool) -> float:
    """Distance of neighbouring values: tables hold whole numbers."""
    if lut or items(dataset, "ModalityLUTSequence"):
        return 1.0
    return abs((numbers(dataset, "RescaleSlope") or (1.0,))[0])


def _coded(values: Levels, seen: NDArray[np.bool_], step: float, codes: int) -> tuple[Levels, float, float]:
    """Whole numbers from 0 for values, [N], in as many codes as there are; slope and intercept that give them back."""
    low, high = span(values, seen)
    slope = step if round((high - low) / step) < codes else (high - low) / (codes - 1)
    return np.clip(np.rint((values - low) / slope), 0, codes - 1), slope, low


def _presets(toned: Toned, seen: NDArray[np.bool_], dataset: Dataset, lut: bool) -> tuple[Preset, ...]:
    first = _preset(toned.window, _names(dataset)[:1])
    if lut:  # the windows are the file's other views, of values before the table
        return (first,)
    named = [
        _preset(one, _names(dataset)[place : place + 1], place)
        for place, one in enumerate(windows(dataset)[:_MOST])
        if is_wide_enough(one)
    ]
    if named and named[0] == first:
        return (*named, _preset(span(toned.values, seen), ()))
    return (first, *named)


def _names(dataset: Dataset) -> tuple[str, ...]:
    found = texts(dataset, "WindowCenterWidthExplanation")
    return tuple(one if set(one.upper().split()) <= _WORDS else "" for one in found)


def _preset(shown: Window | Span, names: tuple[str, ...], place: int = 0) -> Preset:
    if isinstance(shown, Span):
        width = shown.high - shown.low
        if width <= 0:  # black: everything is at the window's lower end
            return Preset(FULL_RANGE, shown.low + 0.5, 1.0, "LINEAR_EXACT")
        return Preset(FULL_RANGE, (shown.low + shown.high) / 2, width, "LINEAR_EXACT")
    function = shown.function if shown.function in ("LINEAR_EXACT", "SIGMOID") else "LINEAR"
    return Preset((names or ("",))[0] or f"window {place + 1}", shown.centre, shown.width, function)


def _spacing(dataset: Dataset) -> tuple[tuple[float, float] | None, str | None]:
    patient, detector, film = map(
        partial(_pair, dataset), ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing")
    )
    # PS3.3 10.7.1.1: without a calibration Pixel Spacing, where there is one, repeats the detector's
    if patient and not (detector and np.allclose(patient, detector, rtol=1e-6, atol=0)):
        return patient, "PixelSpacing"
    if detector:
        return detector, "ImagerPixelSpacing"
    return (film, "NominalScannedPixelSpacing") if film else (None, None)


def _pair(dataset: Dataset, keyword: str) -> tuple[float, float] | None:
    pair = numbers(dataset, keyword)
    return (pair[0], pair[1]) if len(pair) == 2 and min(pair) > 0 and math.isfinite(sum(pair)) else None


def _orientation(dataset: Dataset) -> tuple[str, str] | None:
    found = texts(dataset, "PatientOrientation")
    if len(found) != 2 or not all(map(_DIRECTION.fullmatch, found)):
        return None
    return found[0], found[1]
