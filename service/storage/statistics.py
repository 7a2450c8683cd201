"""Statistics of a period, for a manager: what arrived, what was urgent, how long it waited, what was refused.

All of it is read from small tables, and no prediction. On SQLite, 100,000 results of twelve weeks take two seconds of
one core. Weeks are those of ISO 8601 in UTC. What has been deleted is no longer counted, but for refusals. Records
that a back-fill has added are not counted as arrivals.
"""

from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal, TypeAlias

import sqlalchemy as sa

from service.storage.database import Database
from service.storage.opinions import Verdict, in_force
from service.storage.sql_time import monday, seconds
from service.storage.tables import OPINIONS, REFUSALS, WORKLIST, Utc
from service.triage.rule import PRIORITIES, Priority

Stage = Literal["received_to_opened", "opened_to_read", "received_to_read"]
Week: TypeAlias = date  # its Monday

# Start and end of each stage. A record waits from the moment at which it is on the list.
STAGES: dict[Stage, tuple[sa.Column[datetime], sa.Column[datetime]]] = {
    "received_to_opened": (WORKLIST.c.created, WORKLIST.c.opened_at),
    "opened_to_read": (WORKLIST.c.opened_at, WORKLIST.c.read_at),
    "received_to_read": (WORKLIST.c.created, WORKLIST.c.read_at),
}
_MEDIAN, _P95 = 0.5, 0.95
_BATCH = 10_000  # rows in memory at once


_ARRIVED = WORKLIST.c.backfilled.is_(False)


@dataclass(frozen=True)
class Period:
    """Days in UTC, the last included."""

    first: date
    last: date

    def weeks(self) -> tuple[Week, ...]:
        """Return all weeks of the period; the first and the last may be in it partly."""
        start = self.first - timedelta(days=self.first.weekday())
        return tuple(start + timedelta(days=days) for days in range(0, (self.last - start).days + 1, 7))

    def has(self, column: sa.ColumnElement[datetime]) -> sa.ColumnElement[bool]:
        """Return the condition that a time is in the period."""
        start, end = (_midnight(day) for day in (self.first, self.last + timedelta(days=1)))
        return (column >= start) & (column < end)


@dataclass(frozen=True)
class Waiting:
    """Seconds that the records of a priority took for a stage, of those that went through it.

    Attributes
    ----------
    week
        Week in which they were received; None for the whole period.
    median, p95
        Quantiles with linear interpolation between the two nearest values.
    """

    week: Week | None
    priority: Priority
    stage: Stage
    count: int
    median: float
    p95: float


@dataclass(frozen=True)
class Agreement:
    """Number of opinions on a finding, by what the network said and by what the reader says."""

    week: Week
    label: str
    positive: bool | None
    verdict: Verdict
    count: int


@dataclass(frozen=True)
class Statistics:
    """The statistics of a period.

    Attributes
    ----------
    arrivals
        Number of radiographs by week and priority; one that was analysed again by a newer artefact counts once.
    alerts
        Number of records by week and label of a finding that made their priority STAT or HIGH.
    refusals
        Number of refusals by week and code; a refusal for several reasons counts under each.
    opinions
        By the week in which the radiograph was received.
    """

    period: Period
    arrivals: dict[tuple[Week, Priority], int]
    alerts: dict[tuple[Week, str], int]
    waiting: tuple[Waiting, ...]
    refusals: dict[tuple[Week, str], int]
    opinions: tuple[Agreement, ...]


def statistics(database: Database, period: Period) -> Statistics:
    """Compute the statistics of a period. Blocking.

    Raises
    ------
    Overloaded
    """
    with database.read() as connection:
        return Statistics(
            period,
            _arrivals(connection, period),
            _alerts(connection, period),
            _waiting(connection, period),
            _refusals(connection, period),
            _opinions(connection, period),
        )


