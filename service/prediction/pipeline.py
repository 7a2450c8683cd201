"""One request: from a file to a committed record, behind one admission control."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager

from service.errors import Conflict, Overloaded, StartupError, TriageError, about
from service.prediction.admission import Arrivals, Places
from service.prediction.predictor import Predictor
from service.prediction.record_keeper import RecordKeeper, identified_as, open_stores
from service.prediction.storage_probe import StorageProbe
from service.prediction.stored import StoredPredictions
from service.settings import Settings
from service.storage.database import Database
from service.storage.incoming import Incoming
from service.storage.instance_store import instance_store
from service.storage.object_cache import ObjectCache
from service.storage.outbox import Order
from service.storage.record import Record
from service.storage.records import Records
from service.storage.retention import Retention
from service.storage.url import database_url
from service.telemetry import describe, log
from service.threads import completed
from service.triage.rule import Priority

_SYNCS = 4  # files that are written to disk at once; more make each other wait

Orders = Callable[[Priority], tuple[Order, ...]]


class Pipeline:
    """Predictor and storage, with one admission control in front of both.

    Parameters
    ----------
    orders
        Returns the objects to send for a new record of a priority; they are added to the outbox in the transaction that
        commits the record.

    Attributes
    ----------
    predictor
        Decoder processes and the network.
    stored
        Predictions of earlier requests.
    places
        Places for files that are decoded.
    arrivals
        Bytes of the bodies that are arriving.
    database
        The database of records, keys, worklist, changes and outbox.
    storage
        Whether the database and the instances can be reached.
    failure
        Why the start failed; None while it has not.

    Raises
    ------
    ArtefactError, ConfigurationError
        The artefact is invalid, or a folder or the database cannot be used.
    """

    def __init__(self, settings: Settings, orders: Orders = lambda _: ()) -> None:
        self.predictor = Predictor(settings)
        self._orders = orders
        storage = settings.storage
        self._instances = instance_store(storage)
        self._records = Records(database_url(settings))
        objects = ObjectCache(storage.folder / "objects", storage.cache_bytes, storage.min_free_bytes)
        self._retention = Retention(self._records, self._instances, objects, storage.keep_days)
        self.stored = StoredPredictions(self._records, self._instances, objects, self.predictor)
        self._keeper = RecordKeeper(
            self._records, self._instances, self.predictor.artefact.sha256, self.predictor.examine
        )
        open_stores(self._records, self._instances, settings)
        self.storage = StorageProbe(self._instances, self.database)
        limits = settings.limits
        self.places = Places(limits.max_in_flight)
        self.arrivals = Arrivals(
            max(limits.max_bytes_in_flight, limits.max_body_bytes),
            max(limits.max_client_bytes_in_flight, limits.max_body_bytes),
        )
        self._syncing = ThreadPoolExecutor(_SYNCS, "sync")  # the threads of all other work would soon wait for the disk
        self._obstacle = "starting"
        self._started = asyncio.Event()
        self.failure: StartupError | None = None

    @property
    def database(self) -> Database:
        """The open database."""
        return self._records.database

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Start in the background (see `check_ready` and `failure`), and stop at the end."""
        tasks = [asyncio.create_task(self._start()), asyncio.create_task(self._retention.run())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.predictor.close()
            await self.stored.close()
            self._syncing.shutdown(wait=False)
            self._instances.close()
            await asyncio.to_thread(self._records.close)

    async def started(self) -> None:
        """Wait until the start has succeeded or failed."""
        await self._started.wait()

    def check_ready(self) -> None:
        """Return once the golden self-test has passed.

        Raises
        ------
        Overloaded
            `not_ready`, with the reason.
        """
        if self._obstacle:
            raise Overloaded(f"not ready: {self._obstacle}", "not_ready")

    def admitted(self) -> AbstractContextManager[None]:
        """Hold one of the places for files that are decoded; everything that decodes a file runs inside.

        Raises
        ------
        Overloaded
            All places are taken, or the service is not ready. There is no queue: the sender keeps the file.
        """
        self.check_ready()
        return self.places.taken()

    @contextmanager
    def accepting(self, client: str, size: int) -> Iterator[None]:
        """Hold room for a body of files that will be stored; nothing has been received yet.

        Parameters
        ----------
        client
            Who sends it.
        size
            Bytes that it holds at once, at most.

        Raises
        ------
        Overloaded, StorageFull
            The service is not ready, too many bytes are arriving, no place is free where the files will be decoded, or
            there is too little room on the disk.
        """
        self.check_ready()
        self.places.check()
        self._instances.check_room()
        with self.arrivals.reserved(client, size):
            yield

    def receive(self) -> Incoming:
        """Start a file that will be predicted, and that the caller closes; raises as `Instances.receive`."""
        return self._instances.receive()

    async def predict(self, file: Incoming, study: str | None = None, instance: str | None = None) -> Record:
        """Predict a file that has arrived; the record, old or new, is stored when this returns.

        The file is kept if the record is new. A folder's is written to disk while it is decoded.

        Parameters
        ----------
        study
            Study Instance UID that the file must have, if any.
        instance
            SOP Instance UID that the file must have, if any.

        Raises
        ------
        InputError, Overloaded, StorageFull, InferenceFailed
            Conflict, `study_mismatch`, `instance_mismatch`: the file has another UID. `identity_conflict`: the image
            is stored under another study or patient.
        """
        self.predictor.check_size(file.size)
        synced = asyncio.get_running_loop().run_in_executor(self._syncing, file.sync)
        synced.add_done_callback(lambda sync: sync.cancelled() or sync.exception())  # nobody waits for a refused file
        prepared = await self.predictor.prepare(file.partial)
        header = prepared.header
        with about(header.sop_instance_uid, header.sop_class_uid):
            if study not in (None, header.study_instance_uid):
                raise Conflict("(0020,000D) StudyInstanceUID does not match the study in the URL", "study_mismatch")
            if instance not in (None, header.sop_instance_uid):
                raise Conflict("(0008,0018) SOPInstanceUID does not match the one announced", "instance_mismatch")
            identity, existing = await self._keeper.find(header, file.partial)
            if existing is None:
                record = identified_as(identity, await self.predictor.infer(prepared))
                record = await self._keeper.keep(record, file, synced, self._orders(record.prediction.priority))
            else:
                record = existing
                await asyncio.to_thread(self._records.arrive, record, self._orders(record.prediction.priority))
        known, spent = existing is not None, vars(record.prediction.timings_ms)
        log().info("predicted", id=record.id, sop_instance_uid=header.sop_instance_uid, known=known, timings_ms=spent)
        return record

    async def _start(self) -> None:
        self._obstacle = "the golden self-test"
        try:
            if self._instances.threads is None:  # to list a bucket may take minutes; `Retention.run` does it, too
                await completed(self._retention.sweep)  # it asks the database, which a stop closes
            await asyncio.sleep(0)  # where a stop is noticed that has waited for the sweep
            await self.predictor.start()
        except Exception as error:
            self.failure = _startup_error(error)
            self._obstacle = self.failure.message
        else:
            self._obstacle = ""
            log().info("ready")
        finally:
            self._started.set()


def _startup_error(error: Exception) -> StartupError:
    if isinstance(error, StartupError):
        return error
    log().error("the start failed", **describe(error))
    return StartupError(
        f"the start failed: {error.message if isinstance(error, TriageError) else type(error).__name__}"
    )
