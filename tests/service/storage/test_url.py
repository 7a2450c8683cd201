from pathlib import Path

import pytest
from sqlalchemy import make_url

from service import settings
from service.errors import ConfigurationError
from service.storage.url import database_url


def test_the_password_is_read_from_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("p/w: 100 %@\n")
    monkeypatch.setenv("TRIAGE_DATABASE__URL", "postgresql+psycopg://user@host/name")
    monkeypatch.setenv("TRIAGE_DATABASE__PASSWORD_FILE", str(tmp_path / "password"))

    url = make_url(database_url(settings.load()))

    assert (url.username, url.password, url.host, url.database) == ("user", "p/w: 100 %@", "host", "name")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("postgresql+psycopg://user@host/name", "cannot be read: No such file or directory"),
        ("postgresql+psycopg://user:other@host/name", "must name a user and no password"),
        ("postgresql+psycopg://host/name", "must name a user and no password"),
    ],
)
def test_a_missing_file_or_an_unsuitable_url_is_refused_in_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, url: str, message: str
) -> None:
    monkeypatch.setenv("TRIAGE_DATABASE__URL", url)
    monkeypatch.setenv("TRIAGE_DATABASE__PASSWORD_FILE", str(tmp_path / "password"))

    with pytest.raises(ConfigurationError) as caught:
        _ = database_url(settings.load())

    assert message in caught.value.message
    assert "other" not in caught.value.message
