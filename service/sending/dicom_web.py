"""The STOW-RS client, which sends one object to a DICOMweb service."""

import secrets
import ssl

import httpx

from service.destinations import Destination
from service.errors import ConfigurationError
from service.sending.failure import SendingFailed

SECONDS = 60.0
_FAILED = "00081198"  # FailedSOPSequence, PS3.18 10.5.3
_JSON = "application/dicom+json"


async def store(destination: Destination, data: bytes) -> None:
    """Store a Part 10 file.

    Raises
    ------
    SendingFailed
        `unreachable`, `not_stored`, `http_...`
    ConfigurationError
        A file that the destination names cannot be read.
    """
    url = str(destination.url).rstrip("/")
    boundary = secrets.token_hex(16)
    headers = {
        "Accept": _JSON,
        "Content-Type": f'multipart/related; type="application/dicom"; boundary={boundary}',
    } | _authorization(destination)
    try:
        async with httpx.AsyncClient(timeout=SECONDS, trust_env=False, verify=_tls_context(destination)) as http:
            answer = await http.post(f"{url}/studies", content=_body(data, boundary), headers=headers)
    except (httpx.TransportError, httpx.InvalidURL) as error:
        raise SendingFailed("unreachable") from error
    if answer.status_code != httpx.codes.OK:  # 202: not stored, or stored with changes
        raise SendingFailed(f"http_{answer.status_code}")
    if _reports_failure(answer):
        raise SendingFailed("not_stored")


def _body(data: bytes, boundary: str) -> bytes:
    head = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n"
    return head.encode() + data + f"\r\n--{boundary}--\r\n".encode()


def _reports_failure(answer: httpx.Response) -> bool:
    """Whether an answer with status 200 reports a failure, as those of some services do."""
    try:
        document = answer.json()
    except ValueError:  # XML or empty: only the status counts
        return False
    return isinstance(document, dict) and bool(document.get(_FAILED, {}).get("Value"))


def _authorization(destination: Destination) -> dict[str, str]:
    file = destination.authorization_file
    if file is None:
        return {}
    try:
        return {"Authorization": file.read_text("ascii").strip()}
    except (OSError, UnicodeDecodeError):
        raise ConfigurationError(f"destination {destination.name}: {file} cannot be read") from None


def _tls_context(destination: Destination) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=destination.tls_ca)
    except OSError:
        raise ConfigurationError(f"destination {destination.name}: {destination.tls_ca} cannot be used") from None
