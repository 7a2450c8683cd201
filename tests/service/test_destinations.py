"""Settings of the door and of destinations."""

import pytest

from service import settings
from service.errors import ConfigurationError

ARCHIVE = '{"name": "archive", "url": "https://pacs.example/dicom-web"}'


def test_destinations_are_a_list_in_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIAGE_SENDING__DESTINATIONS", f'[{ARCHIVE}, {{"name": "ae", "host": "pacs", "port": 104}}]')
    monkeypatch.setenv("TRIAGE_SENDING__SEND_ALL", '["ae"]')

    found = settings.load()

    assert [one.name for one in found.sending.destinations] == ["archive", "ae"]
    assert len(found.sending.destinations[0].objects) == 4
    [told] = [one.value for one in settings.variables(found) if one.name == "TRIAGE_SENDING__DESTINATIONS"]
    assert told == f'[{ARCHIVE}, {{"name": "ae", "host": "pacs"}}]'  # 104 is the default


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SENDING__DESTINATIONS", '[{"name": "neither"}]'),
        ("SENDING__DESTINATIONS", '[{"name": "both", "url": "http://a", "host": "a"}]'),
        ("SENDING__DESTINATIONS", '[{"name": "a b", "host": "a"}]'),
        ("SENDING__DESTINATIONS", '[{"name": "a", "url": "file:///etc"}]'),
        ("SENDING__DESTINATIONS", '[{"name": "a", "host": "a", "objects": ["fhir"]}]'),
        ("SENDING__DESTINATIONS", '[{"name": "a", "host": "a"}, {"name": "a", "host": "b"}]'),
        ("SENDING__SEND_ALL", '["nobody"]'),
        ("DIMSE__AE_TITLE", "SEVENTEEN.LETTERS"),
        ("DIMSE__AE_TITLE", "BACK\\SLASH"),
        ("DIMSE__CALLERS", '[" "]'),
        ("DIMSE__MAXIMUM_PDU_BYTES", "0"),
    ],
)
def test_what_does_not_fit_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"TRIAGE_{name}", value)

    with pytest.raises(ConfigurationError) as caught:
        settings.load()
    assert "TRIAGE_" in caught.value.message
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("title", ["A", "TRIAGE_1", "WARD 3 CR", "SIXTEEN.LETTERS!"])
def test_an_ae_title(monkeypatch: pytest.MonkeyPatch, title: str) -> None:
    monkeypatch.setenv("TRIAGE_DIMSE__AE_TITLE", title)

    assert settings.load().dimse.ae_title == title
