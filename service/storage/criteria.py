"""Matching of one attribute, PS3.4 C.2.2.2: as a condition in SQL, and in Python."""

import fnmatch
import re
from dataclasses import dataclass

import sqlalchemy as sa

_ESCAPE = "!"


@dataclass(frozen=True)
class OneOf:
    """Single value matching, or list of UID matching."""

    keyword: str
    values: tuple[str, ...]

    def sql(self, column: sa.ColumnElement[str]) -> sa.ColumnElement[bool]:
        """Return the condition on a column."""
        return column.in_(self.values)

    def holds(self, value: str) -> bool:
        """Return whether a value matches."""
        return value in self.values


@dataclass(frozen=True)
class Like:
    """Wild card matching, and matching of names: `*` any characters, `?` one character; case is ignored."""

    keyword: str
    pattern: str

    def sql(self, column: sa.ColumnElement[str]) -> sa.ColumnElement[bool]:
        """Return the condition on a column; the database lowers the case of both sides, so both by the same rules."""
        escaped = re.sub(r"[!%_]", lambda match: _ESCAPE + match[0], self.pattern)
        pattern = escaped.replace("*", "%").replace("?", "_")
        return sa.func.lower(column).like(sa.func.lower(pattern), escape=_ESCAPE)

    def holds(self, value: str) -> bool:
        """Return whether a value matches."""
        return fnmatch.fnmatchcase(value.lower(), self.pattern.lower().replace("[", "[[]"))


@dataclass(frozen=True)
class Between:
    """Range matching of dates or times, ends included; an empty end is open. An empty value is in no range."""

    keyword: str
    first: str
    last: str

    def sql(self, column: sa.ColumnElement[str]) -> sa.ColumnElement[bool]:
        """Return the condition on a column; that of a single day keeps the order of time in an index of both."""
        if self.first and self.first == self.last:
            return column == self.first
        upper = [column <= self.last] if self.last else []
        return sa.and_(column != "", column >= self.first, *upper)

    def holds(self, value: str) -> bool:
        """Return whether a value matches."""
        return bool(value) and self.first <= value and (not self.last or value <= self.last)


Criterion = OneOf | Like | Between
