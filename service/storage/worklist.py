"""The worklist: the newest record of each instance, most urgent first, with its read mark."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from service.errors import NotFound
from service.storage import acknowledgement, rows
from service.storage.changes import add_change
from service.storage.database import Database
from service.storage.filters import Filters
from service.storage.order import SORTED_BY, URGENCY, Order, Place
from service.storage.other_studies import OTHER_STUDIES
from service.storage.record import Summary, check_id
from service.storage.tables import INSTANCES, PREDICTIONS, SUMMARIES, WORKLIST
from service.triage.rule import PRIORITIES, Priority

_MOST_URGENT_FIRST = Order()
_NO_MARGIN = 1e300  # urgency without a margin: sorts after every entry that has one
_ENTRIES = (
    SUMMARIES.add_columns(
        *(*URGENCY, WORKLIST.c.opened_at, WORKLIST.c.read_at, WORKLIST.c.read_by),
        *(*acknowledgement.COLUMNS, OTHER_STUDIES),
    )
    .set_label_style(sa.LABEL_STYLE_DISAMBIGUATE_ONLY)
    .join(WORKLIST, WORKLIST.c.prediction_id == PREDICTIONS.c.id)
)


@dataclass(frozen=True)
class Entry:
    """A record on the list, and who marked it as read and when (None: unread).

    Attributes
    ----------
    opened_at
        When it was first opened in the viewer; None: never, or before these times were kept.
    other_studies
        Number of the patient's other studies that have records.
    """

    record: Summary
    opened_at: datetime | None
    read_at: datetime | None
    read_by: str
    acknowledgement: acknowledgement.Acknowledgement
    other_studies: int


@dataclass(frozen=True)
class Counts:
    """Number of entries that meet the filters, and numbers of unread entries of the whole list by priority.

    Attributes
    ----------
    oldest_stat
        Time of the oldest record among the unread ones with the priority STAT; None if there is none.
    """

    total: int
    unread: dict[Priority, int]
    oldest_stat: datetime | None


def insert_entry(connection: sa.Connection, record: Summary, instance: int) -> None:
    """Insert the entry of a new record; it replaces older ones of its instance, which must be locked."""
    prediction = record.prediction
    row = {
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
    }
    connection.execute(sa.insert(WORKLIST).values(row))
    list_newest(connection, instance)


def lock_instance(connection: sa.Connection, instance: int) -> None:
    """Lock an instance before its records are read or one is added, so that concurrent writers see each other's.

    Inserting a record takes a shared lock on its instance. Two writers that both held it, and then asked for the
    exclusive one, would deadlock; so the exclusive lock comes first.
    """
    connection.execute(sa.select(INSTANCES.c.id).where(INSTANCES.c.id == instance).with_for_update())


def list_newest(connection: sa.Connection, instance: int | None) -> None:
    """Put the newest record of an instance on the list and take the others off; the instance must be locked."""
    same_instance = WORKLIST.c.instance_id == instance
    newest = sa.select(WORKLIST.c.prediction_id).where(same_instance)
    newest = newest.order_by(WORKLIST.c.created.desc(), WORKLIST.c.prediction_id.desc()).limit(1)
    id = connection.scalar(newest)
    connection.execute(sa.update(WORKLIST).where(same_instance).values(newest=WORKLIST.c.prediction_id == id))


class Worklist:
    """The list and its read marks. Blocking; raises StorageFull and Overloaded as `Records`.

    Parameters
    ----------
    database
        An open database.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def page(
        self, filters: Filters, limit: int, cursor: str | None, order: Order = _MOST_URGENT_FIRST
    ) -> tuple[tuple[Entry, ...], str | None]:
        """Return a page and the cursor of the next page (None after the last).

        Raises
        ------
        InvalidRequest
            The cursor is not one that this method returned for the same priority and order.
        """
        part, place = order.place(cursor, filters.priority)
        parts = filters.unread_then_read() if order.unread_first else (filters,)
        rows: list[tuple[int, sa.Row[Any]]] = []
        with self._database.read() as connection:
            for number, filtered in enumerate(parts):
                if number < part or len(rows) > limit:
                    continue
                after = place if number == part else None
                selected = connection.execute(_selection(filtered, order, after, limit + 1 - len(rows))).all()
                rows += [(number, row) for row in selected]
        entries = tuple(_entry(row) for _, row in rows[:limit])
        return entries, order.cursor(*rows[limit - 1]) if len(rows) > limit else None

    def counts(self, filters: Filters) -> Counts:
        """Count entries. Without `q` and `finding`, this reads indices only."""
        by_rank = sa.select(WORKLIST.c.rank, sa.func.count(), sa.func.min(WORKLIST.c.created)).group_by(WORKLIST.c.rank)
        unread = by_rank.where(WORKLIST.c.newest.is_(sa.true()), WORKLIST.c.unread.is_(sa.true()))
        total = sa.select(sa.func.count()).select_from(WORKLIST).where(*filters.conditions())
        with self._database.read() as connection:
            counts = {int(rank): (int(count), oldest) for rank, count, oldest in connection.execute(unread).all()}
            matching = connection.scalar(total) or 0
        by_priority = {priority: counts.get(rank, (0, None)) for rank, priority in enumerate(PRIORITIES)}
        unread_counts = {priority: count for priority, (count, _) in by_priority.items()}
        return Counts(matching, unread_counts, by_priority["STAT"][1])

    def matching(
        self, condition: sa.ColumnElement[bool], limit: int, *order: sa.ColumnElement[Any]
    ) -> tuple[Entry, ...]:
        """Return the first entries of the list that meet a condition, in an order."""
        entries = _ENTRIES.where(WORKLIST.c.newest.is_(sa.true()), condition).order_by(*order).limit(limit)
        with self._database.read() as connection:
            return tuple(_entry(row) for row in connection.execute(entries).all())

    def get(self, id: str) -> Entry:
        """Return the entry of a record, also if it is not on the list.

        Raises
        ------
        NotFound
        """
        check_id(id)
        with self._database.read() as connection:
            return _entry(_row(connection, id))

    def open(self, id: str) -> datetime:
        """Keep the time at which a record was opened in the viewer; return the first one, which counts.

        Raises
        ------
        NotFound
        """
        check_id(id)
        record = WORKLIST.c.prediction_id == id
        first = sa.update(WORKLIST).where(record, WORKLIST.c.opened_at.is_(None)).values(opened_at=datetime.now(UTC))
        with self._database.write() as connection:
            connection.execute(first)
            opened: datetime | None = connection.scalar(sa.select(WORKLIST.c.opened_at).where(record))
        if opened is None:
            raise NotFound("no such prediction")
        return opened

    def mark(self, id: str, read: bool, by: str) -> Entry:
        """Mark a record as read by a reader, or as unread. Marking a read record again changes nothing.

        A read mark also acknowledges the result; the acknowledgement stays when the mark is removed.

        Raises
        ------
        NotFound
        """
        check_id(id)
        now = datetime.now(UTC)
        values: dict[str, Any] = {"unread": not read, "read_at": now if read else None}
        update = sa.update(WORKLIST).where(WORKLIST.c.prediction_id == id, WORKLIST.c.unread.is_(read))
        with self._database.write() as connection:
            if read:
                acknowledgement.acknowledge(connection, id, by, now)
            changed = connection.execute(update.values(**values, read_by=by if read else "")).rowcount
            row = _row(connection, id)
            if changed:
                add_change(connection, "read", id, row.priority)
        return _entry(row)

    def acknowledge(self, id: str, by: str) -> Entry:
        """Acknowledge a result, which ends its alerts. Acknowledging it again changes nothing.

        Raises
        ------
        NotFound
        """
        check_id(id)
        with self._database.write() as connection:
            changed = acknowledgement.acknowledge(connection, id, by, datetime.now(UTC))
            row = _row(connection, id)
            if changed:
                add_change(connection, "acknowledged", id, row.priority)
        return _entry(row)


