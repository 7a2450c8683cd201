"""Shape, size and orientation of an image: what its header states of its pixel grid."""

import re
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from pydicom import Dataset

from service.dicom.elements import numbers, texts
from service.errors import MalformedDicom

_PLAUSIBLE = 10.0  # aspects beyond are errors of the writer
# PS3.3 C.7.6.1.1.1: at most one letter of each axis of the body
_DIRECTION = re.compile("(?!.*[AP].*[AP])(?!.*[LR].*[LR])(?!.*[HF].*[HF])[APLRHF]{1,3}")

Pair = tuple[float, float]


@dataclass(frozen=True)
class Geometry:
    """The pixel grid.

    Attributes
    ----------
    aspect
        Height over width of a pixel; 1 where the header states nothing usable.
    spacing
        Millimetres from row to row and from column to column; None where no attribute states both.
    spacing_from
        Keyword of the attribute that states `spacing`.
    orientation
        Directions of the rows and of the columns, from PatientOrientation; None where that is absent or invalid.
    """

    aspect: float
    spacing: Pair | None
    spacing_from: str | None
    orientation: tuple[str, str] | None

    @property
    def ratio(self) -> tuple[int, int]:
        """The aspect as PixelAspectRatio states it: vertical and horizontal size in whole numbers."""
        ratio = Fraction(self.aspect).limit_denominator(1000)
        return ratio.numerator, ratio.denominator


def geometry(dataset: Dataset) -> Geometry:
    """Read the pixel grid.

    Raises
    ------
    MalformedDicom
        `value_invalid` where an attribute that decides the aspect does not hold numbers.
    """
    spacing, keyword = _spacing(dataset)
    return Geometry(_aspect(dataset), spacing, keyword, _orientation(dataset))


def _aspect(dataset: Dataset) -> float:
    """PS3.3 C.7.6.3.1.7."""
    for keyword in ("PixelAspectRatio", "ImagerPixelSpacing", "PixelSpacing"):  # each: vertical, horizontal
        pair = _pair(dataset, keyword)
        if pair and 1 / _PLAUSIBLE <= pair[0] / pair[1] <= _PLAUSIBLE:
            return pair[0] / pair[1]
    return 1.0


def _spacing(dataset: Dataset) -> tuple[Pair, str] | tuple[None, None]:
    patient, detector, film = (
        _readable_pair(dataset, keyword)
        for keyword in ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing")
    )
    # PS3.3 10.7.1.1: a Pixel Spacing that is not calibrated repeats the spacing at the detector
    if patient and not (detector and np.allclose(patient, detector, rtol=1e-6, atol=0)):
        return patient, "PixelSpacing"
    if detector:
        return detector, "ImagerPixelSpacing"
    return (film, "NominalScannedPixelSpacing") if film else (None, None)


def _readable_pair(dataset: Dataset, keyword: str) -> Pair | None:
    """The pair, or None where it cannot be read: no pixel depends on a spacing."""
    try:
        return _pair(dataset, keyword)
    except MalformedDicom:
        return None


def _pair(dataset: Dataset, keyword: str) -> Pair | None:
    pair = numbers(dataset, keyword)
    return (pair[0], pair[1]) if len(pair) == 2 and min(pair) > 0 else None


def directions(dataset: Dataset) -> tuple[str, ...]:
    """Return the values of PatientOrientation in upper case, valid or not."""
    return tuple(direction.upper() for direction in texts(dataset, "PatientOrientation"))


def _orientation(dataset: Dataset) -> tuple[str, str] | None:
    stated = directions(dataset)
    if len(stated) != 2 or not all(map(_DIRECTION.fullmatch, stated)):
        return None
    return stated[0], stated[1]
