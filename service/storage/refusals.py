"""Numbers of refused radiographs, by day and code. They hold nothing of the radiographs."""

import asyncio
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from threading import Lock

import sqlalchemy as sa

from service.storage.database import Database
from service.storage.tables import REFUSALS
from service.telemetry import describe, log

FLUSH_SECONDS = 2.0


class Refusals:
    """Counts in memory and adds to the table every few seconds, so that no answer waits for it or fails with it.

    A crash loses the counts of the last seconds. Several replicas may add to one table.

    Parameters
    ----------
    database
        An open database.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._counted: Counter[tuple[str, str]] = Counter()
        self._lock, self._flushing = Lock(), Lock()

    def count(self, codes: Iterable[str]) -> None:
        """Count a refusal under each of its codes; never blocks and never fails."""
        day = datetime.now(UTC).date().isoformat()
        with self._lock:
            self._counted.update((day, code) for code in codes)

    def flush(self) -> None:
        """Add what was counted to the table. Blocking; where it fails, the next call adds it.

        Raises
        ------
        StorageFull, Overloaded
        """
        with self._flushing:
            with self._lock:
                counted, self._counted = self._counted, Counter()
            try:
                with self._database.write() as connection:
                    for key, count in sorted(counted.items()):  # replicas lock rows in one order
                        _add(connection, *key, count)
            except BaseException:
                with self._lock:
                    self._counted.update(counted)
                raise

    async def run(self) -> None:
        """Flush every few seconds until cancelled, and then once more; an error is logged."""
        try:
            while True:
                await asyncio.sleep(FLUSH_SECONDS)
                await self._try()
        finally:
            await self._try()

    async def _try(self) -> None:
        if not self._counted:
            return
        try:
            await asyncio.to_thread(self.flush)
        except Exception as error:  # also that another replica has just inserted the same row
            log().warning("refusals are not counted yet", **describe(error))


def _add(connection: sa.Connection, day: str, code: str, count: int) -> None:
    same = (REFUSALS.c.day == day) & (REFUSALS.c.code == code)
    if not connection.execute(sa.update(REFUSALS).where(same).values(count=REFUSALS.c.count + count)).rowcount:
        connection.execute(sa.insert(REFUSALS).values(day=day, code=code, count=count))
