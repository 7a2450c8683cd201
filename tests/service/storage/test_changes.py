from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from service.errors import Conflict, NotFound
from service.storage import changes
from service.storage.changes import Change, Changes
from service.storage.database import Database
from service.storage.instances import Instances
from service.storage.object_cache import ObjectCache
from service.storage.records import Records
from service.storage.retention import Retention
from service.storage.tables import CHANGES
from service.storage.worklist import Worklist
from tests.service.storage.conftest import Make


@pytest.fixture
def reader(records: Records) -> Changes:
    return Changes(records.database)


@pytest.fixture
def replica(records: Records, url: str) -> Iterator[Changes]:
    """Return a reader with its own connection, as a second replica has."""
    database = Database(url)
    yield Changes(database)
    database.close()


def test_adding_marking_and_deleting_a_record_are_changes(
    records: Records, reader: Changes, replica: Changes, make: Make
) -> None:
    assert (reader.latest(), reader.after(0)) == (0, ())

    record = records.save(make(priority="HIGH"))
    Worklist(records.database).mark(record.id, True, "AB")
    records.delete(record.id)

    assert reader.after(0) == (
        Change(1, "new", record.id, "HIGH"),
        Change(2, "read", record.id, "HIGH"),
        Change(3, "deleted", record.id, None),
    )
    assert [change.kind for change in replica.after(1)] == ["read", "deleted"]
    assert replica.latest() == 3
    assert replica.after(3) == ()


def test_an_operation_without_effect_is_no_change(records: Records, reader: Changes, make: Make) -> None:
    record = records.save(make())
    worklist = Worklist(records.database)
    worklist.mark(record.id, False, "")
    records.save(make())
    with suppress(Conflict):
        records.save(make(display_sha256="e" * 64))
    with suppress(NotFound):
        records.delete("0" * 32)
    with suppress(NotFound):
        worklist.mark("0" * 32, True, "")

    assert [change.kind for change in reader.after(0)] == ["new"]


def test_a_purge_adds_a_change_per_record(records: Records, reader: Changes, make: Make, tmp_path: Path) -> None:
    instances = Instances(tmp_path / "instances", 0)
    instances.open()
    record = records.save(make(instance_file=instances.put(b"x")))
    retention = Retention(records, instances, ObjectCache(tmp_path / "objects", 0), None)
    retention.purge(record.created + timedelta(days=366))

    assert [change.kind for change in reader.after(0)] == ["new", "deleted"]


def test_ticks_have_no_gap_and_are_committed_in_order(records: Records, reader: Changes, make: Make) -> None:
    """A reader of one change has read all before it, so it misses none while many write."""
    new = [make(sop_instance_uid=f"1.{number}") for number in range(60)]
    ticks: list[int] = []
    with ThreadPoolExecutor(6) as pool:
        saving = [pool.submit(records.save, record) for record in new]
        while len(ticks) < len(new):
            finished = all(future.done() for future in saving)
            ticks += [change.tick for change in reader.after(ticks[-1] if ticks else 0)]
            if finished:
                break

    assert ticks == list(range(1, len(new) + 1))


def test_the_oldest_changes_are_deleted(
    records: Records, reader: Changes, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "KEPT", 3)
    for number in range(5):
        records.save(make(sop_instance_uid=f"1.{number}"))

    assert [change.tick for change in reader.after(0)] == [3, 4, 5]
    with records.database.read() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(CHANGES)) == 3
