"""What changed, told to every replica: a ring of the last changes in the one database."""

from dataclasses import dataclass
from typing import Literal

import sqlalchemy as sa

from service.storage.database import Database
from service.storage.tables import CHANGES, CLOCK

Kind = Literal["new", "read", "deleted"]
KEPT = 10_000


@dataclass(frozen=True)
class Change:
    """One record that came, was marked, or went; `tick` counts up without a gap."""

    tick: int
    kind: Kind
    id: str
    priority: str | None


def note(connection: sa.Connection, kind: Kind, id: str, priority: str | None = None) -> None:
    """Note a change in the transaction that makes it, as its last statement.

    The clock's row stays locked until the commit, so that ticks are committed in their order: who has seen one has seen
    all before it. Last, so that no transaction waits for another lock with this one in its hand.
    """
    tick = connection.execute(sa.update(CLOCK).values(tick=CLOCK.c.tick + 1).returning(CLOCK.c.tick)).scalar_one()
    connection.execute(sa.delete(CHANGES).where(CHANGES.c.tick <= tick - KEPT))
    connection.execute(sa.insert(CHANGES).values(tick=tick, kind=kind, prediction_id=id, priority=priority))


class Changes:
    """Reads them. Blocking.

    Parameters
    ----------
    database
        Open.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def latest(self) -> int:
        """Give the tick of the last change."""
        with self._database.read() as connection:
            return int(connection.execute(sa.select(CLOCK.c.tick)).scalar_one())

    def after(self, tick: int) -> tuple[Change, ...]:
        """Read the changes after one; the first of them is not `tick` + 1 where some are no longer kept."""
        wanted = sa.select(CHANGES).where(CHANGES.c.tick > tick).order_by(CHANGES.c.tick).limit(KEPT)
        with self._database.read() as connection:
            rows = connection.execute(wanted).all()
        return tuple(Change(row.tick, row.kind, row.prediction_id, row.priority) for row in rows)
