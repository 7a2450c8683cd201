"""Objects to send to other systems, kept until they have been sent or have failed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import uuid4

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from service.errors import NotFound, Overloaded
from service.objects.kinds import Kind
from service.storage import clock
from service.storage.acknowledgement import OPEN
from service.storage.database import Database
from service.storage.notifications import ORDERS, notify
from service.storage.tables import INSTANCES, OUTBOX, PREDICTIONS, WORKLIST
from service.triage.rule import PRIORITIES

State = Literal["waiting", "repeating", "sent", "failed", "acknowledged"]
_ATTEMPTS = 8
_STAT = PRIORITIES.index("STAT")  # the rank of alerts


@dataclass(frozen=True)
class Order:
    """A kind of object and the name of the destination to send it to.

    Attributes
    ----------
    alert
        Whether the order ends when somebody acknowledges the result.
    delay
        Time before the first attempt.
    """

    destination: str
    object: Kind
    alert: bool = False
    delay: timedelta = timedelta()


@dataclass(frozen=True)
class Delivery:
    """An order and its state.

    Attributes
    ----------
    attempts
        Number of attempts, also of one under way.
    due
        Earliest time of the next attempt; meaningless unless the state is `waiting` or `repeating`.
    error
        Code of the last failure, or empty.
    alert
        Whether an acknowledgement of the result ends it.
    received
        Number of times that the destination has received it.
    ordered
        Time of the order: `created`, unless the order was placed anew after it was sent or had failed.
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
    study_instance_uid: str
    ordered: datetime
    alert: bool = False
    received: int = 0


