"""The STOW-RS client, which sends one object to a DICOMweb service."""

import json
import secrets

from service.destinations import Destination
from service.sending.failure import SendingFailed
from service.sending.http_post import Answer, post

_MAX_BYTES = 2**20  # maximum size of an answer; one object needs a few hundred
_OK = 200
_FAILED = "00081198"  # FailedSOPSequence, PS3.18 10.5.3
_JSON = "application/dicom+json"


async def store(destination: Destination, data: bytes) -> None:
    """Store a Part 10 file.

    Raises
    ------
    SendingFailed
        `unreachable`, `tls_failed`, `not_stored`, `http_...`
    ConfigurationError
        A file that the destination names cannot be used.
    """
    boundary = secrets.token_hex(16)
    headers = {"Accept": _JSON, "Content-Type": f'multipart/related; type="application/dicom"; boundary={boundary}'}
    answer = await post(destination, "/studies", _body(data, boundary), headers, _MAX_BYTES)
    if answer.status != _OK:  # 202: not stored, or stored with changes
        raise SendingFailed(f"http_{answer.status}")
    if _reports_failure(answer):
        raise SendingFailed("not_stored")


def _body(data: bytes, boundary: str) -> bytes:
    head = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n"
    return head.encode() + data + f"\r\n--{boundary}--\r\n".encode()


def _reports_failure(answer: Answer) -> bool:
    """Whether an answer with status 200 reports a failure, as those of some services do."""
    try:
        document = json.loads(answer.body)
    except ValueError:  # XML or empty: only the status counts
        return False
    return isinstance(document, dict) and bool(document.get(_FAILED, {}).get("Value"))
