"""Filters of the worklist."""

import re
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeVar

import sqlalchemy as sa

from service.storage.tables import WORKLIST
from service.triage.rule import PRIORITIES, Priority

T = TypeVar("T")
_BETWEEN_WORDS = re.compile(r"[\s,()]+")  # a name is shown as `Family, Given (Ideographic)`, and typed as it is shown


@dataclass(frozen=True)
class Filters:
    """Conditions that an entry must meet; None is no condition.

    Attributes
    ----------
    q
        Words between blanks, commas and parentheses; each must be part of the patient name, patient id or accession
        number, ignoring case.
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

    @property
    def scans(self) -> bool:
        """Whether every entry must be looked at: text is compared."""
        return self.q is not None

    def ranges(self) -> tuple["Filters", ...]:
        """Return the filters of parts that lie together in the indices: of one priority, and read or unread.

        Those of a finding are not divided by priority: it may be rare or absent in one of them, and a page would read
        all of that one. A scan of the whole table is not divided.
        """
        if self.scans:
            return (self,)
        priorities = (self.priority,) if self.priority is not None or self.finding is not None else PRIORITIES
        return tuple(replace(part, priority=priority) for part in self.unread_then_read() for priority in priorities)

    def unread_then_read(self) -> tuple["Filters", ...]:
        """Return the filters of the unread entries and of the read ones, as far as these filters admit both."""
        return (replace(self, read=False), replace(self, read=True)) if self.read is None else (self,)

    def conditions(self) -> list[sa.ColumnElement[bool]]:
        """Return the conditions on the columns of the table `worklist`."""
        conditions = [self._column(WORKLIST.c.newest) == sa.true()]
        if self.priority is not None:
            conditions.append(self._column(WORKLIST.c.rank) == PRIORITIES.index(self.priority))
        if self.read is not None:
            conditions.append(self._column(WORKLIST.c.unread) == sa.literal(not self.read))
        if self.since is not None:
            conditions.append(WORKLIST.c.created >= self.since)
        if self.finding is not None:
            # As the indices of the positive entries say it, which are then read
            conditions.append(self._column(WORKLIST.c.positive) != sa.literal_column("''"))
            conditions.append(WORKLIST.c.positive.contains(f"|{self.finding}|", autoescape=True))
        words = _BETWEEN_WORDS.split((self.q or "").casefold())
        return conditions + [WORKLIST.c.searched.contains(word, autoescape=True) for word in words if word]

    def _column(self, column: sa.Column[T]) -> sa.ColumnElement[T]:
        """Return a column; behind CASE for a scan, where an index would fetch each row on its own and take longer.

        SQLite does not look behind it. PostgreSQL does, and chooses by its statistics.
        """
        return sa.case((sa.true(), column)) if self.scans else column
