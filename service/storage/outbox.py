"""What is to be sent to other systems: kept until it is there, or given up."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from uuid import uuid4

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from service.errors import NotFound, Overloaded
from service.objects.kinds import Kind
from service.storage.database import Database
from service.storage.tables import OUTBOX, PREDICTIONS

State = Literal["waiting", "sent", "failed"]
_ATTEMPTS = 8


@dataclass(frozen=True)
class Order:
    """An object of a record, by its kind, and the name of the destination it is for."""

    destination: str
    object: Kind


@dataclass(frozen=True)
class Delivery:
    """An order, and what became of it.

    Attributes
    ----------
    attempts
        Those begun.
    due
        When the next may begin; meaningless once it is `sent` or `failed`.
    error
        Code of the last failure, or nothing.
    """

    id: str
    prediction_id: str
    destination: str
    object: Kind
    state: State
    attempts: int
    due: datetime
    error: str
    created: datetime
    finished: datetime | None


class Outbox:
    """The table of orders. Blocking; safe from many threads, processes and replicas.

    Parameters
    ----------
    database
        Open.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, prediction_id: str, orders: Sequence[Order]) -> tuple[Delivery, ...]:
        """Order, or order again what was sent or given up; what is waiting already waits on.

        Raises
        ------
        NotFound
            There is no such record.
        """
        for _ in range(_ATTEMPTS):
            try:
                with self._database.write() as connection:
                    return _add(connection, prediction_id, orders)
            except IntegrityError:  # somebody else ordered the same, or deleted the record: look again
                continue
        raise Overloaded("the order could not be saved beside others")

    def list(self, prediction_id: str) -> tuple[Delivery, ...]:
        """Give all of a record, oldest first."""
        of_it = sa.select(OUTBOX).where(OUTBOX.c.prediction_id == prediction_id)
        with self._database.read() as connection:
            rows = connection.execute(of_it.order_by(OUTBOX.c.created, OUTBOX.c.destination, OUTBOX.c.object))
            return tuple(map(_entry, rows))

    def claim(self, destination: str, lease: timedelta) -> Delivery | None:
        """Take the entry that has been due longest; for the time of the lease nobody else gets it.

        An attempt that is neither finished nor put off by then, as its process died, counts as lost: the entry is due
        again.
        """
        now = datetime.now(UTC)
        due = (OUTBOX.c.destination == destination) & (OUTBOX.c.state == "waiting") & (OUTBOX.c.due <= now)
        oldest = sa.select(OUTBOX.c.id).where(due).order_by(OUTBOX.c.due).limit(1).scalar_subquery()
        # `due` once more, for PostgreSQL: it is looked at again where another has just changed the row.
        taken = sa.update(OUTBOX).where(OUTBOX.c.id == oldest, due)
        values = {"due": now + lease, "attempts": OUTBOX.c.attempts + 1}
        with self._database.write() as connection:
            row = connection.execute(taken.values(values).returning(OUTBOX)).one_or_none()
        return None if row is None else _entry(row)

    def renew(self, entry: Delivery, lease: timedelta) -> None:
        """Have the lease begin anew."""
        self._set(entry, {"due": datetime.now(UTC) + lease})

    def finish(self, entry: Delivery, state: State, error: str = "") -> None:
        """End it."""
        self._set(entry, {"state": state, "error": error, "finished": datetime.now(UTC)})

    def put_off(self, entry: Delivery, pause: timedelta, error: str) -> None:
        """Have it tried again, not before a while."""
        self._set(entry, {"due": datetime.now(UTC) + pause, "error": error})

    def _set(self, entry: Delivery, values: dict[str, Any]) -> None:
        """Only of the attempt that was claimed: a later one has begun if this one's lease ran out."""
        mine = (OUTBOX.c.id == entry.id) & (OUTBOX.c.attempts == entry.attempts) & (OUTBOX.c.state == "waiting")
        with self._database.write() as connection:
            connection.execute(sa.update(OUTBOX).where(mine).values(values))


def insert(connection: sa.Connection, prediction_id: str, orders: Sequence[Order]) -> None:
    """Order, in a transaction of the caller's, of a record that is new in it."""
    now = datetime.now(UTC)
    if orders:
        connection.execute(sa.insert(OUTBOX), [_values(prediction_id, order, now) for order in orders])


def _add(connection: sa.Connection, prediction_id: str, orders: Sequence[Order]) -> tuple[Delivery, ...]:
    if connection.scalar(sa.select(PREDICTIONS.c.id).where(PREDICTIONS.c.id == prediction_id)) is None:
        raise NotFound("no such prediction")
    now = datetime.now(UTC)
    return tuple(_place(connection, prediction_id, order, now) for order in orders)


def _place(connection: sa.Connection, prediction_id: str, order: Order, now: datetime) -> Delivery:
    same = (
        (OUTBOX.c.prediction_id == prediction_id)
        & (OUTBOX.c.destination == order.destination)
        & (OUTBOX.c.object == order.object)
    )
    again = {"state": "waiting", "attempts": 0, "due": now, "error": "", "finished": None}
    connection.execute(sa.update(OUTBOX).where(same, OUTBOX.c.state != "waiting").values(again))
    row = connection.execute(sa.select(OUTBOX).where(same)).one_or_none()
    if row is None:
        insert(connection, prediction_id, [order])
        row = connection.execute(sa.select(OUTBOX).where(same)).one()
    return _entry(row)


def _values(prediction_id: str, order: Order, now: datetime) -> dict[str, Any]:
    return {
        "id": uuid4().hex,
        "prediction_id": prediction_id,
        "destination": order.destination,
        "object": order.object,
        "state": "waiting",
        "attempts": 0,
        "due": now,
        "error": "",
        "created": now,
    }


def _entry(row: sa.Row[Any]) -> Delivery:
    return Delivery(**{**row._mapping, "object": Kind(row.object)})
