"""What is done with a predicted file before it has a row: its record is stored, and its report sent, if asked for."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import closing
from functools import partial
from typing import TypeVar

from service.backfill.reports import send
from service.backfill.work import Work
from service.errors import Overloaded
from service.objects.kinds import Kind, Presentation
from service.objects.render import render
from service.prediction.decoders import Decoders
from service.prediction.record_keeper import RecordKeeper, open_stores
from service.storage.instance_store import instance_store
from service.storage.record import Record
from service.storage.records import Records
from service.storage.url import database_url
from service.telemetry import describe, log

T = TypeVar("T")
_PAUSES = (1.0, 5.0)  # seconds before another attempt


class Delivery:
    """Stores records as the service of these settings does, and sends reports.

    Parameters
    ----------
    work
        Says what is asked for.
    decoders
        Render reports, and compare files.

    Raises
    ------
    ConfigurationError
        The database or the folder of the instances cannot be used.
    """

    def __init__(self, work: Work, decoders: Decoders) -> None:
        settings = work.settings
        self._report_to, self._decoders = work.report_to, decoders
        self._presentation = Presentation(settings.triage.presentation)
        self._records: Records | None = None
        if work.stores:
            self._records, self._instances = Records(database_url(settings)), instance_store(settings.storage)
            open_stores(self._records, self._instances, settings)
            sha256 = work.table.artefact_sha256
            self._keeper = RecordKeeper(self._records, self._instances, sha256, decoders.examine)

    async def deliver(self, record: Record, data: bytes) -> Record:
        """Return the record that is stored for a file, or the one that was given; all that was asked for is done then.

        Raises
        ------
        Overloaded
            Something was not done, however often it was tried.
        Conflict, StorageFull
            As `RecordKeeper`.
        """
        try:
            if self._records is not None:
                record = await _tried(partial(self._stored, record, data))
            if self._report_to is not None:
                make = partial(render, kind=Kind.SR, record=record, presentation=self._presentation)
                report = await self._decoders.derive(data, make)
                await _tried(partial(send, self._report_to, report))
        except Overloaded as error:
            log().warning("a predicted file was not delivered", **describe(error))
            raise
        return record

    def close(self) -> None:
        """Close the database and the storage."""
        if self._records is not None:
            self._records.close()
            self._instances.close()

    async def _stored(self, record: Record, data: bytes) -> Record:
        stored = await self._keeper.stored(record, data)
        if stored is not None:
            return stored
        with closing(await asyncio.to_thread(self._instances.receive)) as file:
            await asyncio.to_thread(file.write, [data])
            return await self._keeper.keep(record, file, asyncio.to_thread(file.sync), backfilled=True)


async def _tried(attempt: Callable[[], Awaitable[T]]) -> T:
    for pause in _PAUSES:
        try:
            return await attempt()
        except Overloaded:
            await asyncio.sleep(pause)
    return await attempt()
