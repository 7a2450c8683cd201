import json
from pathlib import Path

import pytest

from service import settings
from service.cli.settings_table import variables
from service.errors import ConfigurationError
from service.objects.kinds import DICOM_KINDS
from service.storage.url import database_url


def test_defaults_need_no_environment() -> None:
    loaded = settings.load()

    assert (loaded.http.host, loaded.http.port) == ("127.0.0.1", 8000)
    assert loaded.runtime.provider == "auto"
    assert loaded.model.path.name == "agcnn.onnx"
    assert database_url(loaded) == f"sqlite:///{Path('data').resolve() / 'triage.sqlite'}"


def test_a_variable_changes_only_its_own_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIAGE_HTTP__PORT", "9000")
    monkeypatch.setenv("TRIAGE_TRIAGE__STAT", '["Mass", "Pneumothorax"]')
    monkeypatch.setenv("triage_storage__folder", "/elsewhere")

    loaded = settings.load()

    assert (loaded.http.host, loaded.http.port) == ("127.0.0.1", 9000)
    assert loaded.triage.stat == ("Mass", "Pneumothorax")
    assert database_url(loaded) == "sqlite:////elsewhere/triage.sqlite"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("TRIAGE_HTTP__PROT", "1", "unknown setting TRIAGE_HTTP__PROT"),
        ("triage_http__prot", "1", "unknown setting triage_http__prot"),
        ("TRIAGE_HTTP", "{}", "unknown setting TRIAGE_HTTP"),
        ("TRIAGE_HTTP__PORT", "many", "TRIAGE_HTTP__PORT: "),
        ("TRIAGE_HTTP__KEYS", "sometimes", "TRIAGE_HTTP__KEYS: "),
        ("TRIAGE_STORAGE__KEEP_DAYS", "0", "TRIAGE_STORAGE__KEEP_DAYS: "),
        ("TRIAGE_STORAGE__KEEP_DAYS", "nan", "TRIAGE_STORAGE__KEEP_DAYS: "),
        ("TRIAGE_STORAGE__KEEP_DAYS", "inf", "TRIAGE_STORAGE__KEEP_DAYS: "),
        ("TRIAGE_HTTP__PORT", "65536", "TRIAGE_HTTP__PORT: "),
        ("TRIAGE_RUNTIME__PROVIDER", "tpu", "TRIAGE_RUNTIME__PROVIDER: "),
        ("TRIAGE_MODEL__SHA256", "abc", "TRIAGE_MODEL__SHA256: "),
        ("TRIAGE_TRIAGE__STAT", "Mass", "JSON"),
        ("TRIAGE_TRIAGE__STAT", '["Mass", 1]', "TRIAGE_TRIAGE__STAT: "),
    ],
)
def test_an_invalid_variable_is_one_line(monkeypatch: pytest.MonkeyPatch, name: str, value: str, message: str) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(ConfigurationError) as caught:
        settings.load()

    assert message in caught.value.message
    assert "\n" not in caught.value.message


def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIAGE_MODEL__SHA256", "")
    monkeypatch.setenv("TRIAGE_HTTP__PORT", "")

    assert settings.load() == settings.Settings()


def test_a_password_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIAGE_DATABASE__URL", "postgresql+psycopg://user:hunter2@host/name")

    loaded = settings.load()

    assert database_url(loaded) == "postgresql+psycopg://user:hunter2@host/name"
    assert "hunter2" not in repr(loaded)
    assert not any("hunter2" in variable.value for variable in variables(loaded))


def test_every_setting_is_described() -> None:
    listed = {variable.name: variable for variable in variables(settings.load())}

    assert len(listed) >= 24
    assert all(variable.description for variable in listed.values())
    assert all(variable.value == variable.default for variable in listed.values())
    assert listed["TRIAGE_HTTP__PORT"].value == "8000"
    assert "by default Pneumothorax" in listed["TRIAGE_TRIAGE__STAT"].description
    assert listed["TRIAGE_MODEL__SHA256"].value == ""


ARCHIVE = '{"name": "archive", "url": "https://pacs.example/dicom-web"}'


def test_destinations_are_a_json_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIAGE_SENDING__DESTINATIONS", f'[{ARCHIVE}, {{"name": "ae", "host": "pacs", "port": 104}}]')
    monkeypatch.setenv("TRIAGE_SENDING__SEND_ALL", '["ae"]')

    loaded = settings.load()

    assert [destination.name for destination in loaded.sending.destinations] == ["archive", "ae"]
    assert loaded.sending.destinations[0].objects == DICOM_KINDS
    [value] = [variable.value for variable in variables(loaded) if variable.name == "TRIAGE_SENDING__DESTINATIONS"]
    assert json.loads(value) == [
        json.loads(ARCHIVE) | {"protocol": "dicomweb"},
        {"name": "ae", "host": "pacs", "protocol": "dimse"},  # 104 is the default
    ]


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
        ("GATE__CHEST_WORDS", '[""]'),
        ("GATE__CHEST_WORDS", '["12"]'),
        ("GATE__CHEST_WORDS", "Thx"),
        ("GATE__MINIMUM_AGE", "-1"),
        ("GATE__MINIMUM_AGE", "1.5"),
        ("DIMSE__AE_TITLE", "SEVENTEEN.LETTERS"),
        ("DIMSE__AE_TITLE", "BACK\\SLASH"),
        ("DIMSE__CALLERS", '[" "]'),
        ("DIMSE__MAXIMUM_PDU_BYTES", "0"),
    ],
)
def test_an_invalid_value_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"TRIAGE_{name}", value)

    with pytest.raises(ConfigurationError) as caught:
        settings.load()
    assert "TRIAGE_" in caught.value.message
    assert "\n" not in caught.value.message


def test_words_of_the_gate_are_json_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIAGE_GATE__CHEST_WORDS", '["Thx", "Rx T", "胸"]')
    monkeypatch.setenv("TRIAGE_GATE__MINIMUM_AGE", "16")

    loaded = settings.load()

    assert loaded.gate.chest_words == ("Thx", "Rx T", "胸")
    assert (loaded.gate.minimum_age, loaded.gate.lateral_words) == (16, ())


def test_a_word_of_the_gate_has_one_meaning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIAGE_GATE__CHEST_WORDS", '["Thx"]')
    monkeypatch.setenv("TRIAGE_GATE__NEUTRAL_WORDS", '["THX"]')

    with pytest.raises(ConfigurationError, match="two lists"):
        settings.load()


@pytest.mark.parametrize("title", ["A", "TRIAGE_1", "WARD 3 CR", "SIXTEEN.LETTERS!"])
def test_a_valid_ae_title_is_accepted(monkeypatch: pytest.MonkeyPatch, title: str) -> None:
    monkeypatch.setenv("TRIAGE_DIMSE__AE_TITLE", title)

    assert settings.load().dimse.ae_title == title