class Outbox:
    """The table of orders. Blocking; safe from many threads, processes and replicas.

    Parameters
    ----------
    database
        An open database.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, prediction_id: str, orders: Sequence[Order]) -> tuple[Delivery, ...]:
        """Add orders of a record; one that is waiting stays as it is, any other starts anew.

        An alert of a result that is not STAT, or was acknowledged, becomes an ordinary order.

        Raises
        ------
        NotFound
            The record does not exist.
        Overloaded
            Other writers were faster each time.
        """
        for _ in range(_ATTEMPTS):
            try:
                with self._database.write() as connection:
                    return add_orders(connection, prediction_id, orders)
            except IntegrityError:  # another client added the same order, or deleted the record: try again
                continue
        raise Overloaded("the order could not be saved because of other writers")

    def list(self, prediction_id: str) -> tuple[Delivery, ...]:
        """Return all deliveries of a record, oldest first."""
        deliveries = sa.select(OUTBOX).where(OUTBOX.c.prediction_id == prediction_id)
        with self._database.read() as connection:
            rows = connection.execute(deliveries.order_by(OUTBOX.c.created, OUTBOX.c.destination, OUTBOX.c.object))
            return tuple(map(_delivery, rows))

    def claim(self, destination: str, lease: timedelta) -> Delivery | None:
        """Take the delivery that has been due longest; nobody else can claim it until the lease ends.

        If it is neither finished nor put off by then, because the process died, it is due again. All times of the
        outbox are those of the database, as the clocks of replicas differ. An HL7 message is not
        taken while an earlier one of the same study waits. DICOM objects overtake one another: an archive files them by
        their UIDs, and may refuse one kind for good; so do notifications, each of which is of one result alone.
        """
        due = (OUTBOX.c.destination == destination) & OUTBOX.c.state.in_(OPEN)
        due &= (OUTBOX.c.object != Kind.HL7) | ~_earlier_waits()
        # On PostgreSQL a row that another replica is claiming is passed over; SQLite has one writer at a time.
        oldest = sa.select(OUTBOX.c.id).where(due).order_by(OUTBOX.c.due).limit(1).with_for_update(skip_locked=True)
        with self._database.write() as connection:
            now = clock.now(connection)
            claim = sa.update(OUTBOX).where(OUTBOX.c.id == oldest.where(OUTBOX.c.due <= now).scalar_subquery())
            values = {"due": now + lease, "attempts": OUTBOX.c.attempts + 1}
            row = connection.execute(claim.values(values).returning(OUTBOX)).one_or_none()
        return None if row is None else _delivery(row)

    def renew(self, delivery: Delivery, lease: timedelta) -> None:
        """Extend the lease: it ends after `lease` from now."""
        self._set(delivery, lambda now: {"due": now + lease})

    def finish(self, delivery: Delivery, state: State, error: str = "") -> None:
        """Set the final state."""
        received = {"received": OUTBOX.c.received + 1} if state == "sent" else {}
        self._set(delivery, lambda now: {"state": state, "error": error, "finished": now} | received)

    def repeat(self, delivery: Delivery, pause: timedelta) -> None:
        """Note that an alert was received; it is due again after a pause, unless it is acknowledged before."""
        received = {"received": OUTBOX.c.received + 1}
        self._set(delivery, lambda now: {"state": "repeating", "error": "", "due": now + pause} | received)

    def put_off(self, delivery: Delivery, pause: timedelta, error: str) -> None:
        """Allow the next attempt after a pause."""
        self._set(delivery, lambda now: {"due": now + pause, "error": error})

    def _set(self, delivery: Delivery, values: Callable[[datetime], dict[str, Any]]) -> None:
        """Change the row only if no later attempt has begun, as one does when the lease has ended."""
        same_attempt = (
            (OUTBOX.c.id == delivery.id) & (OUTBOX.c.attempts == delivery.attempts) & OUTBOX.c.state.in_(OPEN)
        )
        with self._database.write() as connection:
            connection.execute(sa.update(OUTBOX).where(same_attempt).values(values(clock.now(connection))))


def _earlier_waits() -> sa.Exists:
    """Whether an earlier order of the same kind, study and destination is waiting."""
    earlier = OUTBOX.alias()
    same = (earlier.c[name] == OUTBOX.c[name] for name in ("destination", "study_instance_uid", "object"))
    before = sa.tuple_(earlier.c.ordered, earlier.c.id) < sa.tuple_(OUTBOX.c.ordered, OUTBOX.c.id)
    return sa.exists().where(*same, earlier.c.state == "waiting", before)


def insert_orders(connection: sa.Connection, prediction_id: str, orders: Sequence[Order]) -> None:
    """Insert orders of a new record, in the transaction that inserts the record."""
    if orders:
        study = sa.select(INSTANCES.c.study_instance_uid).join(PREDICTIONS).where(PREDICTIONS.c.id == prediction_id)
        uid, now = connection.execute(study).scalar_one(), clock.now(connection)
        common = {"prediction_id": prediction_id, "study_instance_uid": uid, "created": now, "ordered": now}
        connection.execute(sa.insert(OUTBOX), [common | _values(order, now) for order in orders])
        notify(connection, ORDERS)


def order_anew(connection: sa.Connection, prediction_id: str, object: Kind) -> None:
    """Order an object of a record that has changed for every destination that it was ordered for before.

    Each order gets a new id: an attempt that is under way sends the object as it was, and its outcome says nothing of
    the object as it is.
    """
    same = (OUTBOX.c.prediction_id == prediction_id) & (OUTBOX.c.object == object)
    ids = connection.scalars(sa.select(OUTBOX.c.id).where(same)).all()
    values = _anew(clock.now(connection))
    for id in ids:
        connection.execute(sa.update(OUTBOX).where(OUTBOX.c.id == id).values(values | {"id": uuid4().hex}))
    notify(connection, ORDERS)


def add_orders(connection: sa.Connection, prediction_id: str, orders: Sequence[Order]) -> tuple[Delivery, ...]:
    """Add orders of a record that may have had some before; as `Outbox.add`."""
    # Locked, so that an acknowledgement either comes first and is seen here, or ends the orders that are added here.
    entry = sa.select(WORKLIST.c.rank, WORKLIST.c.acknowledged_at).where(WORKLIST.c.prediction_id == prediction_id)
    row = connection.execute(entry.with_for_update()).one_or_none()
    if row is None:
        raise NotFound("no such prediction")
    now, urgent = clock.now(connection), row.rank == _STAT and row.acknowledged_at is None
    notify(connection, ORDERS)
    return tuple(
        _add_one(connection, prediction_id, replace(order, alert=order.alert and urgent), now) for order in orders
    )


def _add_one(connection: sa.Connection, prediction_id: str, order: Order, now: datetime) -> Delivery:
    same = (
        (OUTBOX.c.prediction_id == prediction_id)
        & (OUTBOX.c.destination == order.destination)
        & (OUTBOX.c.object == order.object)
    )
    anew = _anew(now) | {"due": now + order.delay, "alert": order.alert}
    connection.execute(sa.update(OUTBOX).where(same, OUTBOX.c.state != "waiting").values(anew))
    row = connection.execute(sa.select(OUTBOX).where(same)).one_or_none()
    if row is None:
        insert_orders(connection, prediction_id, [order])
        row = connection.execute(sa.select(OUTBOX).where(same)).one()
    return _delivery(row)


def _anew(now: datetime) -> dict[str, Any]:
    return {"state": "waiting", "attempts": 0, "due": now, "ordered": now, "error": "", "finished": None}


def _values(order: Order, now: datetime) -> dict[str, Any]:
    return {
        "id": uuid4().hex,
        "destination": order.destination,
        "object": order.object,
        "alert": order.alert,
        "state": "waiting",
        "attempts": 0,
        "due": now + order.delay,
        "error": "",
    }


def _delivery(row: sa.Row[Any]) -> Delivery:
    return Delivery(**{**row._mapping, "object": Kind(row.object)})
