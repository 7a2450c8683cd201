"""Whether storage can be used, for the readiness probe, which anybody may send as often as they like."""

import asyncio
import time

from service.errors import Overloaded, TriageError
from service.storage.database import Database
from service.storage.instance_store import InstanceStore, in_thread
from service.storage.same_file import CODE

_FRESH_SECONDS = 1.0  # for which an answer counts
_LONGEST_SECONDS = 5.0


class StorageProbe:
    """Asks the database, and looks for the instances, at most once a second, and in one thread at most."""

    def __init__(self, instances: InstanceStore, database: Database) -> None:
        self._instances, self._database = instances, database
        self._lock = asyncio.Lock()
        self._next = 0.0
        self._fault: tuple[str, str] | None = None
        self._asked: asyncio.Task[tuple[str, str] | None] | None = None

    async def check(self) -> None:
        """Check that storage answers.

        Raises
        ------
        Overloaded
            `storage_unavailable`: a folder or the database file is gone; or the database or the bucket does not answer.
        """
        async with self._lock:
            if time.monotonic() >= self._next:
                self._fault = await self._ask()
                self._next = time.monotonic() + _FRESH_SECONDS
        if self._fault is not None:
            raise Overloaded(*self._fault)

    def has_instances(self) -> bool:
        """Return True, or raise as `check`; wait as long as it takes."""
        self._instances.check_present()
        return True

    async def _ask(self) -> tuple[str, str] | None:
        # A thread cannot be stopped. As long as one waits for storage, another would wait, too, until none is left.
        if self._asked is None or self._asked.done():
            self._asked = asyncio.create_task(in_thread(self._instances, self._look))
        await asyncio.wait({self._asked}, timeout=_LONGEST_SECONDS)
        return self._asked.result() if self._asked.done() else ("storage does not answer", CODE)

    def _look(self) -> tuple[str, str] | None:
        try:
            self.has_instances()
            self._database.check_answers()
        except TriageError as error:
            return error.message, error.code
        return None
