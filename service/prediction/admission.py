"""What the service takes on at once: bytes that arrive, and files that are decoded. Used on one event loop."""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from service.errors import Overloaded


class Places:
    """Places for files that are decoded. There is no queue for them: the sender keeps what finds none.

    Attributes
    ----------
    count
        Number of places, free or taken.
    """

    def __init__(self, count: int) -> None:
        self.count = self._free = count
        self._waiting = deque[asyncio.Future[None]]()

    @property
    def free(self) -> int:
        """Number of free places."""
        return self._free

    def check(self) -> None:
        """Refuse if no place is free.

        Raises
        ------
        Overloaded
        """
        if not self._free:
            raise Overloaded("all places are taken; keep the file and send it again")

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Hold a place.

        Raises
        ------
        Overloaded
        """
        self.check()
        with self.spare(1):
            yield

    @asynccontextmanager
    async def awaited(self, seconds: float) -> AsyncIterator[None]:
        """Hold a place, once one is free; for a part of a body of which others are stored already.

        Raises
        ------
        Overloaded
            None was free within this time.
        """
        try:
            async with asyncio.timeout(seconds):
                while not self._free:
                    self._waiting.append(turn := asyncio.get_running_loop().create_future())
                    await turn
        except TimeoutError:
            self.check()
        with self.taken():
            yield

    @contextmanager
    def spare(self, count: int) -> Iterator[int]:
        """Hold up to `count` free places, possibly none; yields their number."""
        held = min(count, self._free)
        self._free -= held
        try:
            yield held
        finally:
            self._free += held
            self._wake()

    def _wake(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():  # one that is done was cancelled
                turn.set_result(None)


class Arrivals:
    """Bytes of request bodies that are arriving or wait to be decoded, in total and of each client.

    Parameters
    ----------
    limit, client_limit
        Bytes of all clients and of one, at least those of the largest body.
    """

    def __init__(self, limit: int, client_limit: int) -> None:
        self._limit, self._client_limit = limit, client_limit
        self._clients = Counter[str]()

    @property
    def size(self) -> int:
        """Bytes of all clients now."""
        return self._clients.total()

    @contextmanager
    def reserved(self, client: str, size: int) -> Iterator[None]:
        """Hold room for a body.

        Raises
        ------
        Overloaded
        """
        if self._clients.total() + size > self._limit:
            raise Overloaded("too many bytes are arriving; keep the file and send it again")
        if self._clients[client] + size > self._client_limit:
            raise Overloaded("too many bytes are arriving from this client; keep the file and send it again")
        self._clients[client] += size
        try:
            yield
        finally:
            self._clients[client] -= size
            if not self._clients[client]:
                del self._clients[client]
