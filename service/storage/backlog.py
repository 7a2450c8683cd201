"""What waits in the outbox for each destination: how many objects, and since when."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from service.storage import clock
from service.storage.database import Database
from service.storage.tables import OUTBOX

MOST_COUNTED = 10_000  # so that an archive that is down for days makes no look-up slow


@dataclass(frozen=True)
class Backlog:
    """Objects that wait to be sent to one destination.

    Attributes
    ----------
    waiting
        Their number; `MOST_COUNTED` stands for itself and every larger one.
    oldest
        When the oldest of them was ordered that could have been sent by now; None if there is none.
    """

    waiting: int
    oldest: datetime | None


def backlogs(database: Database, destinations: Sequence[str]) -> dict[str, Backlog]:
    """Return what waits for each of the destinations.

    Alerts that have been received, and are repeated until somebody acknowledges the result, do not wait; nor is an
    escalation late before its time.

    Raises
    ------
    Overloaded
        The database does not answer.
    """
    with database.read() as connection:
        return {name: _backlog(connection, name, clock.now(connection)) for name in destinations}


def _backlog(connection: sa.Connection, destination: str, now: datetime) -> Backlog:
    waiting = (
        sa.select(OUTBOX.c.ordered, ((OUTBOX.c.attempts > 0) | (OUTBOX.c.due <= now)).label("late"))
        .where(OUTBOX.c.destination == destination, OUTBOX.c.state == "waiting")
        .order_by(OUTBOX.c.due)
        .limit(MOST_COUNTED)
        .subquery()
    )
    oldest = sa.func.min(sa.case((waiting.c.late, waiting.c.ordered)))
    count, since = connection.execute(sa.select(sa.func.count(), oldest).select_from(waiting)).one()
    return Backlog(count, since)
