"""A record as the interface tells it."""

from dataclasses import dataclass
from typing import Any

from service.reporting.objects import KINDS
from service.reporting.overlay import NOTICE
from service.storage.record import Summary

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
        "created": record.created.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
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
