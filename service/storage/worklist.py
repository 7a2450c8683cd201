"""The worklist: the newest record of each instance, most urgent first, and which of them somebody has read."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from service.errors import InvalidRequest, NotFound
from service.storage import changes, rows
from service.storage import cursor as cursors
from service.storage.database import Database
from service.storage.record import Summary, check_id
from service.storage.tables import INSTANCES, PREDICTIONS, SUMMARIES, WORKLIST
from service.triage.rule import PRIORITIES, Priority

_NO_MARGIN = 1e300  # greater than any logit margin: after all that have one
_KEY = (WORKLIST.c.rank, WORKLIST.c.urgency, WORKLIST.c.created, WORKLIST.c.prediction_id)
_ENTRIES = (
    SUMMARIES.add_columns(*_KEY, WORKLIST.c.read_at, WORKLIST.c.read_by)
    .set_label_style(sa.LABEL_STYLE_DISAMBIGUATE_ONLY)
    .join(WORKLIST, WORKLIST.c.prediction_id == PREDICTIONS.c.id)
)


@dataclass(frozen=True)
class Filters:
    """Which entries are wanted; None wants all.

    Attributes
    ----------
    q
        Words that are each a part of patient name, patient id or accession number, in any case.
    finding
        Positive for this label.
    read
        Marked as read, or not.
    since
        Not older; aware.
    """

    q: str | None = None
    priority: Priority | None = None
    finding: str | None = None
    read: bool | None = None
    since: datetime | None = None


@dataclass(frozen=True)
class Entry:
    """A record on the list, and who has read it when (None: nobody)."""

    record: Summary
    read_at: datetime | None
    read_by: str


@dataclass(frozen=True)
class Counts:
    """How many entries fit the filters, and how many on the whole list are unread, by priority."""

    total: int
    unread: dict[Priority, int]


def enter(connection: sa.Connection, record: Summary, instance: int) -> None:
    """Put a new record on the list, in place of an older one of its instance, which is locked."""
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
    leave(connection, instance)


def lock(connection: sa.Connection, instance: int) -> None:
    """Lock an instance, before a record of it is sought or added: of two added at once, each must see the other.

    Before: the new record would hold a lock that others share, and two that each want it alone would wait for ever.
    """
    connection.execute(sa.select(INSTANCES.c.id).where(INSTANCES.c.id == instance).with_for_update())


def leave(connection: sa.Connection, instance: int | None) -> None:
    """Have the newest record that an instance has now on the list, and no other; the instance is locked."""
    of_it = WORKLIST.c.instance_id == instance
    newest = sa.select(WORKLIST.c.prediction_id).where(of_it)
    newest = newest.order_by(WORKLIST.c.created.desc(), WORKLIST.c.prediction_id.desc()).limit(1)
    id = connection.scalar(newest)
    connection.execute(sa.update(WORKLIST).where(of_it).values(newest=WORKLIST.c.prediction_id == id))


class Worklist:
    """The list, read and marked. Blocking; raises StorageFull and Overloaded as `Records`.

    Parameters
    ----------
    database
        Open.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def page(self, filters: Filters, limit: int, cursor: str | None) -> tuple[tuple[Entry, ...], str | None]:
        """Read a page and the cursor of the next (None: this was the last).

        Raises
        ------
        InvalidRequest
            The cursor is not one given out here.
        """
        key = _KEY if filters.priority is None else _KEY[1:]  # an index is walked only by columns that are not fixed
        following = [] if cursor is None else [sa.tuple_(*key) > sa.tuple_(*_place(cursor, filters)[-len(key) :])]
        place = sa.select(WORKLIST.c.prediction_id).where(*_conditions(filters), *following).order_by(*key)
        chosen = _ENTRIES.where(PREDICTIONS.c.id.in_(place.limit(limit + 1).scalar_subquery())).order_by(*key)
        with self._database.read() as connection:
            page = connection.execute(chosen).all()
        if len(page) <= limit:
            return tuple(map(_entry, page)), None
        last = page[limit - 1]
        return tuple(map(_entry, page[:limit])), cursors.encode_place(last.rank, last.urgency, last.created, last.id)

    def counts(self, filters: Filters) -> Counts:
        """Count; what is read is one index, unless the filters want more."""
        of_priority = sa.select(WORKLIST.c.rank, sa.func.count()).group_by(WORKLIST.c.rank)
        unread = of_priority.where(WORKLIST.c.newest.is_(sa.true()), WORKLIST.c.unread.is_(sa.true()))
        total = sa.select(sa.func.count()).select_from(WORKLIST).where(*_conditions(filters))
        with self._database.read() as connection:
            found = {int(rank): int(count) for rank, count in connection.execute(unread).all()}
            matching = connection.scalar(total) or 0
        return Counts(matching, {priority: found.get(rank, 0) for rank, priority in enumerate(PRIORITIES)})

    def get(self, id: str) -> Entry:
        """Read one entry, also of a record that is not the newest of its instance.

        Raises
        ------
        NotFound
        """
        check_id(id)
        with self._database.read() as connection:
            row = connection.execute(_ENTRIES.where(PREDICTIONS.c.id == id)).one_or_none()
        if row is None:
            raise NotFound("no such prediction")
        return _entry(row)

    def mark(self, id: str, read: bool, by: str) -> Entry:
        """Mark a record as read, now and by somebody, or as unread; marked again, the first mark stands.

        Raises
        ------
        NotFound
        """
        check_id(id)
        values: dict[str, Any] = {"unread": not read, "read_at": datetime.now(UTC) if read else None}
        changed = sa.update(WORKLIST).where(WORKLIST.c.prediction_id == id, WORKLIST.c.unread.is_(read))
        with self._database.write() as connection:
            done = connection.execute(changed.values(**values, read_by=by if read else "")).rowcount
            row = connection.execute(_ENTRIES.where(PREDICTIONS.c.id == id)).one_or_none()
            if row is None:
                raise NotFound("no such prediction")
            if done:
                changes.note(connection, "read", id, row.priority)
        return _entry(row)


def _place(cursor: str, filters: Filters) -> tuple[int, float, datetime, str]:
    place = cursors.decode_place(cursor)
    if filters.priority is not None and place[0] != PRIORITIES.index(filters.priority):
        raise InvalidRequest("cursor: of a page with another priority")
    return place


def _conditions(filters: Filters) -> list[sa.ColumnElement[bool]]:
    # What looks into every row is read from end to end: by way of an index, each row would be sought on its own.
    everything = filters.q is not None or filters.finding is not None
    wanted = [sa.case((WORKLIST.c.newest, 1), else_=0) == 1 if everything else WORKLIST.c.newest == sa.true()]
    if filters.priority is not None:
        wanted.append(WORKLIST.c.rank == PRIORITIES.index(filters.priority))
    if filters.read is not None:
        wanted.append(WORKLIST.c.unread == sa.literal(not filters.read))
    if filters.since is not None:
        wanted.append(WORKLIST.c.created >= filters.since)
    if filters.finding is not None:
        wanted.append(WORKLIST.c.positive.contains(f"|{filters.finding}|", autoescape=True))
    words = (filters.q or "").casefold().split()
    return wanted + [WORKLIST.c.searched.contains(word, autoescape=True) for word in words]


def _searched(record: Summary) -> str:
    values = (record.attributes.get("PatientName", ""), record.attributes.get("PatientID", ""), record.accession_number)
    return "\n".join(values).casefold()


def _entry(row: sa.Row[Any]) -> Entry:
    return Entry(rows.summary(row._mapping), row.read_at, row.read_by)
