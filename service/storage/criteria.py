"""What a query asks of one attribute, PS3.4 C.2.2.2: as a condition in SQL, and of a value at hand."""

import fnmatch
import re
from dataclasses import dataclass

import sqlalchemy as sa

_ESCAPE = "!"


@dataclass(frozen=True)
class OneOf:
    """Single value matching, or matching of a list of UIDs."""

    keyword: str
    values: tuple[str, ...]

    def sql(self, column: sa.ColumnElement[str]) -> sa.ColumnElement[bool]:
        """The condition on a column."""
        return column.in_(self.values)

    def holds(self, value: str) -> bool:
        """Whether a value fulfils it."""
        return value in self.values


@dataclass(frozen=True)
class Like:
    """Wild card matching, and any matching of names: `*` any characters, `?` one; upper and lower case are one."""

    keyword: str
    pattern: str

    def sql(self, column: sa.ColumnElement[str]) -> sa.ColumnElement[bool]:
        """The condition on a column; the database folds the case of both sides, so that both are folded alike."""
        escaped = re.sub(r"[!%_]", lambda found: _ESCAPE + found[0], self.pattern)
        wanted = escaped.replace("*", "%").replace("?", "_")
        return sa.func.lower(column).like(sa.func.lower(wanted), escape=_ESCAPE)

    def holds(self, value: str) -> bool:
        """Whether a value fulfils it."""
        return fnmatch.fnmatchcase(value.lower(), self.pattern.lower().replace("[", "[[]"))


@dataclass(frozen=True)
class Between:
    """Range matching of dates or times, ends included; an empty end is open. What has no value is in no range."""

    keyword: str
    first: str
    last: str

    def sql(self, column: sa.ColumnElement[str]) -> sa.ColumnElement[bool]:
        """The condition on a column."""
        below = [column <= self.last] if self.last else []
        return sa.and_(column != "", column >= self.first, *below)

    def holds(self, value: str) -> bool:
        """Whether a value fulfils it."""
        return bool(value) and self.first <= value and (not self.last or value <= self.last)


Criterion = OneOf | Like | Between
