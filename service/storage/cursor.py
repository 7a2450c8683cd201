"""Where a page of records ended: opaque to the client."""

import base64
import binascii
import math
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


def encode_place(rank: int, urgency: float, created: datetime, id: str) -> str:
    """Name the last entry of a page of the worklist."""
    place = f"{rank} {urgency!r} {created.astimezone(UTC).isoformat()} {id}"
    return base64.urlsafe_b64encode(place.encode()).decode()


def decode_place(cursor: str) -> tuple[int, float, datetime, str]:
    """Read it back.

    Raises
    ------
    InvalidRequest
        It is not one given out here.
    """
    try:
        rank, urgency, time, id = base64.b64decode(cursor, altchars=b"-_", validate=True).decode("ascii").split(" ")
        created = datetime.fromisoformat(time)
        place = int(rank), float(urgency), created, id
    except (binascii.Error, ValueError):
        raise InvalidRequest("cursor: not one that this service gave out") from None
    sound = 0 <= place[0] < 100 and math.isfinite(place[1]) and created.utcoffset() == timedelta(0) and id.isalnum()
    if not sound:
        raise InvalidRequest("cursor: not one that this service gave out")
    return place
