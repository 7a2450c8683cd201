"""The bytes on to the HTTP door."""

import secrets
import ssl
from contextlib import suppress
from pathlib import Path

import httpx

from service.dimse.status import OUT_OF_RESOURCES, Status, status
from service.errors import ConfigurationError
from service.settings import Dimse
from service.telemetry import log

# Less than the 5 s after which uvicorn closes an idle connection, so that none is used as it closes.
_KEEPALIVE_SECONDS = 2.0
_RECORD = "agcnn-triage/prediction/"  # the schema of an answer: nothing else is an acknowledgement


class Forward:
    """A client of `POST /v1/predictions`, for many threads.

    Raises
    ------
    ConfigurationError
        The key's file cannot be read.
    """

    def __init__(self, settings: Dimse) -> None:
        self._key_file = settings.key_file
        self._headers()
        self._http = httpx.Client(
            base_url=settings.service_url,
            timeout=httpx.Timeout(settings.service_seconds, connect=5.0),
            limits=httpx.Limits(max_connections=None, keepalive_expiry=_KEEPALIVE_SECONDS),
            trust_env=False,  # no proxy of the environment stands between the two doors
            verify=ssl.create_default_context(),
        )

    def store(self, data: bytes, request_id: str) -> Status:
        """Hand a Part 10 file on; success means that its record is committed."""
        try:
            answer = self._post(data, request_id)
        except (httpx.TransportError, ConfigurationError) as error:
            log().warning("the service was not reached", error=type(error).__name__)
            return Status(OUT_OF_RESOURCES, "service_unreachable")
        told: object = None
        with suppress(ValueError):
            told = answer.json()
        body = told if isinstance(told, dict) else {}
        if answer.status_code == httpx.codes.OK and not str(body.get("schema")).startswith(_RECORD):
            log().error("the service's address is another's: it answers, and with no record")
            return Status(OUT_OF_RESOURCES, "not_the_service")
        return status(answer.status_code, body)

    def close(self) -> None:
        """End the connections."""
        self._http.close()

    def _post(self, data: bytes, request_id: str) -> httpx.Response:
        headers = self._headers() | {"Content-Type": "application/dicom", "X-Request-Id": request_id}
        for last in (False, True):
            try:
                return self._http.post("/v1/predictions", content=data, headers=headers)
            except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
                if last:  # a connection that was closed as it was used: the same file again gives the same record
                    raise
        raise AssertionError

    def _headers(self) -> dict[str, str]:
        return {} if self._key_file is None else {"Authorization": f"Bearer {_read(self._key_file)}"}


def _read(file: Path) -> str:
    try:
        key = file.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not a key"
        raise ConfigurationError(f"TRIAGE_DIMSE__KEY_FILE: {file} cannot be read: {why}") from None
    if not key.isprintable():
        raise ConfigurationError(f"TRIAGE_DIMSE__KEY_FILE: {file} holds more than one line")
    return key


def new_request_id() -> str:
    """Make one that the service takes up, so that both logs name a file's way by it."""
    return secrets.token_hex(16)
