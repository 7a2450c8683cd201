"""Of several replicas, one sweeps the store when it is due."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from service.errors import Overloaded
from service.storage import retention as retention_module
from service.storage.database import Database
from service.storage.instances import Instances
from service.storage.object_cache import ObjectCache
from service.storage.orphans import turn
from service.storage.records import Records
from service.storage.retention import Retention
from service.storage.tables import STORE

DAY = timedelta(days=1)


@pytest.fixture
def replicas(url: str) -> Iterator[tuple[Database, ...]]:
    opened = tuple(Database(url) for _ in range(4))
    for database in opened:
        database.open()
    yield opened
    for database in opened:
        database.close()


def swept(database: Database) -> datetime | None:
    with database.read() as connection:
        return connection.execute(sa.select(STORE.c.swept)).scalar_one()


def sweep_was(database: Database, age: timedelta) -> None:
    with database.write() as connection:
        connection.execute(sa.update(STORE).values(swept=datetime.now(UTC) - age))


def has_turn(database: Database) -> bool:
    with turn(database, DAY) as mine:
        return mine


def test_one_of_several_replicas_sweeps(replicas: tuple[Database, ...]) -> None:
    with ThreadPoolExecutor(len(replicas)) as pool:
        assert sum(pool.map(has_turn, replicas)) == 1
    assert not any(map(has_turn, replicas))


@pytest.mark.parametrize(
    ("age", "due"),
    [
        (DAY - timedelta(hours=1), False),
        (DAY - timedelta(seconds=1), True),  # by a clock that is a little ahead
        (DAY, True),
        (timedelta(seconds=-10), False),  # by a clock that is a little behind
        (-365 * DAY, True),  # a replica whose clock was wrong must not stop the sweeps for a year
    ],
)
def test_it_is_due_again_after_some_time(replicas: tuple[Database, ...], age: timedelta, due: bool) -> None:
    sweep_was(replicas[0], age)
    assert has_turn(replicas[0]) is due


def test_a_sweep_that_fails_does_not_count(replicas: tuple[Database, ...]) -> None:
    with pytest.raises(Overloaded), turn(replicas[0], DAY):
        raise Overloaded("the bucket is down")
    assert swept(replicas[0]) is None
    assert has_turn(replicas[1])


def test_a_replica_whose_turn_it_is_not_ends_no_turn(replicas: tuple[Database, ...]) -> None:
    with turn(replicas[0], DAY) as first:
        began = swept(replicas[0])
        with suppress(RuntimeError), turn(replicas[1], DAY) as second:
            raise RuntimeError
        assert (first, second, swept(replicas[0])) == (True, False, began)


def test_each_replica_sweeps_its_own_disk_and_one_of_them_the_store(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    for name in ("sweep", "sweep_spool"):
        monkeypatch.setattr(Instances, name, lambda *_, name=name: asked.append(name) or 0)
    store = Instances(tmp_path / "instances")
    store.open()
    monkeypatch.setattr(retention_module, "_EVERY_SECONDS", 0.01)

    async def run(replicas: list[Records]) -> None:
        tasks = [
            asyncio.create_task(Retention(records, store, ObjectCache(tmp_path / "objects", 0), None).run())
            for records in replicas
        ]
        async with asyncio.timeout(60):
            while asked.count("sweep_spool") < 6:
                await asyncio.sleep(0.01)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    with closing(Records(url)) as first, closing(Records(url)) as second:
        first.open()
        second.open()
        asyncio.run(run([first, second]))
    assert asked.count("sweep") == 1
