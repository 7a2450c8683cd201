"""The client that forwards files to the REST service."""

import secrets
import ssl
from contextlib import suppress
from pathlib import Path

import httpx

from service.dimse.status import Status, status
from service.dimse_settings import Dimse
from service.errors import ConfigurationError
from service.http.failure_reasons import OUT_OF_RESOURCES
from service.http.headers import INSTANCE_HEADER
from service.telemetry import log

# Less than the 5 s after which many servers close an idle connection, so that no connection is used while it closes.
_KEEPALIVE_SECONDS = 2.0
_SCHEMA = "agcnn-triage/prediction/"  # only an answer with this schema acknowledges a file


class Forward:
    """A thread-safe client of `POST /v1/predictions`.

    Raises
    ------
    ConfigurationError
        The key file cannot be read.
    """

    def __init__(self, settings: Dimse) -> None:
        self._key_file = settings.key_file
        self._headers()
        self._http = httpx.Client(
            base_url=settings.service_url,
            timeout=httpx.Timeout(settings.service_seconds, connect=5.0),
            limits=httpx.Limits(max_connections=None, keepalive_expiry=_KEEPALIVE_SECONDS),
            trust_env=False,  # the environment's proxy settings do not apply between the two processes
            verify=ssl.create_default_context(),
        )

    def store(self, data: bytes, instance: str, request_id: str) -> Status:
        """Forward a Part 10 file; success means that its record is committed.

        Parameters
        ----------
        instance
            Affected SOP Instance UID of the command; the service refuses a data set with another one.
        """
        try:
            answer = self._post(data, {"X-Request-Id": request_id, INSTANCE_HEADER: instance})
        except (httpx.TransportError, ConfigurationError) as error:
            log().warning("the service is unreachable", error=type(error).__name__)
            return Status(OUT_OF_RESOURCES, "service_unreachable")
        document: object = None
        with suppress(ValueError):
            document = answer.json()
        body = document if isinstance(document, dict) else {}
        if answer.status_code == httpx.codes.OK and not str(body.get("schema")).startswith(_SCHEMA):
            log().error("the answer is not a prediction: is TRIAGE_DIMSE__SERVICE_URL the address of the REST service?")
            return Status(OUT_OF_RESOURCES, "not_the_service")
        return status(answer.status_code, body)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _post(self, data: bytes, stated: dict[str, str]) -> httpx.Response:
        headers = self._headers() | {"Content-Type": "application/dicom"} | stated
        for last in (False, True):
            try:
                return self._http.post("/v1/predictions", content=data, headers=headers)
            except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
                if last:  # the connection may have been closed while idle; posting again gives the same record
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
    """Return a request id that the service adopts, so that both logs have the same id for a file."""
    return secrets.token_hex(16)
