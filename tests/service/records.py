"""Findings, predictions and records for tests, with valid values that can be replaced."""

from dataclasses import fields, replace
from typing import Any

import numpy as np

from service.artefact.card import OperatingPoint
from service.dicom.radiograph import IDENTITY_VERSION
from service.storage.record import Record
from service.triage.finding import Finding
from service.triage.prediction import Network, Prediction, Timings


def operating_point(threshold: float, sensitivity: float = 0.7, specificity: float = 0.95) -> OperatingPoint:
    return OperatingPoint(
        threshold=threshold,
        sensitivity=sensitivity,
        sensitivity_interval=(0.0, 1.0),
        specificity=specificity,
        specificity_interval=(0.0, 1.0),
        positives=10,
        negatives=90,
        source="test",
    )


def finding(label: str, positive: bool | None = False, probability: float = 0.25) -> Finding:
    if positive is None:
        return Finding(label, probability, 0.2, 0.3, None, None, None, None)
    return Finding(label, probability, 0.2, 0.3, 0.1 if positive else 0.9, positive, 0.625, 0.95)


PREDICTION = Prediction(
    priority="STAT",
    reason=("Pneumothorax",),
    margin=0.1 + 0.2,
    findings=(finding("Pneumothorax", positive=True), finding("Mass"), finding("Hernia", positive=None)),
    box=(0, 1, 2, 3),
    content=(0.125, 0.0, 0.875, 1.0),
    flags=("window_missing",),
    network=Network("agcnn", "1", "a" * 64),
    timings_ms=Timings(read=1.5, decode=2.25, prepare=0.1 + 0.2, queue=0.0, infer=12.0, store=3.0),
)


def record(**changes: Any) -> Record:
    """Return a record; `changes` replaces fields of the record or of its prediction."""
    prediction_changes = {name: changes.pop(name) for name in _PREDICTION_FIELDS if name in changes}
    values: dict[str, Any] = {
        "study_instance_uid": "1.2.3",
        "series_instance_uid": "1.2.3.4",
        "sop_instance_uid": "1.2.3.4.5",
        "accession_number": "A-1",
        "attributes": {"PatientName": "Nobody^Ann", "Modality": "DX"},
        "display_sha256": "d" * 64,
        "identity_version": IDENTITY_VERSION,
        "artefact_sha256": "a" * 64,
        "instance_file": "0" * 32 + ".dcm",
        "instance_bytes": 1234,
        "prediction": replace(PREDICTION, **prediction_changes),
        "heat_map": np.zeros((7, 7), np.float32),
        "class_maps": np.zeros((14, 7, 7), np.float32),
    }
    return Record(**(values | changes))


_PREDICTION_FIELDS = [field.name for field in fields(Prediction)]
