"""The position after a page of a list, as opaque text for the client."""

import base64
import math
from datetime import UTC, datetime, timedelta

from service.errors import InvalidRequest


def encode(created: datetime, id: str) -> str:
    """Return the cursor after a record in the list of records."""
    return _encode(_utc(created), id)


def decode(cursor: str) -> tuple[datetime, str]:
    """Return time and id of the record before the cursor.

    Raises
    ------
    InvalidRequest
        The cursor is not one that `encode` returned.
    """
    try:
        time, id = _decode(cursor)
        return _created(time), _id(id)
    except ValueError:
        raise _invalid() from None


def encode_place(rank: int, urgency: float, created: datetime, id: str) -> str:
    """Return the cursor after an entry of the worklist."""
    return _encode(str(rank), repr(urgency), _utc(created), id)


def decode_place(cursor: str) -> tuple[int, float, datetime, str]:
    """Return the sort key of the worklist entry before the cursor.

    Raises
    ------
    InvalidRequest
        The cursor is not one that `encode_place` returned.
    """
    try:
        rank, urgency, time, id = _decode(cursor)
        place = int(rank), float(urgency), _created(time), _id(id)
    except ValueError:
        raise _invalid() from None
    if not (0 <= place[0] < 100 and math.isfinite(place[1])):
        raise _invalid()
    return place


def encode_text(text: str, created: datetime, id: str) -> str:
    """Return the cursor after an entry of the worklist that is sorted by a text."""
    return _encode(base64.urlsafe_b64encode(text.encode()).decode(), _utc(created), id)


def decode_text(cursor: str) -> tuple[str, datetime, str]:
    """Return the sort key of the worklist entry before the cursor.

    Raises
    ------
    InvalidRequest
        The cursor is not one that `encode_text` returned.
    """
    try:
        text, time, id = _decode(cursor)
        key = base64.b64decode(text, altchars=b"-_", validate=True).decode(), _created(time), _id(id)
    except ValueError:
        raise _invalid() from None
    if "\0" in key[0]:  # PostgreSQL refuses it
        raise _invalid()
    return key


def _encode(*parts: str) -> str:
    return base64.urlsafe_b64encode(" ".join(parts).encode()).decode()


def _decode(cursor: str) -> list[str]:
    return base64.b64decode(cursor, altchars=b"-_", validate=True).decode("ascii").split(" ")


def _utc(created: datetime) -> str:
    return created.astimezone(UTC).isoformat()


def _created(time: str) -> datetime:
    created = datetime.fromisoformat(time)
    if created.utcoffset() != timedelta(0):
        raise ValueError("not in UTC")
    return created.astimezone(UTC)


def _id(id: str) -> str:
    if not id.isalnum():
        raise ValueError("not an id")
    return id


def _invalid() -> InvalidRequest:
    return InvalidRequest("cursor: expected one that this service returned")
