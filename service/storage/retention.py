"""How long records and instances are kept, and that what a crash left behind goes."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from service.errors import NotFound
from service.storage.instances import Instances
from service.storage.records import Records
from service.storage.tables import INSTANCES, PREDICTIONS
from service.telemetry import describe, log

ORPHAN_SECONDS = 3600.0  # longer than any request lasts
_EVERY_SECONDS = 3600.0
_BATCH = 100


@dataclass(frozen=True)
class Expired:
    """How much is older than a time, or went because it was; `bytes` of the instances."""

    records: int = 0
    instances: int = 0
    bytes: int = 0

    def __add__(self, other: "Expired") -> "Expired":
        return Expired(self.records + other.records, self.instances + other.instances, self.bytes + other.bytes)


class Retention:
    """Deletes what is too old. Safe beside a running service and in several replicas at once.

    A record's age counts from the answer. An instance goes with the last record of it: one that was sent again, and
    answered by a newer artefact, stays as long as that answer.

    Parameters
    ----------
    keep_days
        None keeps everything.
    """

    def __init__(self, records: Records, instances: Instances, keep_days: float | None) -> None:
        self._records = records
        self._instances = instances
        self._keep_days = keep_days

    def expired(self, before: datetime) -> Expired:
        """Count what `purge` would delete."""
        old = PREDICTIONS.c.created < before
        of_it = PREDICTIONS.c.instance_id == INSTANCES.c.id
        all_old = sa.exists().where(of_it) & ~sa.exists().where(of_it, ~old)
        files = sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(INSTANCES.c.instance_bytes), 0))
        with self._records.database.read() as connection:
            records = connection.scalar(sa.select(sa.func.count()).where(old)) or 0
            instances, size = connection.execute(files.where(all_old)).one()
        return Expired(records, instances, int(size))

    def purge(self, before: datetime) -> Expired:
        """Delete the records older than a time, and the instances that then have none.

        Raises
        ------
        StorageFull, Overloaded
            As `Records`; what is left, the next purge deletes.
        """
        gone = Expired()
        while batch := self._batch(before):
            gone += batch
        return gone

    def sweep(self) -> int:
        """Remove the files that no record names; how many."""
        return self._instances.sweep(self._records.files(), ORPHAN_SECONDS)

    async def run(self) -> None:
        """Purge now and every hour, until cancelled; what fails is logged, and tried again then."""
        while True:
            try:
                await self._tidy()
            except Exception as error:
                log().error("the purge failed", **describe(error))
            await asyncio.sleep(_EVERY_SECONDS)

    async def _tidy(self) -> None:
        gone = Expired()
        if self._keep_days is not None:
            before = datetime.now(UTC) - timedelta(days=self._keep_days)
            while batch := await asyncio.to_thread(self._batch, before):  # in short pieces: a stop waits for one
                gone += batch
        orphans = await asyncio.to_thread(self.sweep)
        if gone.records or orphans:
            log().info("purged", records=gone.records, instances=gone.instances, bytes=gone.bytes, orphans=orphans)

    def _batch(self, before: datetime) -> Expired | None:
        """Delete the oldest few; None if there are none."""
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
        except NotFound:  # a client or another replica was first
            return Expired()
        if file is None:
            return Expired(records=1)
        self._instances.delete(file)
        return Expired(1, 1, size)
