"""The last changes of the records, in the database, so that every replica sees them."""

from dataclasses import dataclass
from typing import Literal

import sqlalchemy as sa

from service.storage import notifications
from service.storage.database import Database
from service.storage.tables import CHANGES, CLOCK

Kind = Literal["new", "read", "acknowledged", "measured", "deleted"]
KEPT = 10_000  # changes; older ones are deleted


@dataclass(frozen=True)
class Change:
    """A record was added, marked as read or unread, acknowledged or deleted, or its measurements have changed.

    `tick` counts up without a gap.
    """

    tick: int
    kind: Kind
    id: str
    priority: str | None


def add_change(connection: sa.Connection, kind: Kind, id: str, priority: str | None = None) -> None:
    """Add a change in the transaction that makes it, as its last statement.

    The row of `clock` stays locked until the commit, so ticks are committed in order: a reader that has read one has
    read all before it. It is the last statement so that no transaction waits for another lock while it holds this one.
    """
    tick = connection.execute(sa.update(CLOCK).values(tick=CLOCK.c.tick + 1).returning(CLOCK.c.tick)).scalar_one()
    connection.execute(sa.delete(CHANGES).where(CHANGES.c.tick <= tick - KEPT))
    connection.execute(sa.insert(CHANGES).values(tick=tick, kind=kind, prediction_id=id, priority=priority))
    notifications.notify(connection, notifications.CHANGES)


class Changes:
    """Reader of the changes. Blocking.

    Parameters
    ----------
    database
        An open database.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def latest(self) -> int:
        """Return the tick of the last change; 0 before the first."""
        with self._database.read() as connection:
            return int(connection.execute(sa.select(CLOCK.c.tick)).scalar_one())

    def after(self, tick: int) -> tuple[Change, ...]:
        """Return the changes after a tick. If the first is not `tick` + 1, those between have been deleted."""
        later = sa.select(CHANGES).where(CHANGES.c.tick > tick).order_by(CHANGES.c.tick).limit(KEPT)
        with self._database.read() as connection:
            rows = connection.execute(later).all()
        return tuple(Change(row.tick, row.kind, row.prediction_id, row.priority) for row in rows)
