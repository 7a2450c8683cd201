"""The worklist: the newest record of each instance, most urgent first, with its read mark."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from service.errors import InvalidRequest, NotFound
from service.storage import acknowledgement, rows
from service.storage import cursor as cursors
from service.storage.changes import add_change
from service.storage.database import Database
from service.storage.record import Summary, check_id
from service.storage.tables import INSTANCES, PREDICTIONS, SUMMARIES, WORKLIST
from service.triage.rule import PRIORITIES, Priority

_NO_MARGIN = 1e300  # urgency without a margin: sorts after every entry that has one
_KEY = (WORKLIST.c.rank, WORKLIST.c.urgency, WORKLIST.c.created, WORKLIST.c.prediction_id)
_ENTRIES = (
    SUMMARIES.add_columns(*_KEY, WORKLIST.c.read_at, WORKLIST.c.read_by, *acknowledgement.COLUMNS)
    .set_label_style(sa.LABEL_STYLE_DISAMBIGUATE_ONLY)
    .join(WORKLIST, WORKLIST.c.prediction_id == PREDICTIONS.c.id)
)


@dataclass(frozen=True)
class Filters:
    """Conditions that an entry must meet; None is no condition.

    Attributes
    ----------
    q
        Words; each must be part of the patient name, patient id or accession number, ignoring case.
    finding
        Label that must be positive.
    read
        Whether the entry must be marked as read, or must not be.
    since
        Earliest time of the record; aware.
    """

    q: str | None = None
    priority: Priority | None = None
    finding: str | None = None
    read: bool | None = None
    since: datetime | None = None


@dataclass(frozen=True)
class Entry:
    """A record on the list, and who marked it as read and when (None: unread)."""

    record: Summary
    read_at: datetime | None
    read_by: str
    acknowledgement: acknowledgement.Acknowledgement


@dataclass(frozen=True)
class Counts:
    """Number of entries that meet the filters, and numbers of unread entries of the whole list by priority."""

    total: int
    unread: dict[Priority, int]


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

    def page(self, filters: Filters, limit: int, cursor: str | None) -> tuple[tuple[Entry, ...], str | None]:
        """Return a page and the cursor of the next page (None after the last).

        Raises
        ------
        InvalidRequest
            The cursor is not one that this method returned for the same priority.
        """
        key = _KEY if filters.priority is None else _KEY[1:]  # with a fixed rank, the index is walked by the rest
        following = [] if cursor is None else [sa.tuple_(*key) > sa.tuple_(*_place(cursor, filters)[-len(key) :])]
        ids = sa.select(WORKLIST.c.prediction_id).where(*_conditions(filters), *following).order_by(*key)
        entries = _ENTRIES.where(PREDICTIONS.c.id.in_(ids.limit(limit + 1).scalar_subquery())).order_by(*key)
        with self._database.read() as connection:
            page = connection.execute(entries).all()
        if len(page) <= limit:
            return tuple(map(_entry, page)), None
        last = page[limit - 1]
        return tuple(map(_entry, page[:limit])), cursors.encode_place(last.rank, last.urgency, last.created, last.id)

    def counts(self, filters: Filters) -> Counts:
        """Count entries. Without `q` and `finding`, this reads indices only."""
        by_rank = sa.select(WORKLIST.c.rank, sa.func.count()).group_by(WORKLIST.c.rank)
        unread = by_rank.where(WORKLIST.c.newest.is_(sa.true()), WORKLIST.c.unread.is_(sa.true()))
        total = sa.select(sa.func.count()).select_from(WORKLIST).where(*_conditions(filters))
        with self._database.read() as connection:
            counts = {int(rank): int(count) for rank, count in connection.execute(unread).all()}
            matching = connection.scalar(total) or 0
        return Counts(matching, {priority: counts.get(rank, 0) for rank, priority in enumerate(PRIORITIES)})

    def get(self, id: str) -> Entry:
        """Return the entry of a record, also if it is not on the list.

        Raises
        ------
        NotFound
        """
        check_id(id)
        with self._database.read() as connection:
            return _entry(_row(connection, id))

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


def _place(cursor: str, filters: Filters) -> tuple[int, float, datetime, str]:
    place = cursors.decode_place(cursor)
    if filters.priority is not None and place[0] != PRIORITIES.index(filters.priority):
        raise InvalidRequest("cursor: expected one of a page with the same priority")
    return place


def _conditions(filters: Filters) -> list[sa.ColumnElement[bool]]:
    # Filters on text must look at every row. CASE keeps the database from using an index, which would fetch each row
    # on its own; a scan of the table is faster.
    scan = filters.q is not None or filters.finding is not None
    conditions = [sa.case((WORKLIST.c.newest, 1), else_=0) == 1 if scan else WORKLIST.c.newest == sa.true()]
    if filters.priority is not None:
        conditions.append(WORKLIST.c.rank == PRIORITIES.index(filters.priority))
    if filters.read is not None:
        conditions.append(WORKLIST.c.unread == sa.literal(not filters.read))
    if filters.since is not None:
        conditions.append(WORKLIST.c.created >= filters.since)
    if filters.finding is not None:
        conditions.append(WORKLIST.c.positive.contains(f"|{filters.finding}|", autoescape=True))
    words = (filters.q or "").casefold().split()
    return conditions + [WORKLIST.c.searched.contains(word, autoescape=True) for word in words]


def _searched(record: Summary) -> str:
    values = (record.attributes.get("PatientName", ""), record.attributes.get("PatientID", ""), record.accession_number)
    return "\n".join(values).casefold()


def _entry(row: sa.Row[Any]) -> Entry:
    marked = acknowledgement.acknowledgement(row)
    return Entry(rows.summary(row._mapping), row.read_at, row.read_by, marked)
