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
        return {"Authorization": _matching(_LINE, destination, destination.authorization_file)}
    if destination.bearer_token_file is not None:
        return {"Authorization": f"Bearer {_matching(_TOKEN, destination, destination.bearer_token_file)}"}
    if destination.password_file is not None:
        pair = f"{destination.username}:{_secret(destination, destination.password_file)}"  # RFC 7617 2
        return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
    return {}


def _matching(pattern: re.Pattern[str], destination: Destination, file: Path) -> str:
    text = _secret(destination, file)
    if not pattern.fullmatch(text):
        raise ConfigurationError(f"destination {destination.name}: the content of {file} is not fit for a header")
    return text


def _secret(destination: Destination, file: Path) -> str:
    try:
        return file.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError):
        raise ConfigurationError(f"destination {destination.name}: {file} cannot be read") from None
