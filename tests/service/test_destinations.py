"""The keys of a destination: which protocol they make, and what is refused."""

import json
from typing import Any, get_args

import pytest
from pydantic import ValidationError

from service import settings
from service.destinations import _PROTOCOLS, Announced, Destination, Sending
from service.errors import ConfigurationError
from service.objects.kinds import DICOM_KINDS
from service.triage.rule import PRIORITIES

WEBHOOK: dict[str, Any] = {"protocol": "webhook", "url": "https://a", "secret_file": "f"}


def destination(**keys: Any) -> Destination:
    return Destination(name="there", **keys)


def test_the_protocol_is_inferred_from_the_address() -> None:
    assert destination(url="https://a").protocol == "dicomweb"
    assert destination(host="a").protocol == "dimse"
    assert destination(host="a", port=2575, protocol="hl7").protocol == "hl7"
    assert destination(url="https://a", protocol="webhook", secret_file="f").protocol == "webhook"


def test_the_priorities_are_those_of_the_rule() -> None:
    assert get_args(Announced) == PRIORITIES


def test_every_restricted_key_is_one_of_a_destination() -> None:
    assert set(_PROTOCOLS) <= set(Destination.model_fields)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({}, "url or host"),
        ({"url": "https://a", "host": "a"}, "url or host"),
        ({"protocol": "hl7", "url": "https://a"}, "hl7 needs host"),
        ({"protocol": "hl7", "host": "a"}, "hl7 needs port"),
        ({"protocol": "webhook", "host": "a"}, "webhook needs url"),
        ({"protocol": "dimse", "url": "https://a"}, "dimse needs host"),
        ({"protocol": "dicomweb", "host": "a"}, "dicomweb needs url"),
        ({"protocol": "fax", "host": "a"}, "protocol"),
        ({"host": "a", "priorities": ["STAT"]}, "priorities has no meaning for the protocol dimse"),
        ({"url": "https://a", "priorities": ["STAT"]}, "priorities has no meaning for the protocol dicomweb"),
        ({"protocol": "webhook", "url": "https://a", "priorities": ["URGENT"]}, "STAT"),
        ({"protocol": "webhook", "url": "https://a", "priorities": []}, "priorities"),
        ({"protocol": "webhook", "url": "https://a", "objects": ["sr"]}, "objects has no meaning"),
        ({"protocol": "hl7", "host": "a", "port": 1, "ae_title": "A"}, "ae_title has no meaning"),
        ({"protocol": "hl7", "host": "a", "port": 1, "authorization_file": "f"}, "authorization_file has no meaning"),
        ({"host": "a", "bearer_token_file": "f"}, "bearer_token_file has no meaning"),
        ({"host": "a", "username": "u", "password_file": "f"}, "username has no meaning"),
        ({"url": "https://a", "username": "u"}, "both username and password_file"),
        ({"url": "https://a", "password_file": "f"}, "both username and password_file"),
        ({"url": "https://a", "username": "a:b", "password_file": "f"}, "username"),
        (
            {"url": "https://a", "bearer_token_file": "f", "authorization_file": "f"},
            "only one of authorization_file and bearer_token_file",
        ),
        (
            {"url": "https://a", "bearer_token_file": "f", "username": "u", "password_file": "f"},
            "only one of bearer_token_file and password_file",
        ),
        ({"host": "a", "tls_certificate": "f"}, "tls_certificate needs tls_ca"),
        ({"url": "http://a", "tls_certificate": "f"}, "tls_certificate needs a url that begins with https"),
        ({"url": "https://a", "tls_key": "f"}, "tls_key needs tls_certificate"),
        (WEBHOOK | {"secret_file": None}, "webhook needs secret_file"),
        ({"url": "https://a", "secret_file": "f"}, "secret_file has no meaning for the protocol dicomweb"),
        ({"host": "a", "include_patient": True}, "include_patient has no meaning"),
        ({"protocol": "hl7", "host": "a", "port": 1, "repeat_seconds": 9}, "repeat_seconds has no meaning"),
        (WEBHOOK | {"repeat_seconds": 0}, "greater than 0"),
        (WEBHOOK | {"escalate_seconds": 60}, "escalate_seconds needs escalate_to"),
        (WEBHOOK | {"viewer_url": "https://a/"}, "viewer_url"),
        (WEBHOOK | {"viewer_url": "javascript:{id}"}, "viewer_url"),
        (WEBHOOK | {"viewer_url": "https://a/{id}/{study}"}, "viewer_url"),
        (WEBHOOK | {"viewer_url": "https://a/{StudyInstanceUID}"}, "needs include_patient"),
    ],
)
def test_a_wrong_combination_is_one_line_that_names_the_key(
    monkeypatch: pytest.MonkeyPatch, keys: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValidationError):
        destination(**keys)
    monkeypatch.setenv("TRIAGE_SENDING__DESTINATIONS", json.dumps([{"name": "there", **keys}]))

    with pytest.raises(ConfigurationError) as caught:
        settings.load()
    assert message in caught.value.message
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    "keys",
    [
        {"url": "http://a", "port": 104, "ae_title": "PACS", "tls_ca": "f"},
        {"host": "a", "authorization_file": "f"},
    ],
)
def test_keys_that_older_versions_ignored_are_still_accepted(keys: dict[str, Any]) -> None:
    assert destination(**keys)


def test_a_new_record_is_announced_by_its_priority() -> None:
    archive = destination(url="https://a", objects=("sr",))
    webhook = destination(url="https://a", protocol="webhook", secret_file="f")
    urgent = destination(url="https://a", protocol="webhook", secret_file="f", priorities=("STAT", "HIGH"))

    assert {archive.kinds_of_a_new_record(priority) for priority in PRIORITIES} == {("sr",)}
    assert destination(host="a").kinds == DICOM_KINDS
    assert webhook.kinds_of_a_new_record("HIGH") == ()
    assert urgent.kinds_of_a_new_record("HIGH") == urgent.kinds


@pytest.mark.parametrize(
    ("escalations", "message"),
    [
        ({"a": "z"}, "destination a: escalate_to names no webhook destination"),
        ({"a": "archive"}, "destination a: escalate_to names no webhook destination"),
        ({"a": "a"}, "destination a: escalate_to leads back to a"),
        ({"a": "b", "b": "c", "c": "a"}, "destination c: escalate_to leads back to a"),
        ({"a": "b", "b": "c", "c": "b"}, "destination c: escalate_to leads back to b"),
    ],
)
def test_an_escalation_leads_to_another_webhook_and_to_an_end(escalations: dict[str, str], message: str) -> None:
    webhooks = [Destination(name=name, escalate_to=escalations.get(name), **WEBHOOK) for name in "abc"]

    with pytest.raises(ValidationError, match=message):
        Sending(destinations=(*webhooks, Destination(name="archive", url="https://a")))


def test_the_times_of_a_chain_of_escalations_add_up() -> None:
    first = Destination(name="a", escalate_to="b", escalate_seconds=60, **WEBHOOK)
    second, third = Destination(name="b", escalate_to="c", **WEBHOOK), Destination(name="c", **WEBHOOK)
    settings = Sending(destinations=(first, second, third))

    assert settings.escalations(first) == ((second, 60), (third, 960))
    assert settings.escalations(third) == ()
