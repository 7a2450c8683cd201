"""The URL of the database: the setting, with the password from its file, or SQLite in the storage folder."""

from pathlib import Path
from urllib.parse import quote

from service.errors import ConfigurationError
from service.settings import Settings


def database_url(settings: Settings) -> str:
    """Return the SQLAlchemy URL, with its password.

    Raises
    ------
    ConfigurationError
        The password file cannot be read, or the URL names no user or has a password of its own.
    """
    url, password_file = settings.database.url, settings.database.password_file
    if url is None:
        return f"sqlite:///{settings.storage.folder.resolve() / 'triage.sqlite'}"
    return url.get_secret_value() if password_file is None else _with_password(url.get_secret_value(), password_file)


def _with_password(url: str, file: Path) -> str:
    user, at, rest = url.partition("@")
    if not at or ":" in user.partition("://")[2]:
        raise ConfigurationError(
            "with TRIAGE_DATABASE__PASSWORD_FILE, TRIAGE_DATABASE__URL must name a user and no password"
        )
    try:
        password = file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise ConfigurationError(f"TRIAGE_DATABASE__PASSWORD_FILE: {file} cannot be read: {reason}") from None
    return f"{user}:{quote(password, safe='')}@{rest}"
