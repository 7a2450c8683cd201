import asyncio
import json
import os
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path

import pytest

from service.errors import Overloaded
from service.storage import retention as module
from service.storage.instances import Instances
from service.storage.object_cache import ObjectCache
from service.storage.records import Records
from service.storage.retention import Expired, Retention
from tests.service.storage.conftest import Make

NOW = datetime.now(UTC)
Keep = Callable[..., str]


@pytest.fixture
def instances(tmp_path: Path) -> Instances:
    opened = Instances(tmp_path / "instances")
    opened.open()
    return opened


@pytest.fixture
def keep(records: Records, instances: Instances, make: Make) -> Keep:
    """Return a function that stores a file of ten bytes and its record, some days old, and returns the record's id."""

    def keep(uid: str, days: float, artefact: str = "a") -> str:
        file = instances.put(b"0123456789")
        record = make(
            sop_instance_uid=uid,
            instance_file=file,
            instance_bytes=10,
            created=NOW - timedelta(days=days),
            artefact_sha256=artefact * 64,
        )
        saved = records.save(record)
        if saved.instance_file != file:
            instances.delete(file)
        return saved.id

    return keep


def cache(instances: Instances) -> ObjectCache:
    return ObjectCache(instances.folder.parent / "objects", 2**20)


def ids(records: Records) -> set[str]:
    return {summary.id for summary in records.list(1000)[0]}


def files(instances: Instances) -> int:
    return len(list(instances.folder.rglob("*.dcm")))


def test_only_records_older_than_the_time_are_deleted(records: Records, instances: Instances, keep: Keep) -> None:
    keep("1.1", 31)
    keep("1.2", 30.5)
    young = {keep("1.3", 29), keep("1.4", 0)}
    retention, before = Retention(records, instances, cache(instances), None), NOW - timedelta(days=30)

    assert retention.expired(before) == Expired(2, 2, 20)
    assert retention.purge(before) == Expired(2, 2, 20)

    assert ids(records) == young
    assert files(instances) == 2
    assert retention.expired(before) == retention.purge(before) == Expired()


def test_an_instance_is_deleted_with_its_last_record(records: Records, instances: Instances, keep: Keep) -> None:
    keep("1.1", 40, "a")
    newer = keep("1.1", 10, "b")
    retention = Retention(records, instances, cache(instances), None)

    for days, expected, remaining in ((30, Expired(1, 0, 0), {newer}), (5, Expired(1, 1, 10), set())):
        before = NOW - timedelta(days=days)
        assert retention.expired(before) == retention.purge(before) == expected
        assert ids(records) == remaining
    assert files(instances) == 0


def test_what_was_made_from_a_record_is_deleted_with_it(records: Records, instances: Instances, keep: Keep) -> None:
    old, young, objects = keep("1.1", 40), keep("1.2", 10), cache(instances)
    for id in (old, young, "f" * 32):  # the last is what a crash left behind
        objects.put(id, "sr", b"x", exists=lambda _: True)
    retention = Retention(records, instances, objects, None)

    retention.purge(NOW - timedelta(days=30))
    assert [objects.get(id, "sr") for id in (old, young, "f" * 32)] == [None, b"x", b"x"]

    assert retention.sweep() == 1
    assert [objects.get(id, "sr") for id in (young, "f" * 32)] == [b"x", None]


