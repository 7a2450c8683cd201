"""Orders of the worklist: by urgency or by a column, with the unread entries first or not; and places in them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa

from service.errors import InvalidRequest
from service.storage import cursor as cursors
from service.storage.tables import INSTANCES, WORKLIST
from service.triage.rule import PRIORITIES, Priority

By = Literal["urgency", "received", "patient", "study"]
Place = tuple[int | float | str | datetime, ...]

URGENCY = (WORKLIST.c.rank, WORKLIST.c.urgency, WORKLIST.c.created, WORKLIST.c.prediction_id)
SORTED_BY = "sorted_by"  # name of the text that entries are sorted by
_LONGEST = 64  # characters of a text that is sorted by, so that cursors are short


_TEXTS: dict[By, sa.ColumnElement[str]] = {
    "received": sa.literal_column("''", sa.Text),
    "patient": sa.func.substr(WORKLIST.c.searched, 1, _LONGEST),  # begins with the name, case folded, in a small table
    "study": sa.func.substr(
        INSTANCES.c.study_date + sa.func.coalesce(INSTANCES.c.attributes["StudyTime"].as_string(), ""), 1, _LONGEST
    ),
}


@dataclass(frozen=True)
class Order:
    """An order of the entries.

    Attributes
    ----------
    by
        `urgency`: priority, margin (largest first), waiting time. `received`: time of the record. `patient`: name.
        `study`: date and time of the study. Entries that are equal in these are in the order of their records' times.
    descending
        The reverse of all that.
    unread_first
        First all entries that are not marked as read, then the others.
    """

    by: By = "urgency"
    descending: bool = False
    unread_first: bool = False

    @property
    def needs_instances(self) -> bool:
        """Whether the key has columns of the table `instances`."""
        return self.by == "study"

    def key(self, priority: Priority | None) -> tuple[sa.ColumnElement[Any], ...]:
        """Return the columns that entries are sorted by; under a fixed priority, the rank is not among them."""
        if self.by == "urgency":
            return URGENCY if priority is None else URGENCY[1:]
        return (_TEXTS[self.by].label(SORTED_BY), WORKLIST.c.created, WORKLIST.c.prediction_id)

    def after(self, place: Place, key: Sequence[sa.ColumnElement[Any]]) -> sa.ColumnElement[bool]:
        """Return the condition that an entry comes after a place."""
        columns, values = sa.tuple_(*key), sa.tuple_(*place[-len(key) :])
        return columns < values if self.descending else columns > values

    def sorting(self, key: Sequence[sa.ColumnElement[Any]]) -> list[sa.ColumnElement[Any]]:
        """Return the terms of ORDER BY."""
        return [column.desc() if self.descending else column.asc() for column in key]

    def cursor(self, part: int, row: sa.Row[Any]) -> str:
        """Return the cursor after a row, in which part it stands: 0, or 1 for the read ones after the unread ones."""
        if self.by == "urgency":
            place = cursors.encode_place(row.rank, row.urgency, row.created, row.id)
        else:
            place = cursors.encode_text(row.sorted_by, row.created, row.id)
        return f"{part}.{place}" if self.unread_first else place

    def place(self, cursor: str | None, priority: Priority | None) -> tuple[int, Place | None]:
        """Return the part and the place of a cursor; the beginning without one.

        Raises
        ------
        InvalidRequest
            `cursor` returned it for no order like this one.
        """
        if cursor is None:
            return 0, None
        part, _, text = cursor.rpartition(".")
        if part not in (("0", "1") if self.unread_first else ("",)):
            raise InvalidRequest("cursor: expected one of a page in the same order")
        if self.by != "urgency":
            return int(part or 0), cursors.decode_text(text)
        place = cursors.decode_place(text)
        if priority is not None and place[0] != PRIORITIES.index(priority):
            raise InvalidRequest("cursor: expected one of a page with the same priority")
        return int(part or 0), place
