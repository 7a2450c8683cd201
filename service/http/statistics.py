"""Statistics of a period, for a manager: arrivals, alerts, waiting, refusals, and agreement of the readers."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse, Response

from service.errors import InvalidRequest
from service.http.auth import needs
from service.http.bodies import Body, json_response
from service.http.csv_table import lines
from service.http.problems import RESPONSES
from service.storage import statistics as storage
from service.storage.opinions import Verdict
from service.storage.statistics import Period, Stage, Week
from service.triage.rule import Priority

router = APIRouter(tags=["worklist"], responses=RESPONSES)

MAX_DAYS = 731  # two years
_YEARS = range(1970, 3000)  # a day or weeks beyond the years of Python, 1 to 9999, are no dates
_WEEKS = 12  # of the period if no first day is given
_COLUMNS = ("week", "measure", "group", "statistic", "value")
_TABLE: dict[int | str, dict[str, Any]] = {200: {"content": {"text/csv": {"schema": {"type": "string"}}}}}

WeekName = Annotated[str, Field(description="week of ISO 8601 in UTC", examples=["2026-W48"])]


class Days(BaseModel):
    """Days in UTC."""

    model_config = ConfigDict(extra="forbid")

    first: date | None = Field(None, description="by default the Monday eleven weeks before that of the last day")
    last: date | None = Field(None, description="included; by default today")


class WeekDays(Body):
    """A week, and its Monday."""

    week: WeekName
    monday: date


class Arrivals(Body):
    """Number of radiographs received; one that was analysed again counts once, with its first priority."""

    week: WeekName
    priority: Priority
    count: int


class Alerts(Body):
    """Number of results whose priority was STAT or HIGH because of a finding."""

    week: WeekName
    finding: str
    count: int


class Waiting(Body):
    """How long the results of a priority took for a stage, of those that went through it."""

    week: WeekName | None = Field(description="week in which they were received; null for the whole period")
    priority: Priority
    stage: Stage
    count: int
    median_s: float = Field(description="seconds; interpolated between the two nearest values, as is `p95_s`")
    p95_s: float


class Refusals(Body):
    """Number of refused radiographs; a refusal for several reasons counts under each code, and each attempt counts."""

    week: WeekName
    code: str
    count: int


class Agreement(Body):
    """Number of opinions of readers on a finding, by the week in which the radiograph was received."""

    week: WeekName
    finding: str
    positive: bool | None = Field(description="what the network found; null without an operating point")
    opinion: Verdict
    count: int


class Statistics(Body):
    """The statistics of a period. What has been deleted is no longer counted, but for refusals."""

    first: date
    last: date
    weeks: list[WeekDays] = Field(description="all weeks of the period, which may have the first and last in part")
    arrivals: list[Arrivals]
    alerts: list[Alerts]
    waiting: list[Waiting]
    refusals: list[Refusals]
    opinions: list[Agreement]


def period(days: Days, today: date) -> Period:
    """Return the period that a request names.

    Raises
    ------
    InvalidRequest
        `period_invalid`: it ends before it starts, has more than `MAX_DAYS` days, or ends in no year of `_YEARS`.
    """
    last = days.last or today
    if last.year not in _YEARS:
        raise InvalidRequest(f"the last day must be in the years {_YEARS[0]} to {_YEARS[-1]}", "period_invalid")
    first = days.first or last - timedelta(days=last.weekday(), weeks=_WEEKS - 1)
    if not 0 <= (last - first).days < MAX_DAYS:
        bound = f"more than {MAX_DAYS - 1} days before it"
        raise InvalidRequest(f"the first day must not be after the last, nor {bound}", "period_invalid")
    return Period(first, last)


async def _computed(request: Request, days: Annotated[Days, Query()]) -> Statistics:
    database = request.app.state.pipeline.database
    chosen = period(days, datetime.now(UTC).date())
    return body(await asyncio.to_thread(storage.statistics, database, chosen))


_ComputedDep = Annotated[Statistics, Depends(_computed)]


@router.get("/v1/statistics", dependencies=[needs("read")], response_model=Statistics)
async def statistics(computed: _ComputedDep) -> JSONResponse:
    """Count arrivals, alerts, refusals and opinions by week, and measure how long results waited.

    The answer has no patient data and names no reader.
    """
    return json_response(computed)


@router.get("/v1/statistics.csv", dependencies=[needs("read")], response_class=Response, responses=_TABLE)
async def csv_table(computed: _ComputedDep) -> Response:
    """Return the statistics as CSV with one value per line.

    A line with an empty week is of the whole period. Text that a spreadsheet would run as a formula is prefixed with
    an apostrophe.
    """
    name = f"statistics_{computed.first}_{computed.last}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(lines([_COLUMNS, *_rows(computed)]), media_type="text/csv; charset=utf-8", headers=headers)


def body(statistics: storage.Statistics) -> Statistics:
    """Return statistics as a response body."""
    return Statistics(
        first=statistics.period.first,
        last=statistics.period.last,
        weeks=[WeekDays(week=week_name(week), monday=week) for week in statistics.period.weeks()],
        arrivals=[
            Arrivals(week=week_name(week), priority=priority, count=count)
            for (week, priority), count in statistics.arrivals.items()
        ],
        alerts=[
            Alerts(week=week_name(week), finding=label, count=count)
            for (week, label), count in statistics.alerts.items()
        ],
        waiting=[
            Waiting(
                week=row.week and week_name(row.week),
                priority=row.priority,
                stage=row.stage,
                count=row.count,
                median_s=round(row.median, 3),
                p95_s=round(row.p95, 3),
            )
            for row in statistics.waiting
        ],
        refusals=[
            Refusals(week=week_name(week), code=code, count=count)
            for (week, code), count in statistics.refusals.items()
        ],
        opinions=[
            Agreement(
                week=week_name(row.week),
                finding=row.label,
                positive=row.positive,
                opinion=row.verdict,
                count=row.count,
            )
            for row in statistics.opinions
        ],
    )


def week_name(week: Week) -> str:
    """Return the name of a week, ISO 8601: 2026-W48."""
    year, number, _ = week.isocalendar()
    return f"{year}-W{number:02}"


def _rows(computed: Statistics) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    rows += [(row.week, "arrivals", row.priority, "count", row.count) for row in computed.arrivals]
    rows += [(row.week, "alerts", row.finding, "count", row.count) for row in computed.alerts]
    for row in computed.waiting:
        of = (row.week or "", row.stage, row.priority)
        rows += [(*of, "count", row.count), (*of, "median_s", row.median_s), (*of, "p95_s", row.p95_s)]
    rows += [(row.week, "refusals", row.code, "count", row.count) for row in computed.refusals]
    for opinion in computed.opinions:
        result = {True: "positive", False: "negative", None: "no_operating_point"}[opinion.positive]
        rows.append((opinion.week, "opinions", opinion.finding, f"{opinion.opinion}_{result}", opinion.count))
    return rows
