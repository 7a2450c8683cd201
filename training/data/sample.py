"""A radiograph: its metadata (`Case`) and its canvas."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Box = tuple[float, float, float, float]

OLDEST = 120.0  # years; some published rows have ages up to 414
YEARS = {"Y": 1.0, "M": 1 / 12, "W": 7 / 365.25, "D": 1 / 365.25}  # PS3.5 6.2, age string


@dataclass(frozen=True, slots=True)
class Case:
    """The metadata of a radiograph.

    Attributes
    ----------
    image
        Name of the image, unique within its source.
    patient
        Identifier of the patient; a patient is in one split only.
    findings
        Value of each of the source's labels, in order: 1 present, 0 absent, NaN unknown.
    collection
        Part of a composed data set that the image is from; empty if unknown.
    sex
        `F`, `M` or empty.
    age
        Age in years; None if unknown.
    view
        `PA`, `AP` or empty.
    boxes
        Label to boxes (x0, y0, x1, y1) in [0, 1] of the image, exclusive end.
    """

    image: str
    patient: str
    findings: tuple[float, ...]
    collection: str = ""
    sex: str = ""
    age: float | None = None
    view: str = ""
    boxes: Mapping[str, tuple[Box, ...]] = field(default_factory=dict)


def parse_age(published: str) -> float | None:
    """Parse an age in years from `58`, `58.0` or, as in DICOM and older tables, `058Y`, `018M`; None above `OLDEST`."""
    unit = published[-1:] if published[-1:] in YEARS else "Y"
    digits = published.removesuffix(unit)
    age = float(digits) * YEARS[unit] if digits.replace(".", "", 1).isdecimal() else None
    return None if age is None or age > OLDEST else age


def targets(cases: Sequence[Case]) -> Floats:
    """Return the findings of cases as `[N, K] float32`: 0, 1, or NaN where unknown."""
    return np.array([case.findings for case in cases], np.float32)


@dataclass(frozen=True)
class Sample:
    """A radiograph: its metadata, and its canvas `[1, S, S] float32 in [0, 1]`."""

    case: Case
    canvas: Floats
