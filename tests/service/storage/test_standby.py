"""A standby that is promoted once the primary has died: replicas find it, and what was acknowledged is there."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from service.errors import Overloaded
from service.storage.records import Records
from tests.postgresql import _QUICK, PostgreSQL, running
from tests.service.storage.conftest import Make

pytestmark = pytest.mark.postgresql


@contextmanager
def standby_of(primary: PostgreSQL) -> Iterator[Path]:
    """Run a server that follows another, and yield the folder of its socket and data."""
    folder = primary._folder / "standby"
    copy = [primary._programs / "pg_basebackup", "-D", folder / "data", "-h", primary._folder, "-U", "triage"]
    subprocess.run([*copy, "-R", "-X", "stream", "-c", "fast", "-N"], check=True, timeout=60, **primary._as)
    options = [part for option in _QUICK for part in ("-c", option)]
    command = [primary._programs / "postgres", "-D", folder / "data", "-k", folder, "-h", "", *options]
    with (primary._folder / "log").open("ab") as log, subprocess.Popen(command, stderr=log, **primary._as) as process:
        try:
            yield folder
        finally:
            process.terminate()


def wait_for_follower(primary: PostgreSQL) -> None:
    with primary.administrator() as connection:
        deadline = time.monotonic() + 60
        while not connection.exec_driver_sql("SELECT count(*) FROM pg_stat_replication").scalar():
            assert time.monotonic() < deadline, "the standby does not follow"
            time.sleep(0.05)


def test_what_was_acknowledged_is_there_and_work_goes_on_without_a_restart(make: Make) -> None:
    # Commits wait for the standby, but not those from before there is one. Were this set later, not every process of
    # the server would know it by the time of the first commit.
    with running("synchronous_standby_names=*", "synchronous_commit=local") as primary, standby_of(primary) as folder:
        wait_for_follower(primary)
        hosts = f"{primary._folder},{folder}"
        url = f"postgresql+psycopg://triage@/migrated?host={hosts}&target_session_attrs=read-write"
        url += "&options=-csynchronous_commit%3Don"
        with closing(Records(url)) as records:
            records.open()
            acknowledged = {records.save(make(sop_instance_uid=f"1.{number}")).id for number in range(20)}

            primary.stop()
            with pytest.raises(Overloaded):  # the standby can be read only
                records.save(make(sop_instance_uid="2.1"))
            promote = [primary._programs / "pg_ctl", "promote", "-D", folder / "data", "-w"]
            subprocess.run(promote, check=True, timeout=60, capture_output=True, **primary._as)

            records.save(make(sop_instance_uid="2.1"))
            assert acknowledged < {summary.id for summary in records.list(100)[0]}
