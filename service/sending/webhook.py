"""The webhook client, which signs a notification and posts it: Standard Webhooks 1.0.0."""

import asyncio
import base64
import binascii
import hmac
import time
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from service.destinations import Destination
from service.errors import ConfigurationError
from service.objects.notification import Message
from service.sending import http_post
from service.sending.failure import SendingFailed
from service.storage.outbox import Delivery
from service.storage.record import Summary

SECONDS = 15.0  # for the whole exchange: a receiver stores the message, and works on it later
_PREFIX = "whsec_"
_MIN_SECRET, _MAX_SECRET = 24, 64  # bytes; 64 is a block of SHA-256, beyond which HMAC would hash the key


async def post(destination: Destination, id: str, body: bytes) -> None:
    """Post a notification under the id of its message; redirects are not followed, the answer's body is not read.

    Raises
    ------
    SendingFailed
        `unreachable`, `tls_failed`, `http_...`
    ConfigurationError
        A file that the destination names cannot be used.
    """
    signed = signature_headers(secret(destination), id, int(time.time()), body)
    try:
        async with asyncio.timeout(SECONDS):
            answer = await http_post.post(
                destination, "", body, {"Content-Type": "application/json"} | signed, max_bytes=0
            )
    except TimeoutError as error:
        raise SendingFailed("unreachable") from error
    if not 200 <= answer.status < 300:
        raise SendingFailed(f"http_{answer.status}")


def message(destination: Destination, delivery: Delivery, record: Summary) -> Message:
    """Return what the next message of a delivery says beside the result."""
    return Message(
        viewer=destination.viewer_of(record.id, record.study_instance_uid),
        include_patient=destination.include_patient,
        repeat=delivery.received,
        acknowledge=delivery.alert,
        minutes=(datetime.now(UTC) - record.created) // timedelta(minutes=1),
    )


def message_id(delivery: Delivery) -> str:
    """Return the id of the next message: the same for every attempt until it is received, a new one for a repeat."""
    return f"{delivery.id}-{delivery.received}"


def signature_headers(key: bytes, id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Return the headers by which a receiver checks who sent a body, and when.

    Parameters
    ----------
    id
        Id of the message, without a full stop; the same for every attempt to send it.
    timestamp
        Time of this attempt, seconds since the epoch.
    """
    signature = hmac.digest(key, f"{id}.{timestamp}.".encode() + body, sha256)
    return {
        "webhook-id": id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{base64.b64encode(signature).decode()}",
    }


def secret(destination: Destination) -> bytes:
    """Read the signing secret of a destination.

    Raises
    ------
    ConfigurationError
        The file cannot be read, or does not hold a secret.
    """
    file = destination.secret_file
    try:
        text = file.read_text("ascii").strip() if file else ""
        key = base64.b64decode(text.removeprefix(_PREFIX), validate=True)
    except (OSError, UnicodeDecodeError):
        raise ConfigurationError(f"destination {destination.name}: {file} cannot be read") from None
    except binascii.Error:
        key = b""
    if not (text.startswith(_PREFIX) and _MIN_SECRET <= len(key) <= _MAX_SECRET):
        raise ConfigurationError(
            f"destination {destination.name}: expected in {file} {_PREFIX} and {_MIN_SECRET} to {_MAX_SECRET} bytes in"
            " base64"
        )
    return key