def test_a_purge_deletes_several_batches(
    records: Records, instances: Instances, keep: Keep, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_BATCH", 2)
    for number in range(5):
        keep(f"1.{number}", 3)

    assert Retention(records, instances, cache(instances), None).purge(NOW - timedelta(days=2)) == Expired(5, 5, 50)


def test_a_record_deleted_meanwhile_is_no_error(
    records: Records, instances: Instances, keep: Keep, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep("1.1", 3)
    keep("1.2", 3)
    delete = Records.delete

    def twice(self: Records, id: str) -> str | None:
        file = delete(self, id)
        if file is not None:
            instances.delete(file)
        return delete(self, id)

    monkeypatch.setattr(Records, "delete", twice)

    assert Retention(records, instances, cache(instances), None).purge(NOW) == Expired()
    assert ids(records) == set()


def test_the_task_purges_sweeps_and_logs(records: Records, instances: Instances, keep: Keep, log: StringIO) -> None:
    keep("1.1", 3)
    young = keep("1.2", 1)
    orphan = instances.folder / (name := instances.put(b"x"))[:2] / name
    os.utime(orphan, (time.time() - 2 * module.ORPHAN_SECONDS,) * 2)

    run_until(Retention(records, instances, cache(instances), 2), lambda: bool(log.getvalue()))

    assert ids(records) == {young}
    assert not orphan.exists()
    [line] = [json.loads(line) for line in log.getvalue().splitlines()]
    assert (line["event"], line["level"]) == ("purged", "info")
    assert (line["records"], line["instances"], line["bytes"], line["orphans"]) == (1, 1, 10, 1)


def test_without_keep_days_all_records_stay(records: Records, instances: Instances, keep: Keep) -> None:
    old = keep("1.1", 10_000)
    orphan = instances.folder / (name := instances.put(b"x"))[:2] / name
    os.utime(orphan, (0, 0))

    run_until(Retention(records, instances, cache(instances), None), lambda: not orphan.exists())

    assert ids(records) == {old}


def test_the_task_tries_again_after_a_failure(
    records: Records, instances: Instances, keep: Keep, log: StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep("1.1", 3)
    monkeypatch.setattr(module, "_EVERY_SECONDS", 0.01)
    failures = iter([Overloaded("Canary^Tweety")])
    delete_batch = Retention._delete_batch

    def fail_once(self: Retention, before: datetime) -> Expired | None:
        for failure in failures:
            raise failure
        return delete_batch(self, before)

    monkeypatch.setattr(Retention, "_delete_batch", fail_once)

    run_until(Retention(records, instances, cache(instances), 2), lambda: not ids(records))

    assert json.loads(log.getvalue().splitlines()[0])["event"] == "the purge failed"
    assert "Canary" not in log.getvalue()


def run_until(retention: Retention, done: Callable[[], bool]) -> None:
    async def run() -> None:
        task = asyncio.create_task(retention.run())
        async with asyncio.timeout(30):
            while not done():
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(run())


@pytest.mark.parametrize("jump", [3 * 365 * 86_400, -3 * 365 * 86_400])
def test_nothing_is_deleted_by_a_clock_that_jumps(
    records: Records, instances: Instances, keep: Keep, log: StringIO, monkeypatch: pytest.MonkeyPatch, jump: float
) -> None:
    keep("1.1", 31)
    arriving = instances.folder / (name := instances.put(b"x"))[:2] / name
    os.utime(arriving, (0, 0))
    retention = Retention(records, instances, cache(instances), keep_days=30)
    steady = module._offset
    monkeypatch.setattr(module, "_offset", lambda: steady() + jump)

    run_until(retention, lambda: bool(log.getvalue()))

    assert len(ids(records)) == 1
    assert files(instances) == 2
    [line] = map(json.loads, log.getvalue().splitlines())
    assert (line["level"], line["seconds"]) == ("error", pytest.approx(jump, abs=60))


def test_a_stop_waits_for_the_batch_that_is_being_deleted_and_for_no_other(
    records: Records, instances: Instances, keep: Keep, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Afterwards the store is closed: the instance of a record that is deleted by then would stay."""
    monkeypatch.setattr(module, "_BATCH", 1)
    for number in range(3):
        keep(f"1.{number}", 3)
    deleting, may_go_on, delete = threading.Event(), threading.Event(), records.delete

    def slowly(id: str) -> str | None:
        file = delete(id)
        deleting.set()
        assert may_go_on.wait(20)
        return file

    monkeypatch.setattr(records, "delete", slowly)

    async def stopped() -> tuple[int, int]:
        task = asyncio.create_task(Retention(records, instances, cache(instances), 1).run())
        await asyncio.to_thread(deleting.wait, 20)
        task.cancel()
        threading.Timer(0.1, may_go_on.set).start()
        await asyncio.wait([task])
        assert task.cancelled()
        return len(ids(records)), files(instances)

    assert asyncio.run(stopped()) == (2, 2)
