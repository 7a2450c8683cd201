"""The worklist: the newest record of each instance, most urgent first, with its read mark."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from service.errors import NotFound
from service.storage import acknowledgement, rows
from service.storage.changes import add_change
from service.storage.database import Database
from service.storage.entries import BACKFILL
from service.storage.filters import Filters
from service.storage.order import SORTED_BY, URGENCY, Order, Place
from service.storage.other_studies import OTHER_STUDIES
from service.storage.record import Summary, check_id
from service.storage.tables import PREDICTIONS, WORKLIST
from service.triage.rule import PRIORITIES, Priority

_MOST_URGENT_FIRST = Order()
_ENTRIES = (
    rows.SUMMARIES.add_columns(
        *(*URGENCY, WORKLIST.c.opened_at, WORKLIST.c.read_at, WORKLIST.c.read_by),
        *(*acknowledgement.COLUMNS, OTHER_STUDIES),
    )
    .set_label_style(sa.LABEL_STYLE_DISAMBIGUATE_ONLY)
    .join(WORKLIST, WORKLIST.c.prediction_id == PREDICTIONS.c.id)
)


# Counting a million entries takes several times as long as listing a page of them, and nobody needs the exact number.
MOST_COUNTED = 10_000
_OLDEST_STAT = sa.select(sa.func.min(WORKLIST.c.created)).where(*Filters(priority="STAT", read=False).conditions())


# Without the foreign key of the column, which SQLAlchemy would copy into each subquery
_ID = sa.type_coerce(WORKLIST.c.prediction_id, sa.Text).label("prediction_id")


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

    `MOST_COUNTED` stands for itself and every larger number.

    Attributes
    ----------
    oldest_stat
        Time of the oldest record among the unread ones with the priority STAT; None if there is none.
    """

    total: int
    unread: dict[Priority, int]
    oldest_stat: datetime | None


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
        """Count entries, up to `MOST_COUNTED`. Without `q`, this reads indices only."""
        with self._database.read() as connection:
            return Counts(
                _count(connection, filters),
                {each: _count(connection, Filters(priority=each, read=False)) for each in PRIORITIES},
                connection.scalar(_OLDEST_STAT),
            )

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
        """Mark a record as read by a reader, or as unread. The same again changes nothing.

        A reader's mark replaces that of a back-fill.

        A read mark also acknowledges the result; the acknowledgement stays when the mark is removed.

        Raises
        ------
        NotFound
        """
        check_id(id)
        now = datetime.now(UTC)
        values: dict[str, Any] = {"unread": not read, "read_at": now if read else None}
        differs = WORKLIST.c.unread.is_(read) | ((WORKLIST.c.read_by == BACKFILL) & sa.literal(read))
        update = sa.update(WORKLIST).where(WORKLIST.c.prediction_id == id, differs)
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
    """Return the query for the first entries after a place (None: from the beginning).

    The first ones of each range are read along an index; the first of those are the page.
    """
    key = order.key(filters.priority)
    firsts = [
        sa.select(*key[:-1], _ID)
        .where(*part.conditions(), *([] if place is None else [order.after(place, part.priority)]))
        .order_by(*order.sorting(order.key(part.priority)))
        .limit(limit)
        .subquery()
        for part in filters.ranges()
        if not order.has_passed(place, part.priority)
    ]
    merged = sa.union_all(*(sa.select(first) for first in firsts)).subquery()
    columns = [merged.c[str(column.key)] for column in key]
    ids = sa.select(columns[-1]).order_by(*order.sorting(columns)).limit(limit)
    entries = _ENTRIES.where(PREDICTIONS.c.id.in_(ids.scalar_subquery()))
    return entries.add_columns(*(column for column in key if column.key == SORTED_BY)).order_by(*order.sorting(key))


def _count(connection: sa.Connection, filters: Filters) -> int:
    parts = [sa.select(sa.literal(1)).select_from(WORKLIST).where(*part.conditions()) for part in filters.ranges()]
    counted = sa.union_all(*parts).limit(MOST_COUNTED).subquery()
    return int(connection.execute(sa.select(sa.func.count()).select_from(counted)).scalar_one())


def _entry(row: sa.Row[Any]) -> Entry:
    marked = acknowledgement.acknowledgement(row)
    return Entry(rows.summary(row._mapping), row.opened_at, row.read_at, row.read_by, marked, row.other_studies)
