"""How an image is shown: the grayscale chain of PS3.3 C.11 and PS3.4 N.2 with the parameters that it uses.

The header is read for it here alone: pixels, the values for a viewer and derived objects all take what this module
returns.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from service.dicom.elements import integer, items, name, numbers, text
from service.dicom.geometry import Geometry, geometry
from service.dicom.header import first_word
from service.dicom.levels import Levels
from service.dicom.lut import Table, look_up, read_table
from service.dicom.shutter import Shutter, shutter
from service.dicom.window import FUNCTIONS, Span, Window, apply_window, full_span, is_beside, is_valid, windows
from service.errors import MalformedDicom

Values = NDArray[np.float64]

_ASPECT_TOLERANCE = 0.01  # pixels with a smaller deviation from 1 count as square
_UNSPECIFIED = "US"  # PS3.3 C.11.1.1.2


class Rescale(NamedTuple):
    """value = slope * stored value + intercept, PS3.3 C.11.1."""

    slope: float
    intercept: float


@dataclass(frozen=True)
class Presentation:
    """What shows one image.

    Attributes
    ----------
    modality
        The Modality LUT transformation; None where the header has none.
    modality_type
        Modality LUT Type or Rescale Type.
    voi
        The VOI transformation: a table, a window of the file, or the span that takes its place.
    inverse
        Whether to invert once, after the VOI transformation.
    geometry
        The pixel grid.
    shutter
        The display shutter; None where it covers no pixel.
    flags
        `voi_lut_unusable`, `window_missing`, `window_width_invalid`, `window_unusable`, `voi_function_unknown`,
        `polarity_conflict`, `pixels_not_square`, `display_shutter`, `display_shutter_unusable`.
    """

    modality: Table | Rescale | None
    modality_type: str
    voi: Table | Window | Span
    inverse: bool
    geometry: Geometry
    shutter: Shutter | None
    flags: tuple[str, ...]

    @property
    def is_monotone(self) -> bool:
        """Whether greys only rise with the stored values, or only fall."""
        return not isinstance(self.modality, Table) and not isinstance(self.voi, Table)

    def rescale(self, stored: Values) -> Values:
        """Apply the Modality LUT transformation to stored values, [N] float64 -> [N] float64."""
        return _rescale(stored, self.modality)

    def shade(self, stored: Values) -> Values:
        """Bring stored values, [N] float64, to greys, [N] float64 in [0, 1], 0 black."""
        values, window = self.rescale(stored), self.voi
        if isinstance(window, Table):
            values, window = look_up(values, window), Span(0, window.highest)
        greys = apply_window(values, window)
        return 1 - greys if self.inverse else greys


def presentation(measure: Callable[[Shutter | None], Levels], dataset: Dataset) -> Presentation:
    """Read how an image is shown.

    Parameters
    ----------
    measure
        Returns the levels of the image under its shutter; called only if the header does not say enough: for the sign
        of a lookup table's first value, and for what a window shows of the pixels.

    Raises
    ------
    MalformedDicom
        `element_missing`, `value_invalid`.
    """
    grid = geometry(dataset)
    oblong = ("pixels_not_square",) if abs(grid.aspect - 1) > _ASPECT_TOLERANCE else ()
    cover, covering = shutter(dataset, grid.aspect)
    levels = cache(partial(measure, cover))
    modality, modality_type = _modality(levels, dataset)
    voi, doubts = _voi(levels, modality, dataset)
    inverse, conflict = _polarity(dataset)
    flags = (*doubts, *conflict, *oblong, *covering)
    return Presentation(modality, modality_type, voi, inverse, grid, cover, flags)


def _modality(levels: Callable[[], Levels], dataset: Dataset) -> tuple[Table | Rescale | None, str]:
    """Modality LUT before rescaling, PS3.3 C.11.1."""
    sequence = items(dataset, "ModalityLUTSequence")
    if sequence:
        kind = first_word(sequence[0], "ModalityLUTType") or _UNSPECIFIED
        return read_table(sequence[0], dataset, signed=bool(levels().values.min() < 0)), kind
    slopes, intercepts = numbers(dataset, "RescaleSlope"), numbers(dataset, "RescaleIntercept")
    if slopes[:1] == (0.0,):
        raise MalformedDicom(f"{name('RescaleSlope')} must not be 0", "value_invalid")
    kind = first_word(dataset, "RescaleType") or _UNSPECIFIED
    if not slopes and not intercepts:
        return None, kind
    return Rescale((slopes or (1.0,))[0], (intercepts or (0.0,))[0]), kind


def _rescale(stored: Values, modality: Table | Rescale | None) -> Values:
    if modality is None:
        return stored
    return look_up(stored, modality) if isinstance(modality, Table) else stored * modality.slope + modality.intercept


def _voi(
    levels: Callable[[], Levels], modality: Table | Rescale | None, dataset: Dataset
) -> tuple[Table | Window | Span, tuple[str, ...]]:
    """VOI LUT, else the first window, else what the pixels suggest, PS3.3 C.11.2; and flags."""
    try:
        sequence = items(dataset, "VOILUTSequence")
        if sequence:
            return read_table(sequence[0], dataset, signed=bool(_rescale(levels().values, modality).min() < 0)), ()
    except MalformedDicom:  # the window beside it says the same; no value loses its meaning
        window, doubts = _window(levels, modality, dataset)
        return window, ("voi_lut_unusable", *doubts)
    return _window(levels, modality, dataset)


def _window(
    levels: Callable[[], Levels], modality: Table | Rescale | None, dataset: Dataset
) -> tuple[Window | Span, tuple[str, ...]]:
    first = next(iter(windows(dataset)), None)
    if first is None:
        if _is_display_ready(levels, modality, dataset):
            return Span(0, 255), ()
        return _range(levels(), modality), ("window_missing",)
    unknown = () if first.function in FUNCTIONS else ("voi_function_unknown",)
    if not is_valid(first):
        return _range(levels(), modality), (*unknown, "window_width_invalid")
    if is_beside(_rescale(levels().values, modality)[_visible(levels(), modality)], first):
        return _range(levels(), modality), (*unknown, "window_unusable")
    return first, unknown


def _range(levels: Levels, modality: Table | Rescale | None) -> Span:
    return full_span(_rescale(levels.values, modality), _visible(levels, modality))


def _visible(levels: Levels, modality: Table | Rescale | None) -> NDArray[np.bool_]:
    return levels.visible(monotone=not isinstance(modality, Table))


def _is_display_ready(levels: Callable[[], Levels], modality: Table | Rescale | None, dataset: Dataset) -> bool:
    """Whether values are unsigned, of 8 bits and not rescaled."""
    if integer(dataset, "BitsStored") != 8 or integer(dataset, "PixelRepresentation"):
        return False
    if dataset["PixelData"].is_undefined_length and levels().values.max() > 255:  # deeper than Bits Stored
        return False
    return modality is None or (isinstance(modality, Rescale) and modality == Rescale(1.0, 0.0))


def _polarity(dataset: Dataset) -> tuple[bool, tuple[str, ...]]:
    """Presentation LUT Shape decides, or MONOCHROME1 where the shape is absent, PS3.3 C.11.6; and flags."""
    white_is_low = text(dataset, "PhotometricInterpretation").upper() == "MONOCHROME1"
    shape = text(dataset, "PresentationLUTShape").upper()
    inverse = shape == "INVERSE" if shape in ("INVERSE", "IDENTITY") else white_is_low
    return inverse, (("polarity_conflict",) if inverse != white_is_low else ())
