"""The header `Authorization` of requests to a destination; its secrets are read from their files for each request."""

import base64
import re
from pathlib import Path

from service.destinations import Destination
from service.errors import ConfigurationError

_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # RFC 6750 2.1
_LINE = re.compile(r"[!-~]([ -~]*[!-~])?")


def authorization(destination: Destination) -> dict[str, str]:
    """Return the header, or no header.

    Raises
    ------
    ConfigurationError
        A file cannot be read, or its content cannot be part of the header.
    """
    if destination.authorization_file is not None:
        return {"Authorization": header_value(destination.authorization_file, _of(destination))}
    if destination.bearer_token_file is not None:
        return {"Authorization": f"Bearer {header_value(destination.bearer_token_file, _of(destination), _TOKEN)}"}
    if destination.password_file is not None:
        pair = f"{destination.username}:{_secret(destination.password_file, _of(destination))}"  # RFC 7617 2
        return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
    return {}


def header_value(file: Path, whose: str = "", pattern: re.Pattern[str] = _LINE) -> str:
    """Return the content of a file that is the value of a header, or a part of it.

    Parameters
    ----------
    whose
        Begins the message of an error.

    Raises
    ------
    ConfigurationError
        The file cannot be read, or its content does not match.
    """
    text = _secret(file, whose)
    if not pattern.fullmatch(text):
        raise ConfigurationError(f"{whose}the content of {file} is not fit for a header")
    return text


def _of(destination: Destination) -> str:
    return f"destination {destination.name}: "


def _secret(file: Path, whose: str) -> str:
    try:
        return file.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError):
        raise ConfigurationError(f"{whose}{file} cannot be read") from None
