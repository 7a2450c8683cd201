import asyncio
from collections.abc import Awaitable, Callable

import pytest

from service.errors import Overloaded
from service.http import feed
from service.http.feed import Feed, Listener
from service.storage.changes import Change

Ask = Callable[[int], tuple[Change, ...]]


class Source:
    """Changes that a test adds to; counts who begins to ask."""

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self.pollers = 0
        self.broken = False

    def add(self, count: int = 1) -> None:
        for _ in range(count):
            self.changes.append(Change(len(self.changes) + 1, "new", "id", "STAT"))

    def latest(self) -> int:
        self.pollers += 1
        return len(self.changes)

    def after(self, tick: int) -> tuple[Change, ...]:
        if self.broken:
            raise Overloaded("the database does not answer")
        return tuple(self.changes[tick:])


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "POLL_SECONDS", 0.01)


def run(source: Source, work: Callable[[Feed], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(20):
            await work(Feed(source))  # type: ignore[arg-type]

    asyncio.run(bounded())


async def told(listener: Listener) -> int | None:
    change = await listener.next(10)
    return change and change.tick


def test_everyone_is_told_what_changes_from_then_on(source: Source) -> None:
    source.add(3)

    async def work(feed: Feed) -> None:
        async with feed.listening() as one, feed.listening() as other:
            source.add(2)
            assert [await told(one), await told(one)] == [4, 5]
            assert [await told(other), await told(other)] == [4, 5]
            async with feed.listening() as late:
                source.add()
                assert await told(late) == await told(one) == 6

    run(source, work)


def test_one_poller_and_none_where_nobody_listens(source: Source) -> None:
    async def work(feed: Feed) -> None:
        assert source.pollers == 0
        async with feed.listening(), feed.listening(), feed.listening() as listener:
            source.add()
            assert await told(listener) == 1
        assert feed._poller is not None
        await feed._poller
        assert source.pollers == 1
        async with feed.listening() as again:
            source.add()
            assert await told(again) == 2
        assert source.pollers == 2

    run(source, work)


def test_who_waits_is_told_that_nothing_came(source: Source) -> None:
    async def work(feed: Feed) -> None:
        async with feed.listening() as listener:
            with pytest.raises(TimeoutError):
                await listener.next(0.05)

    run(source, work)


def test_who_does_not_keep_up_is_let_go_and_the_others_stay(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "WAITING", 4)

    async def work(feed: Feed) -> None:
        async with feed.listening() as slow, feed.listening() as quick:
            for _ in range(6):
                source.add()
                await told(quick)
            assert [await told(slow) for _ in range(5)] == [1, 2, 3, 4, None]
            source.add()
            assert await told(quick) == 7

    run(source, work)


def test_where_changes_are_lost_all_ask_anew(source: Source) -> None:
    async def work(feed: Feed) -> None:
        async with feed.listening() as listener:
            source.add(5)
            source.changes[:] = [Change(9, "new", "id", "STAT")]
            source.after = lambda tick: tuple(one for one in source.changes if one.tick > tick)  # type: ignore[method-assign]
            assert await told(listener) is None

    run(source, work)


def test_where_the_database_fails_all_come_again(source: Source) -> None:
    async def work(feed: Feed) -> None:
        async with feed.listening() as listener:
            source.broken = True
            assert await told(listener) is None
        source.broken = False
        async with feed.listening() as listener:
            source.add()
            assert await told(listener) == 1

    run(source, work)


def test_at_the_end_all_end_and_nobody_new_comes(source: Source) -> None:
    async def work(feed: Feed) -> None:
        async with feed.listening() as listener:
            feed.close()
            assert await told(listener) is None
        with pytest.raises(Overloaded):
            async with feed.listening():
                pass

    run(source, work)


def test_there_is_a_bound_on_how_many(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "LISTENERS", 1)

    async def work(feed: Feed) -> None:
        async with feed.listening():
            with pytest.raises(Overloaded) as caught:
                async with feed.listening():
                    pass
            assert caught.value.code == "too_many_listeners"
        async with feed.listening():
            pass

    run(source, work)
