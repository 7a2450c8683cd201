"""Conversion between records and database rows; the only place where a stored prediction is JSON."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import sqlalchemy as sa

from service.artefact.card import LabelCodes
from service.dicom.grid import Grid
from service.storage.record import Record, Summary
from service.storage.tables import INSTANCES, MEASUREMENTS, PREDICTIONS, SEARCHED
from service.triage.finding import Finding
from service.triage.measurement import Measurement
from service.triage.prediction import Network, Prediction, Timings

_LITTLE_ENDIAN = np.dtype("<f4")
_WHOLE = (0.0, 0.0, 1.0, 1.0)  # `content` of records written before it was stored, when every canvas was stretched
_UNDERSCORED = {"global": "global_"}

_INSTANCE_COLUMNS = (
    "study_instance_uid",
    "series_instance_uid",
    "sop_instance_uid",
    "accession_number",
    "attributes",
    "display_sha256",
    "identity_version",
    "instance_file",
    "instance_bytes",
)
_PREDICTION_COLUMNS = ("id", "artefact_sha256", "created", "priority", "margin", "body")
_MAP_COLUMNS = ("map_height", "map_width", "heat_map", "class_maps")

# Number of changes of a record's measurements: each was made once, and deleted once at most.
_REVISION = (
    sa.select(sa.func.count() + sa.func.count(MEASUREMENTS.c.deleted_at))
    .where(MEASUREMENTS.c.prediction_id == PREDICTIONS.c.id)
    .correlate(PREDICTIONS)
    .scalar_subquery()
    .label("revision")
)
SUMMARIES = sa.select(
    *(INSTANCES.c[name] for name in _INSTANCE_COLUMNS),
    *(PREDICTIONS.c[name] for name in _PREDICTION_COLUMNS),
    _REVISION,
).select_from(PREDICTIONS.join(INSTANCES))
RECORDS = SUMMARIES.add_columns(*(PREDICTIONS.c[name] for name in _MAP_COLUMNS))


def instance_values(record: Record) -> dict[str, Any]:
    """Return the columns of the table `instances`."""
    searched = {column: record.attributes.get(keyword, "") for column, keyword in SEARCHED.items()}
    return {name: getattr(record, name) for name in _INSTANCE_COLUMNS} | searched | {"received": record.created}


def prediction_values(record: Record, instance: int) -> dict[str, Any]:
    """Return the columns of the table `predictions`."""
    height, width = record.heat_map.shape
    return {
        "id": record.id,
        "instance_id": instance,
        "artefact_sha256": record.artefact_sha256,
        "created": record.created,
        "priority": record.prediction.priority,
        "margin": record.prediction.margin,
        "body": to_json(record.prediction),
        "map_height": height,
        "map_width": width,
        "heat_map": record.heat_map.astype(_LITTLE_ENDIAN).tobytes(),
        "class_maps": record.class_maps.astype(_LITTLE_ENDIAN).tobytes(),
    }


def summary(row: sa.RowMapping) -> Summary:
    """Return the summary in a row of `tables.SUMMARIES`."""
    return Summary(**_summary_values(row))


def record(row: sa.RowMapping, measured: Sequence[sa.RowMapping] = ()) -> Record:
    """Return the record in a row of `tables.RECORDS` and the rows of its measurements, oldest first."""
    height, width = row["map_height"], row["map_width"]
    heat_map, class_maps = (np.frombuffer(row[name], _LITTLE_ENDIAN) for name in ("heat_map", "class_maps"))
    return Record(
        **_summary_values(row),
        heat_map=heat_map.reshape(height, width).astype(np.float32),
        class_maps=class_maps.reshape(-1, height, width).astype(np.float32),
        measurements=tuple(measurement(row) for row in measured if row["deleted_at"] is None),
        revised=max((row["deleted_at"] or row["made_at"] for row in measured), default=None),
    )


def measurement(row: sa.RowMapping) -> Measurement:
    """Return the measurement in a row of `tables.MEASUREMENTS`."""
    grid = row["grid"]
    spacing = grid["spacing"] and (grid["spacing"][0], grid["spacing"][1])
    return Measurement(
        id=row["id"],
        kind=row["kind"],
        points=tuple((column, row) for column, row in row["points"]),
        grid=Grid(**grid | {"spacing": spacing}),
        at=row["made_at"],
        by=row["made_by"],
    )


def measurement_values(measurement: Measurement, prediction_id: str) -> dict[str, Any]:
    """Return the columns of the table `measurements`."""
    return {
        "id": measurement.id,
        "prediction_id": prediction_id,
        "kind": measurement.kind,
        "points": [list(point) for point in measurement.points],
        "grid": asdict(measurement.grid),
        "made_at": measurement.at,
        "made_by": measurement.by,
    }


def to_json(prediction: Prediction) -> dict[str, Any]:
    """Return the value of the column `body`: everything but priority and margin, which have their own columns."""
    references = [finding.map_reference for finding in prediction.findings]
    # Not in `findings`, where an older version of the service would not accept a member that it does not know.
    stated = {} if references.count(None) == len(references) else {"map_references": references}
    return {
        "reason": list(prediction.reason),
        "findings": [_finding_to_json(finding) for finding in prediction.findings],
        "box": list(prediction.box),
        "content": list(prediction.content),
        "flags": list(prediction.flags),
        "model": asdict(prediction.network),
        "timings_ms": asdict(prediction.timings_ms),
        **stated,
    }


def from_json(row: sa.RowMapping) -> Prediction:
    """Return the prediction in the columns `priority`, `margin` and `body`."""
    body = row["body"]
    x0, y0, x1, y1 = body["box"]
    left, top, right, bottom = body.get("content", _WHOLE)
    references = body.get("map_references", [None] * len(body["findings"]))  # absent in 0.4 and older
    return Prediction(
        priority=row["priority"],
        reason=tuple(body["reason"]),
        margin=row["margin"],
        findings=tuple(map(_finding_from_json, body["findings"], references)),
        box=(x0, y0, x1, y1),
        content=(left, top, right, bottom),
        flags=tuple(body["flags"]),
        network=Network(**body["model"]),
        timings_ms=Timings(**body["timings_ms"]),
    )


def _summary_values(row: sa.RowMapping) -> dict[str, Any]:
    names = (*_INSTANCE_COLUMNS, "id", "artefact_sha256", "created", "revision")
    return {name: row[name] for name in names} | {"prediction": from_json(row)}


def _finding_to_json(finding: Finding) -> dict[str, Any]:
    names = {field: name for name, field in _UNDERSCORED.items()}
    elsewhere = ("codes", "map_reference")
    values = {names.get(field, field): value for field, value in asdict(finding).items() if field not in elsewhere}
    return values if finding.codes is None else values | {"codes": finding.codes.model_dump()}


def _finding_from_json(finding: dict[str, Any], map_reference: float | None) -> Finding:
    """Name each member: a page of the worklist has hundreds of findings, and a loop over the names takes longer."""
    return Finding(
        label=finding["label"],
        probability=finding["probability"],
        global_=finding["global"],
        local=finding["local"],
        threshold=finding["threshold"],
        positive=finding["positive"],
        sensitivity=finding["sensitivity"],
        specificity=finding["specificity"],
        codes=LabelCodes.model_validate(finding["codes"]) if "codes" in finding else None,
        map_reference=map_reference,
    )