def _row(connection: sa.Connection, id: str) -> sa.Row[Any]:
    row = connection.execute(_ENTRIES.where(PREDICTIONS.c.id == id)).one_or_none()
    if row is None:
        raise NotFound("no such prediction")
    return row


def _selection(filters: Filters, order: Order, place: Place | None, limit: int) -> sa.Select[Any]:
    """Return the query for the first entries after a place (None: from the beginning)."""
    key = order.key(filters.priority)
    following = [] if place is None else [order.after(place, key)]
    ids = sa.select(WORKLIST.c.prediction_id).where(*filters.conditions(), *following).order_by(*order.sorting(key))
    if order.needs_instances:
        ids = ids.join(INSTANCES, INSTANCES.c.id == WORKLIST.c.instance_id)
    entries = _ENTRIES.where(PREDICTIONS.c.id.in_(ids.limit(limit).scalar_subquery()))
    return entries.add_columns(*(column for column in key if column.key == SORTED_BY)).order_by(*order.sorting(key))


def _searched(record: Summary) -> str:
    values = (record.attributes.get("PatientName", ""), record.attributes.get("PatientID", ""), record.accession_number)
    return "\n".join(values).casefold()


def _entry(row: sa.Row[Any]) -> Entry:
    marked = acknowledgement.acknowledgement(row)
    return Entry(rows.summary(row._mapping), row.opened_at, row.read_at, row.read_by, marked, row.other_studies)
