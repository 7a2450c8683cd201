from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
import sqlalchemy as sa

from service.errors import Conflict, NotFound
from service.storage import changes
from service.storage.changes import Change, Changes
from service.storage.database import Database
from service.storage.instances import Instances
from service.storage.records import Records
from service.storage.retention import Retention
from service.storage.tables import CHANGES
from service.storage.worklist import Worklist
from tests.service.storage.conftest import Make


@pytest.fixture
def told(records: Records) -> Changes:
    return Changes(records.database)


@pytest.fixture
def other(records: Records, url: str) -> Iterator[Changes]:
    """What a second replica sees."""
    database = Database(url)
    yield Changes(database)
    database.close()


def test_what_comes_is_marked_and_goes_is_told(records: Records, told: Changes, other: Changes, make: Make) -> None:
    assert (told.latest(), told.after(0)) == (0, ())

    record = records.save(make(priority="HIGH"))
    Worklist(records.database).mark(record.id, True, "AB")
    records.delete(record.id)

    assert told.after(0) == (
        Change(1, "new", record.id, "HIGH"),
        Change(2, "read", record.id, "HIGH"),
        Change(3, "deleted", record.id, None),
    )
    assert [change.kind for change in other.after(1)] == ["read", "deleted"]
    assert other.latest() == 3
    assert other.after(3) == ()


def test_what_changes_nothing_tells_nothing(records: Records, told: Changes, make: Make) -> None:
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

    assert [change.kind for change in told.after(0)] == ["new"]


def test_a_purge_is_told(records: Records, told: Changes, make: Make, tmp_path: Path) -> None:
    instances = Instances(tmp_path / "instances", 0)
    instances.open()
    record = records.save(make(instance_file=instances.put(b"x")))
    Retention(records, instances, None).purge(record.created.replace(year=record.created.year + 1))

    assert [change.kind for change in told.after(0)] == ["new", "deleted"]


def test_ticks_have_no_gap_and_are_committed_in_their_order(records: Records, told: Changes, make: Make) -> None:
    """Who has seen one has seen all before it: a reader beside many writers misses nothing."""
    wanted = [make(sop_instance_uid=f"1.{number}") for number in range(60)]
    seen: list[int] = []
    with ThreadPoolExecutor(6) as pool:
        saving = [pool.submit(records.save, record) for record in wanted]
        while len(seen) < len(wanted):
            seen += [change.tick for change in told.after(seen[-1] if seen else 0)]
            if all(one.done() for one in saving):
                seen += [change.tick for change in told.after(seen[-1] if seen else 0)]
                break

    assert seen == list(range(1, len(wanted) + 1))


def test_the_oldest_are_dropped(records: Records, told: Changes, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "KEPT", 3)
    for number in range(5):
        records.save(make(sop_instance_uid=f"1.{number}"))

    assert [change.tick for change in told.after(0)] == [3, 4, 5]
    with records.database.read() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(CHANGES)) == 3
