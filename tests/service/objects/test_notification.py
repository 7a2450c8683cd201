"""A notification says what a pager needs, and by default nothing that identifies a person."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from service.objects.notification import Message, notification
from tests.service.records import finding, record

CREATED = datetime(2026, 5, 4, 10, 15, 0, 250_000, UTC)
SECRETS = {
    "attributes": {"PatientName": "Doe^Jane", "PatientID": "P-17", "PatientBirthDate": "19700102"},
    "accession_number": "ACC-1",
    "study_instance_uid": "2.25.7771",
    "series_instance_uid": "2.25.7772",
    "sop_instance_uid": "2.25.7773",
}


def document(message: Message | None = None, **changes: Any) -> dict[str, Any]:
    values: dict[str, Any] = {"id": "0" * 32, "created": CREATED} | SECRETS
    return dict(json.loads(notification(record(**(values | changes)), message or Message())))


def test_the_whole_document() -> None:
    viewer = "https://triage.example/#/" + "0" * 32

    assert document(Message(viewer=viewer, repeat=2, acknowledge=True, minutes=10)) == {
        "type": "prediction.created",
        "timestamp": "2026-05-04T10:15:00.250Z",
        "schema": "agcnn-triage/notification/1",
        "notice": "Research use only. Not a medical device.",
        "text": f"STAT: Pneumothorax. Not acknowledged for 10 min. {viewer} Research use only. Not a medical device.",
        "data": {
            "id": "0" * 32,
            "priority": "STAT",
            "reason": ["Pneumothorax"],
            "positive": ["Pneumothorax"],
            "flags": ["window_missing"],
            "viewer": viewer,
            "repeat": 2,
            "acknowledge": True,
            "model": {"name": "agcnn", "version": "1"},
        },
    }


def test_by_default_nothing_identifies_a_person() -> None:
    text = json.dumps(document())

    for value in ("Doe", "Jane", "P-17", "1970", "ACC", "2.25."):
        assert value not in text


def test_patient_and_accession_number_are_included_on_demand() -> None:
    included = document(Message(include_patient=True))

    assert included["data"]["patient"] == {"name": "Doe^Jane", "id": "P-17", "accession_number": "ACC-1"}
    assert included["text"].startswith("STAT: Pneumothorax. Patient Doe Jane, P-17, ACC-1. Research use")
    assert "1970" not in json.dumps(included)


def test_absent_attributes_are_empty() -> None:
    included = document(Message(include_patient=True), attributes={}, accession_number="")

    assert included["data"]["patient"] == {"name": "", "id": "", "accession_number": ""}
    assert "Patient" not in included["text"]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("<!channel>", "channel"),
        ("@all *now*", "all now"),
        ("[Doe](https://evil.example)", "Doe https evil.example"),
        ("山田^太郎", "山田 太郎"),
        ("O'Neil^Zoë-Ann\r\n`x`", "O'Neil Zoë-Ann x"),
        ("Doe\u202e^Jane", "Doe Jane"),
    ],
)
def test_a_name_is_no_markup_in_a_chat(name: str, shown: str) -> None:
    included = document(
        Message(include_patient=True), attributes={"PatientName": name, "PatientID": ""}, accession_number=""
    )

    assert f" Patient {shown}. Research" in included["text"]
    assert included["data"]["patient"]["name"] == name


def test_several_and_no_findings() -> None:
    several = (finding("Pleural_Thickening", positive=True), finding("Mass", positive=True), finding("Hernia", None))

    assert document(findings=several, priority="HIGH")["text"].startswith("HIGH: Pleural Thickening, Mass. Research")
    assert document(findings=())["text"].startswith("STAT: no positive finding. ")


@pytest.mark.parametrize("message", [Message(minutes=10), Message(acknowledge=True, minutes=0)])
def test_a_message_that_waits_for_nobody_says_nothing_of_acknowledgement(message: Message) -> None:
    assert "cknowledged" not in document(message)["text"]
    assert document(message)["data"]["viewer"] is None
