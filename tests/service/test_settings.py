from pathlib import Path

import pytest
from sqlalchemy import make_url

from service import settings
from service.errors import ConfigurationError


def test_defaults_need_no_environment() -> None:
    found = settings.load()

    assert (found.http.host, found.http.port) == ("127.0.0.1", 8000)
    assert found.runtime.provider == "auto"
    assert found.model.path.name == "agcnn.onnx"
    assert found.database_url == f"sqlite:///{Path('data').resolve() / 'triage.sqlite'}"


def test_nested_variables_keep_their_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIAGE_HTTP__PORT", "9000")
    monkeypatch.setenv("TRIAGE_TRIAGE__STAT", '["Mass", "Pneumothorax"]')
    monkeypatch.setenv("triage_storage__folder", "/elsewhere")

    found = settings.load()

    assert (found.http.host, found.http.port) == ("127.0.0.1", 9000)
    assert found.triage.stat == ("Mass", "Pneumothorax")
    assert found.database_url == "sqlite:////elsewhere/triage.sqlite"


@pytest.mark.parametrize(
    ("name", "value", "said"),
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
def test_what_does_not_fit_is_one_line(monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(ConfigurationError) as caught:
        settings.load()

    assert said in caught.value.message
    assert "\n" not in caught.value.message


def test_an_empty_variable_is_one_that_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIAGE_MODEL__SHA256", "")
    monkeypatch.setenv("TRIAGE_HTTP__PORT", "")

    assert settings.load() == settings.Settings()


def test_a_password_shows_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIAGE_DATABASE__URL", "postgresql+psycopg://user:hunter2@host/name")

    found = settings.load()

    assert found.database_url == "postgresql+psycopg://user:hunter2@host/name"
    assert "hunter2" not in repr(found)
    assert not any("hunter2" in variable.value for variable in settings.variables(found))


def test_a_password_comes_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("p/w: 100 %@\n")
    monkeypatch.setenv("TRIAGE_DATABASE__URL", "postgresql+psycopg://user@host/name")
    monkeypatch.setenv("TRIAGE_DATABASE__PASSWORD_FILE", str(tmp_path / "password"))

    url = make_url(settings.load().database_url)

    assert (url.username, url.password, url.host, url.database) == ("user", "p/w: 100 %@", "host", "name")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql+psycopg://user@host/name", "cannot be read: No such file or directory"),
        ("postgresql+psycopg://user:other@host/name", "a user and no password wanted"),
        ("postgresql+psycopg://host/name", "a user and no password wanted"),
    ],
)
def test_a_password_without_a_file_or_a_place_is_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, url: str, said: str
) -> None:
    monkeypatch.setenv("TRIAGE_DATABASE__URL", url)
    monkeypatch.setenv("TRIAGE_DATABASE__PASSWORD_FILE", str(tmp_path / "password"))

    with pytest.raises(ConfigurationError) as caught:
        _ = settings.load().database_url

    assert said in caught.value.message
    assert "other" not in caught.value.message


def test_every_setting_is_described() -> None:
    variables = {variable.name: variable for variable in settings.variables(settings.load())}

    assert len(variables) >= 24
    assert all(variable.description for variable in variables.values())
    assert all(variable.value == variable.default for variable in variables.values())
    assert variables["TRIAGE_HTTP__PORT"].value == "8000"
    assert variables["TRIAGE_TRIAGE__STAT"].value == '["Pneumothorax"]'
    assert variables["TRIAGE_MODEL__SHA256"].value == ""
