"""Replicas whose clocks differ: what they share goes by the clock of the database."""

import json
import os
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path

import pytest
import sqlalchemy as sa

from service.objects.kinds import Kind
from service.storage import clock
from service.storage.instances import Instances
from service.storage.object_cache import ObjectCache
from service.storage.outbox import Order, Outbox
from service.storage.records import Records
from service.storage.retention import Retention
from tests.service.storage.conftest import Make, on_postgresql
from tests.service.storage.test_retention import run_until

FAKE_TIME = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
CLAIM = """
import sys
from datetime import UTC, datetime, timedelta
from service.storage.database import Database
from service.storage.outbox import Outbox
delivery = Outbox(Database(sys.argv[1])).claim("pacs", timedelta(seconds=30))
print(datetime.now(UTC).isoformat(), delivery and delivery.object.value)
"""


def test_the_time_of_the_database_is_aware(records: Records) -> None:
    with records.database.read() as connection:
        now = clock.now(connection)
    assert now.tzinfo is UTC
    assert abs(now - datetime.now(UTC)) < timedelta(minutes=1)


def claim_by_a_clock(url: str, ahead: str) -> str:
    """Let another replica, whose clock is ahead, claim an order; return the kind of its object, or None."""
    if FAKE_TIME is None:
        pytest.skip("libfaketime is not installed; Debian's package libfaketime has it")
    variables = {"LD_PRELOAD": str(FAKE_TIME), "FAKETIME": ahead, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    done = subprocess.run(
        [sys.executable, "-c", CLAIM, url],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    time, claimed = done.stdout.split()
    assert abs(datetime.fromisoformat(time) - datetime.now(UTC)) > timedelta(minutes=2), "the clock is not changed"
    return claimed


@on_postgresql
def test_no_replica_takes_what_another_is_sending_because_its_clock_is_ahead(
    url: str, records: Records, make: Make
) -> None:
    outbox = Outbox(records.database)
    records.save(make(), [Order("pacs", Kind.SR)])
    assert outbox.claim("pacs", timedelta(seconds=60)) is not None

    assert claim_by_a_clock(url, "+5m") == "None"


@on_postgresql
def test_an_order_is_due_at_once_by_a_clock_that_is_behind(url: str, records: Records, make: Make) -> None:
    records.save(make(), [Order("pacs", Kind.SR)])

    assert claim_by_a_clock(url, "-5m") == Kind.SR


def set_clock_of_the_server(url: str, interval: str) -> None:
    """Set the time that the server tells in one database, to connections that are made from now on."""
    name = sa.make_url(url).database
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with engine.connect() as connection:
        connection.exec_driver_sql(
            "CREATE FUNCTION public.clock_timestamp() RETURNS timestamptz LANGUAGE sql"
            f" AS $$ SELECT pg_catalog.clock_timestamp() + interval '{interval}' $$"
        )
        connection.exec_driver_sql(f"ALTER DATABASE {name} SET search_path = public, pg_catalog")


@on_postgresql
@pytest.mark.parametrize("interval", ["-3 years", "3 years"])
def test_nothing_is_deleted_by_a_clock_that_is_far_from_the_database(
    url: str, records: Records, make: Make, tmp_path: Path, log: StringIO, interval: str
) -> None:
    instances = Instances(tmp_path / "instances")
    instances.open()
    file = instances.put(b"x")
    records.save(make(instance_file=file, created=datetime.now(UTC) - timedelta(days=31)))
    orphan = instances.path(instances.put(b"y"))
    os.utime(orphan, (0, 0))
    set_clock_of_the_server(url, interval)
    with closing(Records(url)) as replica:
        retention = Retention(replica, instances, ObjectCache(tmp_path / "objects", 0), keep_days=30)
        run_until(retention, lambda: bool(log.getvalue()))

    assert len(records.list(10)[0]) == 1
    assert instances.get(file) == b"x"
    assert orphan.exists()
    [line] = map(json.loads, log.getvalue().splitlines())
    assert (line["level"], abs(line["seconds"]) > 365 * 86_400) == ("error", True)
