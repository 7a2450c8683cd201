"""Orders of the worklist: by urgency or by a column, with the unread entries first or not; and places in them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa

from service.errors import InvalidRequest
from service.storage import cursor as cursors
from service.storage.tables import WORKLIST
from service.triage.rule import PRIORITIES, Priority

By = Literal["urgency", "received", "patient", "study"]
Place = tuple[int | float | str | datetime, ...]

URGENCY = (WORKLIST.c.rank, WORKLIST.c.urgency, WORKLIST.c.created, WORKLIST.c.prediction_id)
SORTED_BY = "sorted_by"  # name of the text that entries are sorted by
_KEYS: dict[By, tuple[sa.ColumnElement[Any], ...]] = {  # each ends with time and id
    "urgency": URGENCY,
    "received": URGENCY[2:],
    "patient": (WORKLIST.c.patient_key.label(SORTED_BY), *URGENCY[2:]),
    "study": (WORKLIST.c.study_key.label(SORTED_BY), *URGENCY[2:]),
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

    def key(self, priority: Priority | None) -> tuple[sa.ColumnElement[Any], ...]:
        """Return the columns that entries are sorted by; under a fixed priority, the rank is not among them."""
        key = _KEYS[self.by]
        return key[1:] if key is URGENCY and priority is not None else key

    def has_passed(self, place: Place | None, priority: Priority | None) -> bool:
        """Return whether no entry of a priority comes after a place, because its priority does not."""
        if place is None or priority is None or self.by != "urgency":
            return False
        rank, reached = PRIORITIES.index(priority), int(str(place[0]))
        return rank > reached if self.descending else rank < reached

    def after(self, place: Place, priority: Priority | None) -> sa.ColumnElement[bool]:
        """Return the condition that an entry comes after a place, where all entries are of a priority that can."""
        key = self.key(priority)
        if self.by == "urgency" and priority is not None and PRIORITIES.index(priority) != place[0]:
            return sa.true()
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
            place = cursors.encode_text("" if self.by == "received" else row.sorted_by, row.created, row.id)
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
