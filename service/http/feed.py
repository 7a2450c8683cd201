"""What changed, to all who listen to this process: one poller of the database, however many they are."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from service.errors import Overloaded
from service.storage.changes import Change, Changes
from service.telemetry import describe, log

POLL_SECONDS = 1.0
WAITING = 256  # changes that a listener may be behind before it is let go
LISTENERS = 256


class Listener:
    """A queue of changes; it ends when the service stops, or when it is too far behind: ask anew, then."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[Change | None] = asyncio.Queue(WAITING + 1)

    def tell(self, change: Change) -> bool:
        """Hand on a change; false where there is no room."""
        if self._queue.qsize() >= WAITING:
            return False
        self._queue.put_nowait(change)
        return True

    def end(self) -> None:
        """Let it end after what is waiting."""
        if not self._queue.full():
            self._queue.put_nowait(None)

    async def next(self, seconds: float) -> Change | None:
        """Wait for the next change; None at the end.

        Raises
        ------
        TimeoutError
            Nothing changed meanwhile.
        """
        async with asyncio.timeout(seconds):
            return await self._queue.get()


class Feed:
    """Polls while somebody listens, and holds no connection in between."""

    def __init__(self, changes: Changes) -> None:
        self._changes = changes
        self._listeners: set[Listener] = set()
        self._poller: asyncio.Task[None] | None = None
        self._started = asyncio.Event()
        self._closed = False

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[Listener]:
        """Take part: every change after this is entered is told.

        Raises
        ------
        Overloaded
            Too many do, or the service is stopping.
        """
        if self._closed or len(self._listeners) >= LISTENERS:
            raise Overloaded("too many listen, or the service is stopping", "too_many_listeners")
        listener = Listener()
        self._listeners.add(listener)
        try:
            if self._poller is None or self._poller.done():
                self._started = asyncio.Event()
                self._poller = asyncio.create_task(self._poll(self._started))
            await self._started.wait()
            yield listener
        finally:
            self._listeners.discard(listener)

    def close(self) -> None:
        """Let every listener end, and nobody new in."""
        self._closed = True
        self._end_all()
        if self._poller is not None:
            self._poller.cancel()

    async def _poll(self, started: asyncio.Event) -> None:
        try:
            tick = await asyncio.to_thread(self._changes.latest)
            started.set()
            while self._listeners:
                await asyncio.sleep(POLL_SECONDS)
                tick = self._hand_on(tick, await asyncio.to_thread(self._changes.after, tick))
        except Exception as error:  # they come again, and so does the poller
            log().error("changes could not be read", **describe(error))
            self._end_all()
        finally:
            started.set()

    def _hand_on(self, tick: int, changes: tuple[Change, ...]) -> int:
        if not changes:
            return tick
        if changes[0].tick > tick + 1:  # some are no longer kept
            self._end_all()
        for change in changes:
            for listener in [one for one in self._listeners if not one.tell(change)]:
                self._let_go(listener)
        return changes[-1].tick

    def _let_go(self, listener: Listener) -> None:
        self._listeners.discard(listener)
        listener.end()

    def _end_all(self) -> None:
        for listener in list(self._listeners):
            self._let_go(listener)
