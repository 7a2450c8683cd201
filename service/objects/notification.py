"""The notification of a result for pagers and chat: JSON that by default identifies no person."""

import json
import unicodedata
from dataclasses import dataclass
from datetime import UTC

from service.artefact.card import NOTICE
from service.storage.record import Summary

SCHEMA = "agcnn-triage/notification/1"
TYPE = "prediction.created"


@dataclass(frozen=True)
class Message:
    """What one message says beside the result.

    Attributes
    ----------
    viewer
        Address of the page that shows the radiograph; empty if none is known.
    include_patient
        Whether it names the patient and the order.
    repeat
        Number of times that the receiver has received it before.
    acknowledge
        Whether it is repeated until somebody acknowledges the result.
    minutes
        Minutes since the result was made.
    """

    viewer: str = ""
    include_patient: bool = False
    repeat: int = 0
    acknowledge: bool = False
    minutes: int = 0


def notification(record: Summary, message: Message) -> bytes:
    """Write a notification, UTF-8 JSON in the structure that the Standard Webhooks specification recommends.

    Its only values from the data set are those of `patient`. UIDs are left out, as an archive finds the patient by
    them; the id of the prediction is random, and of no use without a key to this service.
    """
    prediction = record.prediction
    patient = _patient(record) if message.include_patient else {}
    document = {
        "type": TYPE,
        "timestamp": record.created.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "schema": SCHEMA,
        "notice": NOTICE,
        "text": _text(record, message, patient),
        "data": {
            "id": record.id,
            "priority": prediction.priority,
            "reason": list(prediction.reason),
            "positive": list(prediction.positive),
            "flags": list(prediction.flags),
            "viewer": message.viewer or None,
            "repeat": message.repeat,
            "acknowledge": message.acknowledge,
            "model": {"name": prediction.network.name, "version": prediction.network.version},
            **({"patient": patient} if patient else {}),
        },
    }
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def _patient(record: Summary) -> dict[str, str]:
    return {
        "name": record.attributes.get("PatientName", ""),
        "id": record.attributes.get("PatientID", ""),
        "accession_number": record.accession_number,
    }


def _text(record: Summary, message: Message, patient: dict[str, str]) -> str:
    """Return the message as a line of text, which chat tools show."""
    prediction = record.prediction
    findings = ", ".join(label.replace("_", " ") for label in prediction.positive) or "no positive finding"
    named = ", ".join(filter(None, map(_plain, patient.values())))
    parts = (
        f"{prediction.priority}: {findings}.",
        f"Patient {named}." if named else "",
        f"Not acknowledged for {message.minutes} min." if message.acknowledge and message.minutes > 0 else "",
        message.viewer,
        NOTICE,
    )
    return " ".join(filter(None, parts))


def _plain(value: str) -> str:
    """Keep letters, digits and a few marks: chat tools read others as markup, mentions of everybody, and links."""
    kept = (letter if unicodedata.category(letter)[0] in "LMN" or letter in "-.'" else " " for letter in value)
    return " ".join("".join(kept).split())
