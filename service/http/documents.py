"""A record as the interface tells it."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from service.objects.kinds import KINDS
from service.objects.overlay import NOTICE
from service.storage.record import Record, Summary

DIGITS = 8  # of a map's values, about as many as float32 has: a viewer draws each level where the service does
SCHEMA = "agcnn-triage/prediction/1"


@dataclass(frozen=True)
class Answer:
    """A record, and the JSON document that tells it."""

    record: Summary
    body: dict[str, Any]


def answer(record: Summary) -> Answer:
    """Put a record and its document together."""
    return Answer(record, document(record))


def document(record: Summary) -> dict[str, Any]:
    """Tell a record as the JSON document of the interface."""
    self = f"/v1/predictions/{record.id}"
    body = record.body
    return {
        "schema": SCHEMA,
        "notice": NOTICE,
        "id": record.id,
        "created": moment(record.created),
        "study_instance_uid": record.study_instance_uid,
        "series_instance_uid": record.series_instance_uid,
        "sop_instance_uid": record.sop_instance_uid,
        "accession_number": record.accession_number,
        "priority": record.priority,
        **{name: body[name] for name in ("reason", "findings", "box", "flags", "model")},
        "links": {"self": self}
        | {part: f"{self}/{part}.png" for part in ("image", "overlay", "heat_map", "crop")}
        | {kind: f"{self}/{kind}.{'json' if kind == 'fhir' else 'dcm'}" for kind in KINDS},
        "timings_ms": body["timings_ms"],
    }


def moment(time: datetime) -> str:
    """Tell a time in UTC to the millisecond, RFC 3339."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def maps(record: Record) -> dict[str, Any]:
    """Tell a record's maps: heat map [h, w] in [0, 1], class maps [h, w] in logit units, by label."""
    labels = [finding["label"] for finding in record.body["findings"]]
    return {
        "content": record.body["content"],
        "heat_map": record.heat_map.astype(float).round(DIGITS).tolist(),
        "class_maps": {
            label: map.astype(float).round(DIGITS).tolist()
            for label, map in zip(labels, record.class_maps, strict=True)
        },
    }