def _arrivals(connection: sa.Connection, period: Period) -> dict[tuple[Week, Priority], int]:
    other = WORKLIST.alias()
    earlier = sa.tuple_(other.c.created, other.c.prediction_id) < sa.tuple_(
        WORKLIST.c.created, WORKLIST.c.prediction_id
    )
    again = sa.exists().where(other.c.instance_id == WORKLIST.c.instance_id, other.c.backfilled.is_(False), earlier)
    week = monday(WORKLIST.c.created)
    counts = sa.select(week, WORKLIST.c.rank, sa.func.count()).where(period.has(WORKLIST.c.created), _ARRIVED, ~again)
    selected = connection.execute(counts.group_by(week, WORKLIST.c.rank).order_by(week, WORKLIST.c.rank))
    return {(day, PRIORITIES[rank]): count for day, rank, count in selected}


def _alerts(connection: sa.Connection, period: Period) -> dict[tuple[Week, str], int]:
    week, reason = monday(WORKLIST.c.created), WORKLIST.c.reason
    counts = sa.select(week, reason, sa.func.count()).where(period.has(WORKLIST.c.created), _ARRIVED, reason != "")
    alerts: Counter[tuple[Week, str]] = Counter()
    for day, labels, count in connection.execute(counts.group_by(week, reason)):
        alerts.update({(day, label): count for label in labels.strip("|").split("||")})
    return dict(sorted(alerts.items()))


def _waiting(connection: sa.Connection, period: Period) -> tuple[Waiting, ...]:
    """Sort the waiting times here: 8 bytes each, and faster than SQL that numbers the rows of each group."""
    took = [sa.case((end >= start, seconds(start, end))) for start, end in STAGES.values()]
    rows = sa.select(monday(WORKLIST.c.created), WORKLIST.c.rank, *took).where(period.has(WORKLIST.c.created), _ARRIVED)
    groups: defaultdict[tuple[Stage, Week | None, int], array[float]] = defaultdict(lambda: array("d"))
    for week, rank, *waits in connection.execution_options(yield_per=_BATCH).execute(rows):
        for stage, wait in zip(STAGES, waits, strict=True):
            if wait is not None:
                groups[stage, week, rank].append(wait)
    for (stage, _, rank), values in list(groups.items()):
        groups[stage, None, rank].extend(values)
    ordered = sorted(groups, key=lambda group: (list(STAGES).index(group[0]), group[1] or date.min, group[2]))
    return tuple(_measured(stage, week, PRIORITIES[rank], groups[stage, week, rank]) for stage, week, rank in ordered)


def _measured(stage: Stage, week: Week | None, priority: Priority, waits: Iterable[float]) -> Waiting:
    values = sorted(waits)
    return Waiting(week, priority, stage, len(values), _quantile(values, _MEDIAN), _quantile(values, _P95))


def _quantile(values: Sequence[float], share: float) -> float:
    place = share * (len(values) - 1)
    below = int(place)
    above = min(below + 1, len(values) - 1)
    return values[below] + (place - below) * (values[above] - values[below])


def _refusals(connection: sa.Connection, period: Period) -> dict[tuple[Week, str], int]:
    days = REFUSALS.c.day.between(period.first.isoformat(), period.last.isoformat())
    refusals: Counter[tuple[Week, str]] = Counter()
    for text, code, count in connection.execute(sa.select(REFUSALS).where(days)):
        day = date.fromisoformat(text)
        refusals[day - timedelta(days=day.weekday()), code] += count
    return dict(sorted(refusals.items()))


def _opinions(connection: sa.Connection, period: Period) -> tuple[Agreement, ...]:
    opinions = in_force()
    group = (monday(WORKLIST.c.created), *(opinions.c[name] for name in ("label", "positive", "opinion")))
    counts = sa.select(*group, sa.func.count()).join_from(
        opinions, WORKLIST, WORKLIST.c.prediction_id == opinions.c[OPINIONS.c.prediction_id.name]
    )
    selected = connection.execute(counts.where(period.has(WORKLIST.c.created)).group_by(*group).order_by(*group))
    return tuple(Agreement(row[0], row.label, row.positive, row.opinion, row[-1]) for row in selected)


def _midnight(day: date) -> sa.BindParameter[datetime]:
    return sa.literal(datetime.combine(day, time(), UTC), Utc)
