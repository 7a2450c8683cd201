"""What is done with a predicted file before it has a row: its record is stored, and its report sent, if asked for."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import closing
from functools import partial
from typing import TypeVar

from service.backfill.outcome import UNDELIVERED
from service.backfill.reports import identified, send
from service.backfill.work import Work
from service.errors import InputError, Overloaded, StorageFull, TriageError
from service.objects.kinds import Kind, Presentation
from service.objects.render import render
from service.prediction.decoders import Decoders
from service.prediction.record_keeper import RecordKeeper, identified_as, open_stores
from service.storage.instance_store import instance_store
from service.storage.record import Record
from service.storage.records import Records
from service.storage.url import database_url
from service.telemetry import describe, log

T = TypeVar("T")
_PAUSES = (1.0, 5.0)  # seconds before another attempt
_OF_A_DECODER = ("decoder_unavailable", "rendering_timeout")  # codes of what may succeed with another file


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
        """Return the record of a file under the id that it has from now on; all that was asked for is done then.

        Raises
        ------
        InputError
            As `RecordKeeper`: it is the file's own fault.
        Overloaded
            A report was not taken, or no decoder process was there, however often it was tried.
        StorageFull
        TriageError
            `undelivered`: something fails that would fail for other files as well.
        """
        try:
            record = await self._kept(record, data)
            if self._report_to is not None:
                make = partial(render, kind=Kind.SR, record=record, presentation=self._presentation)
                report = await self._decoders.derive(data, make)
                await _tried(partial(send, self._report_to, report))
        except (InputError, StorageFull):
            raise
        except Overloaded as error:
            log().warning("a predicted file was not delivered", **describe(error))
            raise
        except Exception as error:
            if isinstance(error, TriageError) and error.code == UNDELIVERED:
                raise
            reason = error.message if isinstance(error, TriageError) else type(error).__name__
            raise TriageError(f"a predicted file was not delivered: {reason}", UNDELIVERED) from error
        return record

    def close(self) -> None:
        """Close the database and the storage."""
        if self._records is not None:
            self._records.close()
            self._instances.close()

    async def _kept(self, record: Record, data: bytes) -> Record:
        """Return the record as it is stored; if none are, under an id that follows from what it is of."""
        if self._records is None:
            return identified(record)
        try:
            return await _tried(partial(self._stored, record, data))
        except Overloaded as error:
            if error.code in _OF_A_DECODER:
                raise
            raise TriageError(f"a predicted file was not stored: {error.message}", UNDELIVERED) from error

    async def _stored(self, record: Record, data: bytes) -> Record:
        identity, stored = await self._keeper.find(record, data)
        if stored is not None:
            return stored
        with closing(self._instances.receive()) as file:
            await asyncio.to_thread(file.write, [data])
            synced = asyncio.to_thread(file.sync)
            return await self._keeper.keep(identified_as(identity, record), file, synced, backfilled=True)


def check_stores(work: Work) -> None:
    """Open and close what records are stored in, if they are; raises as `Delivery`."""
    if work.stores:
        records, instances = Records(database_url(work.settings)), instance_store(work.settings.storage)
        with closing(records), closing(instances):
            open_stores(records, instances, work.settings)


async def _tried(attempt: Callable[[], Awaitable[T]]) -> T:
    for pause in _PAUSES:
        try:
            return await attempt()
        except Overloaded:
            await asyncio.sleep(pause)
    return await attempt()
