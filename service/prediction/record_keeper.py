"""From an unsaved record and its file to a stored one: each instance once, with one record of each artefact."""

import asyncio
import time
from collections.abc import Awaitable, Sequence
from dataclasses import replace

from service.dicom.radiograph import Header
from service.errors import Conflict, Overloaded, TriageError
from service.prediction.counted import count
from service.prediction.decoders import File
from service.prediction.identity import Examine, check_patient_and_study, own_identity, stored_identity
from service.settings import Settings
from service.storage.incoming import Incoming
from service.storage.instance_store import InstanceStore, in_thread
from service.storage.outbox import Order
from service.storage.owner import database_id
from service.storage.record import Identity, Record, Summary
from service.storage.records import Records
from service.storage.retention import ORPHAN_SECONDS
from service.storage.same_file import CODE
from service.triage.site_rule import site_rule


def open_stores(records: Records, instances: InstanceStore, settings: Settings) -> None:
    """Open the database and the store of the files, and check that they belong together.

    Raises
    ------
    ConfigurationError
    """
    instances.open()
    records.open(site_rule(settings.triage.stat, settings.triage.high))
    instances.claim(database_id(records.database))


def identified_as(identity: Identity, record: Record) -> Record:
    """Return a record under the identity that its instance has in the database."""
    return replace(record, display_sha256=identity.display_sha256, identity_version=identity.version)


class RecordKeeper:
    """Stores records with their files.

    Parameters
    ----------
    records, instances
        Both open.
    artefact_sha256
        Digest of the artefact of all records.
    examine
        `examine` of the decoder processes.
    """

    def __init__(self, records: Records, instances: InstanceStore, artefact_sha256: str, examine: Examine) -> None:
        self._records, self._instances = records, instances
        self._artefact_sha256, self._examine = artefact_sha256, examine

    async def find(self, image: Header | Summary, file: File) -> tuple[Identity, Record | None]:
        """Return the identity of an image for `keep`, and its record of the artefact if there is one already.

        Raises
        ------
        Conflict
            Its UID is stored with other display values; `identity_conflict`: under another study or patient.
        Overloaded
        """
        stored = await asyncio.to_thread(self._records.stored, image.sop_instance_uid)
        if stored is None:
            return own_identity(image), None
        stores = self._records, self._instances
        identity = await stored_identity(image, stored, file, stores, self._examine)
        check_patient_and_study(stored, image)
        return identity, await asyncio.to_thread(self._records.find, identity, self._artefact_sha256)

    async def keep(
        self,
        record: Record,
        file: Incoming,
        synced: Awaitable[None],
        orders: Sequence[Order] = (),
        backfilled: bool = False,
    ) -> Record:
        """Store a record and its file, and return the record that is stored then: this one, or that of a faster writer.

        Parameters
        ----------
        synced
            The call of `file.sync`.
        orders, backfilled
            As those of `Records.save`.

        Raises
        ------
        Conflict, Overloaded, StorageFull
        """
        start = time.perf_counter()
        await synced
        # One call in a thread: a cancelled request is stored completely or not at all.
        return await in_thread(self._instances, self._keep, record, file, orders, backfilled, start)

    def _keep(self, record: Record, file: Incoming, orders: Sequence[Order], backfilled: bool, start: float) -> Record:
        self._instances.check_room()  # again, because a request with many files may have taken long
        file.keep()
        timings_ms = replace(record.prediction.timings_ms, store=round(1e3 * (time.perf_counter() - start), 3))
        prediction = replace(record.prediction, timings_ms=timings_ms)
        named = replace(record, instance_file=file.name, instance_bytes=file.size, prediction=prediction)
        try:
            saved = self._records.save(named, orders, backfilled)
        except Conflict:  # not committed; after another error it may be, so `Instances.sweep` decides about the file
            self._instances.delete(file.name)
            raise
        if saved.instance_file != file.name:
            self._instances.delete(file.name)
        if saved.id == named.id:  # no other request was faster
            self._check_not_swept(saved, file.age)
            count(prediction)
        return saved

    def _check_not_swept(self, record: Record, age: float) -> None:
        """Check that the file of a record that was committed now was not swept before, `age` seconds after it began.

        That happens when the process or its machine was suspended in between. The record is deleted then: it was not
        acknowledged.
        """
        if age < ORPHAN_SECONDS / 2:
            return
        try:
            self._instances.get(record.instance_file)
        except TriageError:
            self._records.delete(record.id)
            raise Overloaded("the service was suspended while it stored the instance; send it again", CODE) from None
