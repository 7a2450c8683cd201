"""What a destination adds to a message; validated against HL7 v2.5.1 by hl7apy."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import hl7
import pytest
from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.parser import parse_message

from service.destinations import Destination
from service.objects.kinds import Kind
from service.sending.hl7_envelope import addressed, delivery_control_id
from service.storage.outbox import Delivery
from tests.service.objects.rendered import record, rendered

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
DELIVERY = Delivery("d" * 32, "p" * 32, "board", Kind.HL7, "waiting", 1, NOW, "", NOW, None, "2.25.1001", NOW)

MESSAGE = rendered("hl7", made_from=record(findings=record().prediction.findings[-2:]))


def message(**keys: Any) -> hl7.Message:
    destination = Destination(name="board", protocol="hl7", host="a", port=2575, **keys)
    data = addressed(MESSAGE, destination, DELIVERY)
    parse_message(data.decode(), validation_level=VALIDATION_LEVEL.STRICT, find_groups=True).validate()
    return hl7.parse(data.decode())


def test_applications_and_facilities_are_those_of_the_destination() -> None:
    header = message(
        sending_application="TRIAGE^1.2.3^ISO",
        sending_facility="WARD",
        receiving_application="RIS",
        receiving_facility="KLINIKÜM",
    ).segment("MSH")

    assert [str(header[number]) for number in (3, 4, 5, 6)] == ["TRIAGE^1.2.3^ISO", "WARD", "RIS", "KLINIKÜM"]
    assert str(message().segment("MSH")[3]) == "TRIAGE"


def test_the_control_id_is_that_of_the_order() -> None:
    id = delivery_control_id(DELIVERY)

    assert str(message().segment("MSH")[10]) == id
    assert 1 <= len(id) <= 20
    assert delivery_control_id(replace(DELIVERY, attempts=7, error="hl7_ae", due=NOW + timedelta(hours=1))) == id
    assert delivery_control_id(replace(DELIVERY, ordered=NOW + timedelta(seconds=1))) != id
    assert delivery_control_id(replace(DELIVERY, id="e" * 32)) != id


def test_a_viewer_is_linked_where_the_destination_names_one() -> None:
    linked = message(viewer_url="https://viewer.example/viewer?lang=en&StudyInstanceUIDs={StudyInstanceUID}")
    *others, link = linked.segments("OBX")

    assert len(others) == len(message().segments("OBX"))
    assert [str(link[number]) for number in (1, 2, 3)] == [
        str(len(others) + 1),
        "RP",
        "VIEWER^Study in the viewer^99AGCNN",
    ]
    pointer = linked.unescape(str(link[5]))
    assert pointer == "https://viewer.example/viewer?lang=en&StudyInstanceUIDs=2.25.1001^^TEXT^HTML"
    assert "&" not in str(link[5])
    assert str(link[11]) == "P"


@pytest.mark.parametrize("older", [False, True])
def test_older_receivers_get_the_priority_in_obr(older: bool) -> None:
    request = message(obr_priority=older).segment("OBR")

    values = [str(request[number]) if len(request) > number else "" for number in (5, 25, 27)]
    assert values == (["S", "P", "^^^^^S"] if older else ["", "P", ""])


@pytest.mark.parametrize(
    "keys",
    [
        {"viewer_url": "https://viewer.example/"},
        {"viewer_url": "file:///{StudyInstanceUID}"},
        {"viewer_url": "https://a/ {StudyInstanceUID}"},
        {"sending_facility": "A|B"},
        {"receiving_application": "A\rMSH"},
    ],
)
def test_a_setting_that_would_break_the_message_is_refused(keys: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=next(iter(keys))):
        message(**keys)
