"""What readers think of the findings of a record: that they agree or disagree, or nothing any more."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, get_args

import sqlalchemy as sa

from service.errors import Conflict, InvalidRequest, NotFound
from service.storage import rows
from service.storage.database import Database
from service.storage.entries import require_entry
from service.storage.tables import OPINIONS, PREDICTIONS

Verdict = Literal["agree", "disagree"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
# Opinions of one record, with earlier ones; far more than readers have of one radiograph. One can still be withdrawn
# then, which adds no more rows than there are opinions.
MAX_KEPT = 500

_last = sa.func.row_number().over(
    partition_by=(OPINIONS.c.prediction_id, OPINIONS.c.label, OPINIONS.c.reader), order_by=OPINIONS.c.id.desc()
)


@dataclass(frozen=True)
class Opinion:
    """An opinion of a reader on a finding; `verdict` is None where the reader withdrew an earlier one."""

    label: str
    verdict: Verdict | None
    reader: str
    at: datetime


def in_force() -> sa.Subquery:
    """Return the rows that count: of each reader and finding the last, unless it withdraws the one before."""
    ranked = sa.select(OPINIONS, _last.label("age")).subquery()
    current = sa.select(ranked).where(ranked.c.age == 1, ranked.c.opinion.is_not(None))
    return current.subquery()


def current(history: tuple[Opinion, ...]) -> tuple[Opinion, ...]:
    """Return the opinions that count, as `in_force`, of a history in the order of time."""
    last = {(opinion.label, opinion.reader): opinion for opinion in history}
    return tuple(opinion for opinion in last.values() if opinion.verdict is not None)


class Opinions:
    """The table of opinions. Blocking; raises StorageFull and Overloaded as `Records`.

    Parameters
    ----------
    database
        An open database.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def history(self, id: str) -> tuple[Opinion, ...]:
        """Return every opinion on the findings of a record, oldest first.

        Raises
        ------
        NotFound
        """
        with self._database.read() as connection:
            require_entry(connection, id)
            return _history(connection, id)

    def give(self, id: str, label: str, verdict: Verdict | None, reader: str) -> tuple[Opinion, ...]:
        """Add an opinion, or withdraw the reader's (None), and return the history; the same again changes nothing.

        Raises
        ------
        InvalidRequest
            `reader_missing`: an opinion is somebody's.
        NotFound
            There is no such record, or `unknown_finding`: it has no such finding, or one without a result.
        Conflict
            `too_many_opinions`
        """
        if not reader:
            raise InvalidRequest("by must name the reader of an opinion", "reader_missing")
        with self._database.write() as connection:
            require_entry(connection, id, lock=True)
            values: dict[str, Any] = {"prediction_id": id, "label": label, "positive": _positive(connection, id, label)}
            history = _history(connection, id)
            before = {opinion.label: opinion.verdict for opinion in current(history) if opinion.reader == reader}
            if before.get(label) == verdict:
                return history
            if verdict is not None and len(history) >= MAX_KEPT:
                raise Conflict(f"a radiograph has at most {MAX_KEPT} opinions, with earlier ones", "too_many_opinions")
            values |= {"opinion": verdict, "reader": reader, "at": datetime.now(UTC)}
            connection.execute(sa.insert(OPINIONS).values(values))
            return _history(connection, id)


def _history(connection: sa.Connection, id: str) -> tuple[Opinion, ...]:
    selected = sa.select(OPINIONS).where(OPINIONS.c.prediction_id == id).order_by(OPINIONS.c.id)
    return tuple(Opinion(row.label, row.opinion, row.reader, row.at) for row in connection.execute(selected))


def _positive(connection: sa.Connection, id: str, label: str) -> bool | None:
    row = connection.execute(rows.SUMMARIES.where(PREDICTIONS.c.id == id)).one()
    positive = {finding.label: finding.positive for finding in rows.from_json(row._mapping).evaluated}
    if label not in positive:
        raise NotFound(f"no such finding; the labels are {', '.join(positive)}", "unknown_finding")
    return positive[label]
