"""The readers' measurements as measurement groups of the SR, TID 1501.

Each number is inferred from one set of coordinates: OHIF leaves a document black with a group that has none, or with a
number that has several.
"""

import re
from datetime import UTC

import numpy as np
from highdicom import sr
from highdicom.sr import enum

from service.objects.codes import (
    ANGLE,
    CARDIAC_WIDTH,
    CARDIOTHORACIC_RATIO,
    COMMENT,
    DEGREE,
    LENGTH,
    MILLIMETRE,
    PERSON,
    PIXELS,
    RATIO,
    THORACIC_WIDTH,
    Coded,
)
from service.objects.derived import concept
from service.objects.product import uid
from service.objects.source import Source
from service.storage.record import Record
from service.triage.measurement import Measurement, Point, Quantity, Unit, length, quantity

_UNITS: dict[Unit, Coded] = {"mm": MILLIMETRE, "px": PIXELS, "deg": DEGREE, "1": RATIO}
_NAMES = {"length": LENGTH, "angle": ANGLE, "cardiothoracic_ratio": CARDIOTHORACIC_RATIO}
_NO_NAME = re.compile(r"[\\=^]")  # delimiters of a PN, PS3.5 6.2.1
_UNKNOWN = "Unknown"  # TID 1003 requires a name
_AT_DETECTOR = "Length at the detector, larger than in the patient"
_DIGITS = 4


def measurement_groups(record: Record, source: Source) -> list[sr.MeasurementsAndQualitativeEvaluations]:
    """Return a group for each measurement, with the person who made it and the time."""
    return [_group(measurement, record, source) for measurement in record.measurements]


def _group(measurement: Measurement, record: Record, source: Source) -> sr.MeasurementsAndQualitativeEvaluations:
    name = _NAMES[measurement.kind]
    tracking = sr.TrackingIdentifier(uid(record.id, f"measurement/{measurement.id}"), name.meaning)
    group = sr.MeasurementsAndQualitativeEvaluations(tracking, measurements=_numbers(measurement, source))
    container = group[0]
    container.ObservationDateTime = measurement.at.astimezone(UTC).strftime("%Y%m%d%H%M%S.%f%z")
    person = sr.PersonObserverIdentifyingAttributes(_NO_NAME.sub(" ", measurement.by).strip() or _UNKNOWN)
    remarks = [_AT_DETECTOR] if _is_at_detector(measurement) else []
    container.ContentSequence = sr.ContentSequence(
        [
            *sr.ObserverContext(concept(PERSON), person),
            *container.ContentSequence,
            *(sr.TextContentItem(concept(COMMENT), remark, enum.RelationshipTypeValues.CONTAINS) for remark in remarks),
        ]
    )
    return group


def _numbers(measurement: Measurement, source: Source) -> list[sr.Measurement]:
    value, points = quantity(measurement), measurement.points
    if measurement.kind != "cardiothoracic_ratio":
        return [_number(_NAMES[measurement.kind], value, points, source)]
    heart, thorax = points[:2], points[2:]
    return [
        _number(CARDIOTHORACIC_RATIO, value, points, source),
        _number(CARDIAC_WIDTH, _width(heart, measurement), heart, source),
        _number(THORACIC_WIDTH, _width(thorax, measurement), thorax, source),
    ]


def _width(ends: tuple[Point, ...], measurement: Measurement) -> Quantity:
    """Return the horizontal distance of two points."""
    (start, height), (end, _) = ends
    return length((start, height), (end, height), measurement.grid)


def _number(name: Coded, value: Quantity, points: tuple[Point, ...], source: Source) -> sr.Measurement:
    header = source.header
    lines = enum.GraphicTypeValues.POLYLINE
    coordinates = sr.CoordinatesForMeasurement(
        lines if len(points) < 4 else enum.GraphicTypeValues.MULTIPOINT,  # a ratio's points are two lines
        np.array(points, np.float32),
        sr.SourceImageForRegion(header.SOPClassUID, header.SOPInstanceUID),
    )
    return sr.Measurement(
        concept(name),
        round(value.value, _DIGITS),
        concept(_UNITS[value.unit]),
        referenced_coordinates=[coordinates],
    )


def _is_at_detector(measurement: Measurement) -> bool:
    return measurement.kind != "angle" and measurement.grid.spacing_from == "ImagerPixelSpacing"
