"""Where a page of records ended: opaque to the client."""

import base64
import binascii
from datetime import UTC, datetime, timedelta

from service.errors import InvalidRequest


def encode(created: datetime, id: str) -> str:
    """Name the last record of a page."""
    return base64.urlsafe_b64encode(f"{created.astimezone(UTC).isoformat()} {id}".encode()).decode()


def decode(cursor: str) -> tuple[datetime, str]:
    """Read it back.

    Raises
    ------
    InvalidRequest
        It is not one given out here.
    """
    try:
        time, id = base64.b64decode(cursor, altchars=b"-_", validate=True).decode("ascii").split(" ")
        created = datetime.fromisoformat(time)
    except (binascii.Error, ValueError):
        raise InvalidRequest("cursor: not one that this service gave out") from None
    if created.utcoffset() != timedelta(0) or not id.isalnum():
        raise InvalidRequest("cursor: not one that this service gave out")
    return created.astimezone(UTC), id
