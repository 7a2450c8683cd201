"""Distribution of changes to the listeners of this process, with one poller of the database for all of them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from service.errors import Overloaded
from service.storage.changes import Change, Changes
from service.telemetry import describe, log

POLL_SECONDS = 1.0
MAX_WAITING = 256  # changes that may wait for a listener before it is dropped
MAX_LISTENERS = 256


class Listener:
    """A queue of changes; it ends when the service stops or when too many changes wait.

    Parameters
    ----------
    since
        Tick of the last change before it; earlier ones may still be on their way to other listeners.
    """

    def __init__(self, since: int) -> None:
        self._since = since
        self._queue: asyncio.Queue[Change | None] = asyncio.Queue(MAX_WAITING + 1)

    def put(self, change: Change) -> bool:
        """Add a change that came after the listener; return False if the queue is full."""
        if change.tick <= self._since:
            return True
        if self._queue.qsize() >= MAX_WAITING:
            return False
        self._queue.put_nowait(change)
        return True

    def end(self) -> None:
        """End the queue after the changes that wait in it."""
        if not self._queue.full():
            self._queue.put_nowait(None)

    async def next(self, seconds: float) -> Change | None:
        """Wait for the next change; return None at the end.

        Raises
        ------
        TimeoutError
            Nothing changed in `seconds`.
        """
        async with asyncio.timeout(seconds):
            return await self._queue.get()


class Feed:
    """Polls the database while there are listeners, also when woken; it holds no connection between two polls."""

    def __init__(self, changes: Changes) -> None:
        self._changes = changes
        self._listeners: set[Listener] = set()
        self._poller: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self._closed = False

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[Listener]:
        """Yield a listener, which receives every change from then on.

        Raises
        ------
        Overloaded
            There are too many listeners, or the service is stopping.
        """
        latest = await asyncio.to_thread(self._changes.latest)
        if self._closed or len(self._listeners) >= MAX_LISTENERS:
            raise Overloaded("too many listeners, or the service is stopping", "too_many_listeners")
        listener = Listener(latest)
        self._listeners.add(listener)
        try:
            if self._poller is None or self._poller.done():
                self._poller = asyncio.create_task(self._poll(latest))
            yield listener
        finally:
            self._listeners.discard(listener)

    def wake(self) -> None:
        """Look for changes now rather than at the next poll."""
        self._changed.set()

    def close(self) -> None:
        """End every listener and refuse new ones."""
        self._closed = True
        self._end_all()
        if self._poller is not None:
            self._poller.cancel()

    async def _poll(self, tick: int) -> None:
        try:
            while self._listeners:
                await self._pause()
                tick = self._distribute(tick, await asyncio.to_thread(self._changes.after, tick))
        except Exception as error:  # the clients reconnect, which starts a new poller
            log().error("changes could not be read", **describe(error))
            self._end_all()

    async def _pause(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(POLL_SECONDS):
                await self._changed.wait()
        self._changed.clear()

    def _distribute(self, tick: int, changes: tuple[Change, ...]) -> int:
        if not changes:
            return tick
        if changes[0].tick > tick + 1:  # some changes are no longer kept
            self._end_all()
        for change in changes:
            for listener in [listener for listener in self._listeners if not listener.put(change)]:
                self._drop(listener)
        return changes[-1].tick

    def _drop(self, listener: Listener) -> None:
        self._listeners.discard(listener)
        listener.end()

    def _end_all(self) -> None:
        for listener in list(self._listeners):
            self._drop(listener)
