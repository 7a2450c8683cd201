"""Filters of the worklist."""

import re
from dataclasses import dataclass, replace
from datetime import datetime

import sqlalchemy as sa

from service.storage.tables import WORKLIST
from service.triage.rule import PRIORITIES, Priority

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

    def unread_then_read(self) -> tuple["Filters", ...]:
        """Return the filters of the unread entries and of the read ones, as far as these filters admit both."""
        return (replace(self, read=False), replace(self, read=True)) if self.read is None else (self,)

    def conditions(self) -> list[sa.ColumnElement[bool]]:
        """Return the conditions on the columns of the table `worklist`."""
        # Filters on text must look at every row. CASE keeps the database from using an index, which would fetch each
        # row on its own; a scan of the table is faster.
        scan = self.q is not None or self.finding is not None
        conditions = [sa.case((WORKLIST.c.newest, 1), else_=0) == 1 if scan else WORKLIST.c.newest == sa.true()]
        if self.priority is not None:
            conditions.append(WORKLIST.c.rank == PRIORITIES.index(self.priority))
        if self.read is not None:
            conditions.append(WORKLIST.c.unread == sa.literal(not self.read))
        if self.since is not None:
            conditions.append(WORKLIST.c.created >= self.since)
        if self.finding is not None:
            conditions.append(WORKLIST.c.positive.contains(f"|{self.finding}|", autoescape=True))
        words = _BETWEEN_WORDS.split((self.q or "").casefold())
        return conditions + [WORKLIST.c.searched.contains(word, autoescape=True) for word in words if word]
