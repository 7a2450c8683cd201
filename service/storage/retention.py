"""Deletion of records, instances and kept objects that are too old, and of files that a crash left without a record."""

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from service.errors import NotFound
from service.storage import clock
from service.storage.instance_store import InstanceStore
from service.storage.object_cache import ObjectCache
from service.storage.orphans import turn
from service.storage.owner import database_id
from service.storage.records import Records
from service.storage.tables import INSTANCES, PREDICTIONS
from service.telemetry import describe, log
from service.threads import completed

ORPHAN_SECONDS = 3600.0  # longer than any request lasts
_EVERY_SECONDS = 3600.0
_BATCH = 100
_JUMP_SECONDS = 600.0  # between two purges; a clock that is corrected step by step moves by seconds


@dataclass(frozen=True)
class Expired:
    """Numbers of expired records and instances; `bytes` is the total size of the instances' files."""

    records: int = 0
    instances: int = 0
    bytes: int = 0

    def __add__(self, other: "Expired") -> "Expired":
        return Expired(self.records + other.records, self.instances + other.instances, self.bytes + other.bytes)


class Retention:
    """Deletes old records and instances. May run beside the service and in several replicas at once.

    The age of a record counts from its creation. An instance is deleted with its last record: one that was sent again,
    and predicted by a newer artefact, stays as long as that record.

    Parameters
    ----------
    keep_days
        Age at which `run` deletes a record, days; None: never.
    """

    def __init__(
        self, records: Records, instances: InstanceStore, objects: ObjectCache, keep_days: float | None
    ) -> None:
        self._records = records
        self._instances = instances
        self._objects = objects
        self._keep_days = keep_days
        self._offset = _offset()

    def expired(self, before: datetime) -> Expired:
        """Count what `purge` would delete."""
        old = PREDICTIONS.c.created < before
        same_instance = PREDICTIONS.c.instance_id == INSTANCES.c.id
        all_old = sa.exists().where(same_instance) & ~sa.exists().where(same_instance, ~old)
        files = sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(INSTANCES.c.instance_bytes), 0))
        with self._records.database.read() as connection:
            records = connection.scalar(sa.select(sa.func.count()).where(old)) or 0
            instances, size = connection.execute(files.where(all_old)).one()
        return Expired(records, instances, int(size))

    def purge(self, before: datetime) -> Expired:
        """Delete the records created before a time, and the instances that are then without a record.

        Returns
        -------
        Expired
            Numbers of what was deleted.

        Raises
        ------
        StorageFull, Overloaded
            As `Records`; the next purge deletes the rest.
        """
        deleted = Expired()
        while batch := self._delete_batch(before):
            deleted += batch
        return deleted

    def sweep(self) -> int:
        """Delete the files without a record, and return their number.

        Raises
        ------
        ConfigurationError
            The instance store belongs to another database by now.
        StorageFull, Overloaded
            The next sweep deletes the rest.
        """
        return self._sweep_here() + self._sweep_store()

    async def run(self) -> None:
        """Purge and sweep now and every hour, until cancelled; an error is logged.

        Of several replicas, one sweeps the instance store when it is due; what is on its own disk, each replica sweeps.

        Once the clock has jumped, or while it is far from that of the database, nothing is deleted: by a clock that is
        years ahead, all records are old.
        """
        while True:
            try:
                if await asyncio.to_thread(self._clock_is_right):
                    await self._purge_and_sweep()
            except Exception as error:
                log().error("the purge failed", **describe(error))
            await asyncio.sleep(_EVERY_SECONDS)

    async def _purge_and_sweep(self) -> None:
        deleted = Expired()
        if self._keep_days is not None:
            before = datetime.now(UTC) - timedelta(days=self._keep_days)
            # A stop waits for a batch, so that no record is deleted without its instance, not for the whole purge.
            while batch := await completed(self._delete_batch, before):
                deleted += batch
                await asyncio.sleep(0)  # where a stop is noticed that has waited for a batch
        orphans = await asyncio.to_thread(self._sweep_here)
        orphans += await asyncio.to_thread(self._sweep_store_in_turn)
        if deleted.records or orphans:
            log().info("purged", **vars(deleted), orphans=orphans)

    def _sweep_here(self) -> int:
        return self._objects.sweep(self._records.known) + self._instances.sweep_spool(ORPHAN_SECONDS)

    def _sweep_store(self) -> int:
        self._instances.claim(database_id(self._records.database))  # again, as two services may have begun at once
        return self._instances.sweep(self._records.known_files, ORPHAN_SECONDS)

    def _sweep_store_in_turn(self) -> int:
        with turn(self._records.database, self._instances.swept_every) as mine:
            return self._sweep_store() if mine else 0

    def _clock_is_right(self) -> bool:
        """Whether the clock is near that of the database, and has not jumped since the service started."""
        with self._records.database.read() as connection:
            ahead = (datetime.now(UTC) - clock.now(connection)).total_seconds()
        if abs(ahead) > _JUMP_SECONDS:
            message = "the clocks of this machine and the database differ: nothing is purged; set them"
            log().error(message, seconds=round(ahead))
            return False
        moved = _offset() - self._offset
        if abs(moved) > _JUMP_SECONDS:
            log().error("the clock has jumped: nothing is purged; set it and restart the service", seconds=round(moved))
            return False
        self._offset += moved
        return True

    def _delete_batch(self, before: datetime) -> Expired | None:
        """Delete the oldest records, at most a batch; return None if there are none."""
        oldest = (
            sa.select(PREDICTIONS.c.id, INSTANCES.c.instance_bytes)
            .join(INSTANCES)
            .where(PREDICTIONS.c.created < before)
            .order_by(PREDICTIONS.c.created)
            .limit(_BATCH)
        )
        with self._records.database.read() as connection:
            rows = connection.execute(oldest).all()
        return sum((self._delete(row.id, row.instance_bytes) for row in rows), Expired()) if rows else None

    def _delete(self, id: str, size: int) -> Expired:
        try:
            file = self._records.delete(id)
        except NotFound:  # deleted by a client or another replica
            return Expired()
        self._objects.delete(id)
        if file is None:
            return Expired(records=1)
        self._instances.delete(file)
        return Expired(1, 1, size)


def _offset() -> float:
    """Return the seconds by which the clock is ahead of one that nobody sets."""
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
