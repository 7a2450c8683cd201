"""What one replica commits wakes another, on PostgreSQL."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from io import StringIO

import pytest

from service.errors import Overloaded
from service.objects.kinds import Kind
from service.storage import notifications as module
from service.storage.database import Database
from service.storage.notifications import CHANGES, ORDERS, Notifications
from service.storage.outbox import Order, Outbox
from service.storage.records import Records
from service.storage.worklist import Worklist
from tests.postgresql import PostgreSQL
from tests.service.storage.conftest import Make, on_postgresql, on_sqlite

SR = Order("pacs", Kind.SR)
SECONDS = 20


class Heard:
    """The calls of each channel."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self._any = asyncio.Event()

    def call(self, channel: str) -> None:
        self.calls[channel] += 1
        self._any.set()

    async def until(self, **calls: int) -> None:
        """Wait for numbers of calls: of changes and of orders."""
        expected = {CHANGES: calls["changes"], ORDERS: calls["orders"]}
        async with asyncio.timeout(SECONDS):
            while any(self.calls[channel] < number for channel, number in expected.items()):
                self._any.clear()
                await self._any.wait()
        assert self.calls == Counter(expected)


@asynccontextmanager
async def listening(database: Database) -> AsyncIterator[Heard]:
    """Listen, once each channel was called as the connection was made."""
    heard = Heard()
    wake = {channel: partial(heard.call, channel) for channel in (CHANGES, ORDERS)}
    task = asyncio.create_task(Notifications(database, wake).run())
    await heard.until(changes=1, orders=1)
    try:
        yield heard
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@pytest.fixture
def replica(url: str) -> Iterator[Database]:
    """Yield the database of another replica, which listens."""
    database = Database(url)
    yield database
    database.close()


@on_postgresql
def test_every_change_and_order_is_heard_once_it_is_committed(records: Records, replica: Database, make: Make) -> None:
    async def work() -> None:
        async with listening(replica) as heard:
            first = records.save(make())
            await heard.until(changes=2, orders=1)
            records.save(make(sop_instance_uid="1.2"), [SR])
            await heard.until(changes=3, orders=2)
            Outbox(records.database).add(first.id, [SR])
            await heard.until(changes=3, orders=3)
            with pytest.raises(Overloaded):
                records.save(make(sop_instance_uid="1.3"), [SR, SR])  # rolled back
            Worklist(records.database).mark(first.id, True, "AB")
            await heard.until(changes=4, orders=3)
            records.delete(first.id)
            await heard.until(changes=5, orders=3)

    asyncio.run(work())


@on_postgresql
def test_the_connection_is_made_anew_after_a_restart_of_the_server(
    records: Records,
    replica: Database,
    make: Make,
    postgresql: PostgreSQL,
    log: StringIO,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "PAUSE_SECONDS", 0.05)

    async def work() -> None:
        async with listening(replica) as heard:
            postgresql.stop()
            await asyncio.sleep(0.2)  # some attempts fail
            postgresql.start()
            await heard.until(changes=2, orders=2)  # for what was committed meanwhile
            records.save(make())
            await heard.until(changes=3, orders=2)

    asyncio.run(work())
    assert log.getvalue().count("notifications are not heard") == 1


@on_postgresql
def test_a_silent_connection_is_kept(
    records: Records, replica: Database, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CHECK_SECONDS", 0.02)

    async def work() -> None:
        async with listening(replica) as heard:
            await asyncio.sleep(0.2)
            records.save(make())
            await heard.until(changes=2, orders=1)

    asyncio.run(work())


@on_sqlite
def test_nothing_listens_on_sqlite(replica: Database) -> None:
    asyncio.run(Notifications(replica, {}).run())
