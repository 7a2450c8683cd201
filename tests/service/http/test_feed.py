import asyncio
from collections.abc import Awaitable, Callable

import pytest

from service.errors import Overloaded
from service.http import feed
from service.http.feed import Feed, Listener
from service.storage.changes import Change

Ask = Callable[[int], tuple[Change, ...]]


class Source:
    """A source of changes."""

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self.broken = False

    def add(self, count: int = 1) -> None:
        for _ in range(count):
            self.changes.append(Change(len(self.changes) + 1, "new", "id", "STAT"))

    def latest(self) -> int:
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
        async with asyncio.timeout(60):
            await work(Feed(source))  # type: ignore[arg-type]

    asyncio.run(bounded())


async def next_tick(listener: Listener) -> int | None:
    change = await listener.next(60)
    return change and change.tick


def test_every_listener_receives_the_changes_from_then_on(source: Source) -> None:
    source.add(3)

    async def work(feed: Feed) -> None:
        async with feed.listening() as first, feed.listening() as second:
            source.add(2)
            assert [await next_tick(first), await next_tick(first)] == [4, 5]
            assert [await next_tick(second), await next_tick(second)] == [4, 5]
            async with feed.listening() as late:
                source.add()
                assert await next_tick(late) == await next_tick(first) == 6

    run(source, work)


def test_a_change_from_before_is_not_received_while_it_is_on_its_way_to_others(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader's page has listed its radiograph already, and would call it new."""
    monkeypatch.setattr(feed, "POLL_SECONDS", 3600.0)

    async def work(feed: Feed) -> None:
        async with feed.listening() as first:
            source.add()
            async with feed.listening() as late:
                source.add()
                feed.wake()
                assert await next_tick(late) == 2
                assert await next_tick(first) == 1
        feed.close()

    run(source, work)


def test_a_change_that_is_announced_does_not_wait_for_the_poll(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "POLL_SECONDS", 3600.0)

    async def work(feed: Feed) -> None:
        async with feed.listening() as listener:
            for tick in (1, 2, 3):
                source.add()
                feed.wake()
                assert await next_tick(listener) == tick
        feed.close()

    run(source, work)


def test_there_is_one_poller_and_none_without_listeners(source: Source) -> None:
    async def work(feed: Feed) -> None:
        assert feed._poller is None
        async with feed.listening():
            first = feed._poller
            assert first is not None
            async with feed.listening(), feed.listening() as listener:
                source.add()
                assert await next_tick(listener) == 1
                assert feed._poller is first
        await first
        async with feed.listening() as again:
            source.add()
            assert await next_tick(again) == 2
            assert feed._poller is not first

    run(source, work)


def test_waiting_for_a_change_times_out(source: Source) -> None:
    async def work(feed: Feed) -> None:
        async with feed.listening() as listener:
            with pytest.raises(TimeoutError):
                await listener.next(0.05)

    run(source, work)


def test_a_listener_that_does_not_keep_up_is_dropped_and_the_others_stay(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "MAX_WAITING", 4)

    async def work(feed: Feed) -> None:
        async with feed.listening() as slow, feed.listening() as quick:
            for _ in range(6):
                source.add()
                await next_tick(quick)
            assert [await next_tick(slow) for _ in range(5)] == [1, 2, 3, 4, None]
            source.add()
            assert await next_tick(quick) == 7

    run(source, work)


def test_all_listeners_end_when_changes_are_lost(source: Source) -> None:
    async def work(feed: Feed) -> None:
        async with feed.listening() as listener:
            source.add(5)
            source.changes[:] = [Change(9, "new", "id", "STAT")]
            source.after = lambda tick: tuple(change for change in source.changes if change.tick > tick)  # type: ignore[method-assign]
            assert await next_tick(listener) is None

    run(source, work)


def test_all_listeners_end_when_the_database_fails_and_may_return(source: Source) -> None:
    async def work(feed: Feed) -> None:
        async with feed.listening() as listener:
            source.broken = True
            assert await next_tick(listener) is None
        source.broken = False
        async with feed.listening() as listener:
            source.add()
            assert await next_tick(listener) == 1

    run(source, work)


def test_close_ends_all_listeners_and_refuses_new_ones(source: Source) -> None:
    async def work(feed: Feed) -> None:
        async with feed.listening() as listener:
            feed.close()
            assert await next_tick(listener) is None
        with pytest.raises(Overloaded):
            async with feed.listening():
                pass

    run(source, work)


def test_the_number_of_listeners_is_limited(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "MAX_LISTENERS", 1)

    async def work(feed: Feed) -> None:
        async with feed.listening():
            with pytest.raises(Overloaded) as caught:
                async with feed.listening():
                    pass
            assert caught.value.code == "too_many_listeners"
        async with feed.listening():
            pass

    run(source, work)
