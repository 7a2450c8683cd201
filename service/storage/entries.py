"""Entries of the worklist in its table: written with each record; the newest one of an instance is on the list."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from service.errors import NotFound
from service.storage.record import Summary, check_id
from service.storage.tables import INSTANCES, PREDICTIONS, WORKLIST
from service.triage.rule import PRIORITIES

BACKFILL = "back-fill"  # stands where the name of a reader stands, for records that a back-fill has added
_NO_MARGIN = 1e300  # urgency without a margin: sorts after every entry that has one
_LONGEST = 64  # characters of a text that is sorted by, so that cursors are short


def insert_entry(connection: sa.Connection, record: Summary, instance: int, backfilled: bool = False) -> bool:
    """Insert the entry of a new record; it replaces older ones of its instance, which must be locked.

    The entry of a back-fill is marked as read, so that an archive does not bury what has just arrived, unless it takes
    the place of an entry that no reader has read yet.

    Returns
    -------
    bool
        Whether the entry is unread, so that readers are told of it.
    """
    unread = not backfilled or _is_unread(connection, instance)
    mark = {} if unread else {"unread": False, "read_at": record.created, "read_by": BACKFILL}
    connection.execute(sa.insert(WORKLIST).values(entry_values(record, instance) | mark | {"backfilled": backfilled}))
    list_newest(connection, instance)
    return unread


def _is_unread(connection: sa.Connection, instance: int) -> bool:
    """Return whether the entry that is on the list for an instance is unread; False if there is none."""
    newest = (WORKLIST.c.instance_id == instance) & WORKLIST.c.newest.is_(True)
    return bool(connection.scalar(sa.select(WORKLIST.c.unread).where(newest)))


def arrive(connection: sa.Connection, id: str, instance: int, now: datetime) -> bool:
    """Give a record that a back-fill has added the time of its arrival; return whether a back-fill has added it.

    It is unread then, and stands on the list for its instance, which must be locked. A mark that a reader has set since
    stays.
    """
    entry = (WORKLIST.c.prediction_id == id) & WORKLIST.c.backfilled.is_(True)
    unread = {"unread": True, "read_at": None, "read_by": ""}
    connection.execute(sa.update(WORKLIST).where(entry, WORKLIST.c.read_by == BACKFILL).values(unread))
    arrived = sa.update(WORKLIST).where(entry).values(backfilled=False, created=now)
    if not connection.execute(arrived).rowcount:
        return False
    connection.execute(sa.update(PREDICTIONS).where(PREDICTIONS.c.id == id).values(created=now))
    connection.execute(sa.update(INSTANCES).where(INSTANCES.c.id == instance).values(received=now))
    list_newest(connection, instance)
    return True


def entry_values(record: Summary, instance: int) -> dict[str, Any]:
    """Return the columns of the table `worklist` for a new record that is not on the list yet."""
    prediction = record.prediction
    return {
        "prediction_id": record.id,
        "instance_id": instance,
        "newest": False,
        "unread": True,
        "rank": PRIORITIES.index(prediction.priority),
        "urgency": _NO_MARGIN if prediction.margin is None else -prediction.margin,
        "created": record.created,
        "positive": "".join(f"|{label}|" for label in prediction.positive),
        "reason": "".join(f"|{label}|" for label in prediction.reason),
        "searched": _searched(record),
        "patient_key": _searched(record)[:_LONGEST],
        "study_key": "".join(record.attributes.get(f"Study{part}", "") for part in ("Date", "Time"))[:_LONGEST],
    }


def lock_instance(connection: sa.Connection, instance: int) -> None:
    """Lock an instance before its records are read or one is added, so that concurrent writers see each other's.

    Inserting a record takes a shared lock on its instance. Two writers that both held it, and then asked for the
    exclusive one, would deadlock; so the exclusive lock comes first.
    """
    connection.execute(sa.select(INSTANCES.c.id).where(INSTANCES.c.id == instance).with_for_update())


def lock_entries(connection: sa.Connection, instance: int | None) -> None:
    """Lock the entries of an instance, which must be locked, before a record of it is deleted.

    Whoever changes what belongs to a record locks its entry, then its orders, and then refers to the record. Deleting
    the record takes these locks the other way round, and would deadlock.
    """
    of_instance = sa.select(WORKLIST.c.prediction_id).where(WORKLIST.c.instance_id == instance)
    connection.execute(of_instance.order_by(WORKLIST.c.prediction_id).with_for_update())


def require_entry(connection: sa.Connection, id: str, lock: bool = False) -> int:
    """Return the rank of a record; locked, so that what readers add to it changes one after another.

    Raises
    ------
    NotFound
    """
    check_id(id)
    entry = sa.select(WORKLIST.c.rank).where(WORKLIST.c.prediction_id == id)
    rank = connection.scalar(entry.with_for_update() if lock else entry)
    if rank is None:
        raise NotFound("no such prediction")
    return int(rank)


def list_newest(connection: sa.Connection, instance: int | None) -> None:
    """Put the newest record of an instance on the list and take the others off; the instance must be locked."""
    same_instance = WORKLIST.c.instance_id == instance
    newest = sa.select(WORKLIST.c.prediction_id).where(same_instance)
    newest = newest.order_by(WORKLIST.c.created.desc(), WORKLIST.c.prediction_id.desc()).limit(1)
    id = connection.scalar(newest)
    connection.execute(sa.update(WORKLIST).where(same_instance).values(newest=WORKLIST.c.prediction_id == id))


def _searched(record: Summary) -> str:
    values = (record.attributes.get("PatientName", ""), record.attributes.get("PatientID", ""), record.accession_number)
    return "\n".join(values).casefold()
