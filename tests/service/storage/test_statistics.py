"""Statistics of a small set of records, with numbers that were counted by hand."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import pytest
import sqlalchemy as sa
from alembic import command
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import ProgrammingError

from service.errors import NotFound, Overloaded
from service.storage.migration import migrations
from service.storage.opinions import Opinions
from service.storage.records import Records
from service.storage.refusals import Refusals
from service.storage.sql_time import monday, seconds
from service.storage.statistics import Agreement, Period, statistics
from service.storage.tables import REFUSALS, WORKLIST
from service.storage.worklist import Worklist
from tests.service.records import finding
from tests.service.storage.conftest import Make

FIRST, SECOND = date(2026, 11, 16), date(2026, 11, 23)  # Mondays
SUNDAY_NIGHT = datetime(2026, 11, 22, 23, 59, 59, 999000, UTC)
PERIOD = Period(FIRST, date(2026, 11, 29))
Add = Callable[..., str]


@pytest.fixture
def add(records: Records, make: Make) -> Add:
    """Return a function that saves a record of a new instance, opened and read after so many seconds."""
    numbers = iter(range(10_000))

    def _add(created: datetime, opened: float | None = None, read: float | None = None, **changes: object) -> str:
        values = {"sop_instance_uid": f"1.2.{next(numbers)}", "created": created} | changes
        id = records.save(make(**values)).id
        after = {"opened_at": opened, "read_at": read}
        times = {name: None if wait is None else created + timedelta(seconds=wait) for name, wait in after.items()}
        with records.database.write() as connection:
            connection.execute(sa.update(WORKLIST).where(WORKLIST.c.prediction_id == id).values(times))
        return id

    return _add


def test_radiographs_are_counted_by_week_of_iso_8601_in_utc(records: Records, add: Add) -> None:
    add(SUNDAY_NIGHT, priority="STAT")
    add(SUNDAY_NIGHT + timedelta(milliseconds=1), priority="STAT")
    add(datetime(2026, 11, 23, 0, 30, tzinfo=UTC).astimezone(), priority="ROUTINE", reason=())
    again = {"sop_instance_uid": "1.2.9999"}
    add(SUNDAY_NIGHT, **again, priority="HIGH", reason=("Mass",))
    add(SUNDAY_NIGHT + timedelta(days=3), **again, priority="STAT", artefact_sha256="b" * 64)  # by a newer artefact
    add(datetime(2026, 11, 15, 23, 59, tzinfo=UTC))  # before the period, and after it
    add(datetime(2026, 11, 30, tzinfo=UTC))

    counted = statistics(records.database, PERIOD)

    assert counted.arrivals == {(FIRST, "STAT"): 1, (FIRST, "HIGH"): 1, (SECOND, "STAT"): 1, (SECOND, "ROUTINE"): 1}
    assert counted.alerts == {(FIRST, "Mass"): 1, (FIRST, "Pneumothorax"): 1, (SECOND, "Pneumothorax"): 2}
    assert PERIOD.weeks() == (FIRST, SECOND)
    assert Period(date(2026, 11, 22), date(2026, 11, 23)).weeks() == (FIRST, SECOND)


def test_what_a_back_fill_has_added_did_not_arrive(records: Records, make: Make) -> None:
    old = records.save(make(created=SUNDAY_NIGHT), backfilled=True)
    counted = statistics(records.database, PERIOD)
    assert (counted.arrivals, counted.alerts, counted.waiting) == ({}, {}, ())

    records.save(make(created=SUNDAY_NIGHT + timedelta(minutes=1), artefact_sha256="b" * 64))  # now it does
    assert statistics(records.database, PERIOD).arrivals == {(SECOND, "STAT"): 1}
    records.arrive(old, [])
    today = datetime.now(UTC).date()
    assert sum(statistics(records.database, Period(today, today)).arrivals.values()) == 0  # it is the same radiograph
    assert statistics(records.database, PERIOD).arrivals == {(SECOND, "STAT"): 1}


def test_a_record_is_an_alert_for_each_finding_that_made_its_priority(records: Records, add: Add) -> None:
    add(SUNDAY_NIGHT, priority="HIGH", reason=("Mass", "Pleural_Thickening"))

    assert statistics(records.database, PERIOD).alerts == {(FIRST, "Mass"): 1, (FIRST, "Pleural_Thickening"): 1}


def test_median_and_95th_percentile_are_exact(records: Records, add: Add) -> None:
    for wait in (40.125, 10, 30, 20):
        add(SUNDAY_NIGHT, opened=wait, priority="STAT")
    add(SUNDAY_NIGHT + timedelta(days=1), opened=100, read=160, priority="STAT")
    add(SUNDAY_NIGHT, read=7, opened=9, priority="ROUTINE")  # marked as read in the list, and opened later
    add(SUNDAY_NIGHT, priority="HIGH")

    waiting = statistics(records.database, PERIOD).waiting

    found = {(row.stage, row.week, row.priority): (row.count, row.median, row.p95) for row in waiting}
    assert found == {
        ("opened_to_read", None, "STAT"): (1, 60, 60),
        ("opened_to_read", SECOND, "STAT"): (1, 60, 60),
        ("received_to_opened", None, "ROUTINE"): (1, 9, 9),
        ("received_to_opened", None, "STAT"): (5, 30, pytest.approx(40.125 + 0.8 * (100 - 40.125))),
        ("received_to_opened", FIRST, "ROUTINE"): (1, 9, 9),
        ("received_to_opened", FIRST, "STAT"): (4, 25, pytest.approx(30 + 0.85 * 10.125)),
        ("received_to_opened", SECOND, "STAT"): (1, 100, 100),
        ("received_to_read", None, "ROUTINE"): (1, 7, 7),
        ("received_to_read", None, "STAT"): (1, 160, 160),
        ("received_to_read", FIRST, "ROUTINE"): (1, 7, 7),
        ("received_to_read", SECOND, "STAT"): (1, 160, 160),
    }


@pytest.mark.parametrize(("count", "median", "p95"), [(41, 20, 38), (42, 20.5, 38.95)])
def test_quantiles_of_many_values(records: Records, add: Add, count: int, median: float, p95: float) -> None:
    for wait in range(count):
        add(SUNDAY_NIGHT, opened=wait * 5 % count)  # 0, 1, ... in another order

    row = statistics(records.database, PERIOD).waiting[0]

    assert (row.count, row.median, row.p95) == (count, median, pytest.approx(p95))


def test_a_record_is_opened_once(records: Records, add: Add) -> None:
    id, worklist = add(SUNDAY_NIGHT), Worklist(records.database)
    assert worklist.get(id).opened_at is None

    first = worklist.open(id)

    assert worklist.open(id) == worklist.get(id).opened_at == first
    assert worklist.get(id).read_at is None
    with pytest.raises(NotFound):
        worklist.open("0" * 32)


def test_refusals_are_added_up_by_day_and_code(records: Records, monkeypatch: pytest.MonkeyPatch) -> None:
    refusals, replica = Refusals(records.database), Refusals(records.database)
    today = datetime.now(UTC).date()
    refusals.count(["body_part_unsuitable", "view_unsuitable"])
    refusals.flush()
    refusals.count(["body_part_unsuitable"])
    replica.count(["body_part_unsuitable"])
    for counter in (refusals, replica, replica):
        counter.flush()
    with records.database.write() as connection:
        for day, count in (("2026-11-15", 1), ("2026-11-16", 2), ("2026-11-22", 4), ("2026-11-23", 8)):
            connection.execute(sa.insert(REFUSALS).values(day=day, code="conflict", count=count))

    since_then = statistics(records.database, Period(today, today + timedelta(days=1))).refusals
    earlier = statistics(records.database, PERIOD).refusals

    by_code = Counter[str]()
    for (_, code), count in since_then.items():  # there are two weeks if midnight has passed
        by_code[code] += count
    assert {code: by_code[code] for code in ("body_part_unsuitable", "view_unsuitable")} == {
        "body_part_unsuitable": 3,
        "view_unsuitable": 1,
    }
    assert {key: count for key, count in earlier.items() if key[1] == "conflict"} == {
        (FIRST, "conflict"): 6,
        (SECOND, "conflict"): 8,
    }


def test_what_could_not_be_written_is_counted_later(records: Records) -> None:
    refusals = Refusals(records.database)
    with records.database.write() as connection:
        connection.exec_driver_sql("ALTER TABLE refusals RENAME TO elsewhere")
    refusals.count(["conflict"])
    with pytest.raises((Overloaded, ProgrammingError)):  # SQLite and PostgreSQL name it differently
        refusals.flush()
    with records.database.write() as connection:
        connection.exec_driver_sql("ALTER TABLE elsewhere RENAME TO refusals")

    refusals.flush()

    today = datetime.now(UTC).date()
    assert list(statistics(records.database, Period(today - timedelta(days=1), today)).refusals.values()) == [1]


def test_the_last_opinion_of_each_reader_is_counted(records: Records, add: Add) -> None:
    opinions = Opinions(records.database)
    one, other = (
        add(SUNDAY_NIGHT + timedelta(days=days), findings=(finding("Mass", positive=True), finding("Nodule")))
        for days in (0, 1)
    )
    opinions.give(one, "Mass", "agree", "AB")
    opinions.give(one, "Mass", "disagree", "AB")
    opinions.give(one, "Mass", "disagree", "CD")
    opinions.give(one, "Nodule", "disagree", "AB")
    opinions.give(other, "Mass", "agree", "AB")
    opinions.give(other, "Nodule", "agree", "AB")
    opinions.give(other, "Nodule", None, "AB")

    counted = statistics(records.database, PERIOD).opinions

    assert counted == (
        Agreement(FIRST, "Mass", True, "disagree", 2),
        Agreement(FIRST, "Nodule", False, "disagree", 1),
        Agreement(SECOND, "Mass", True, "agree", 1),
    )


def test_an_empty_period_has_no_numbers(records: Records) -> None:
    counted = statistics(records.database, PERIOD)

    assert (counted.arrivals, counted.alerts, counted.refusals) == ({}, {}, {})
    assert (counted.waiting, counted.opinions) == ((), ())


def test_the_migration_copies_the_reasons_of_older_records(records: Records, add: Add) -> None:
    add(SUNDAY_NIGHT, reason=("Mass", "Nodule"))
    add(SUNDAY_NIGHT, reason=(), priority="ROUTINE")

    with records.database.write() as connection:
        before = connection.execute(sa.select(WORKLIST.c.prediction_id, WORKLIST.c.reason)).all()
        command.downgrade(migrations(connection), "0009")
        command.upgrade(migrations(connection), "head")
        after = connection.execute(sa.select(WORKLIST.c.prediction_id, WORKLIST.c.reason)).all()

    assert sorted(row.reason for row in before) == ["", "|Mass||Nodule|"]
    assert sorted(after) == sorted(before)


def test_times_are_written_as_postgresql_expects_them() -> None:
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]

    week = str(monday(WORKLIST.c.created).compile(dialect=dialect))
    wait = str(seconds(WORKLIST.c.created, WORKLIST.c.read_at).compile(dialect=dialect))

    assert week == "CAST(date_trunc('week', worklist.created AT TIME ZONE 'UTC') AS DATE)"
    assert wait == "round(EXTRACT(EPOCH FROM worklist.read_at - worklist.created), 3)"
