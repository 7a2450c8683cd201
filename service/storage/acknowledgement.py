"""Acknowledgement of a result by a person, which ends its alerts: the orders that are repeated until then."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from service.storage.tables import OUTBOX, PREDICTIONS, WORKLIST

OPEN = ("waiting", "repeating")  # states in which an order is still to be sent

COLUMNS: tuple[sa.ColumnElement[Any], ...] = (  # to be selected from PREDICTIONS joined with WORKLIST
    WORKLIST.c.acknowledged_at,
    WORKLIST.c.acknowledged_by,
    sa.exists()
    .where(OUTBOX.c.prediction_id == PREDICTIONS.c.id, OUTBOX.c.alert.is_(sa.true()))
    .label("acknowledgement_requested"),
)


@dataclass(frozen=True)
class Acknowledgement:
    """Who acknowledged a result, and when (None: nobody has); `requested` if an alert asks or asked for it."""

    requested: bool
    at: datetime | None
    by: str


def acknowledge(connection: sa.Connection, prediction_id: str, by: str, at: datetime) -> bool:
    """Acknowledge a result unless it was acknowledged before; return whether it was not.

    Its alerts end in the same transaction: none is sent or repeated after that.
    """
    first = (WORKLIST.c.prediction_id == prediction_id) & WORKLIST.c.acknowledged_at.is_(None)
    values = {"acknowledged_at": at, "acknowledged_by": by}
    changed = connection.execute(sa.update(WORKLIST).where(first).values(values)).rowcount
    alerts = (OUTBOX.c.prediction_id == prediction_id) & OUTBOX.c.alert.is_(sa.true()) & OUTBOX.c.state.in_(OPEN)
    connection.execute(sa.update(OUTBOX).where(alerts).values({"state": "acknowledged", "finished": at}))
    return changed > 0


def acknowledgement(row: sa.Row[Any]) -> Acknowledgement:
    """Return the acknowledgement in a row that has `COLUMNS`."""
    return Acknowledgement(bool(row.acknowledgement_requested), row.acknowledged_at, row.acknowledged_by)
