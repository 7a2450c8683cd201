"""One request: a file to a committed record and its answer, behind one admission control (README: One request)."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from typing import Any

from service.dicom_web.catalogue import Catalogue
from service.errors import Conflict, Overloaded, StartupError, TriageError, about
from service.http.documents import Answer, answer
from service.http.feed import Feed
from service.http.worklist_documents import Worklist
from service.prediction.predictor import Analyser
from service.prediction.stored import Archive
from service.sending.sender import Sender
from service.settings import Settings
from service.storage.changes import Changes
from service.storage.instances import Instances
from service.storage.keys import Keys
from service.storage.outbox import Outbox
from service.storage.record import Record
from service.storage.records import Records
from service.storage.retention import Retention
from service.storage.worklist import Worklist as StoredWorklist
from service.telemetry import Stopwatch, describe, log


class Pipeline:
    """The whole service behind its doors: one analyser, what is kept, and one admission control in front of both.

    Attributes
    ----------
    keys
        Who may ask; the doors look.
    archive, catalogue
        What was answered before, as we order it and as DICOM does.
    worklist, feed
        The same in the order of its urgency, and what changes.
    sender
        What goes to other systems.

    Raises
    ------
    ArtefactError, ConfigurationError
        The artefact does not fit, or a folder or the database cannot be used.
    """

    def __init__(self, settings: Settings) -> None:
        self._analyser = Analyser(settings)
        self._instances = Instances(settings.storage.folder / "instances", settings.storage.min_free_bytes)
        self._records = Records(settings.database_url)
        self._retention = Retention(self._records, self._instances, settings.storage.keep_days)
        self.keys = Keys(self._records.database)
        self.archive = Archive(self._records, self._instances, self._analyser)
        self.catalogue = Catalogue(self._records, self._instances, self._analyser)
        self.worklist = Worklist(StoredWorklist(self._records.database))
        self.feed = Feed(Changes(self._records.database))
        self.sender = Sender(Outbox(self._records.database), self.archive.render, settings.sending)
        self._instances.open()
        self._records.open()
        self._free = settings.limits.max_in_flight
        self._waiting_for = "the start"
        self.failure: StartupError | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Start in the background; `check_ready` and `failure` tell how that went. Stop at the end."""
        start = asyncio.create_task(self._start())
        others = [asyncio.create_task(task) for task in (self._retention.run(), self._send(start))]
        try:
            yield
        finally:
            for task in others:
                task.cancel()
            self.feed.close()
            await asyncio.gather(start, *others, return_exceptions=True)
            await self._analyser.close()
            await asyncio.to_thread(self._records.close)

    def check_ready(self) -> None:
        """Pass once the golden self-test has.

        Raises
        ------
        Overloaded
            `not_ready`, with what is waited for.
        """
        if self._waiting_for:
            raise Overloaded(f"not ready: {self._waiting_for}", "not_ready")

    @contextmanager
    def admitted(self) -> Iterator[None]:
        """Hold one of the places for files in flight; whatever costs decoding happens inside.

        Raises
        ------
        Overloaded
            All are taken, or the service is not ready. Nothing waits unseen: the sender keeps the file.
        """
        self.check_ready()
        if not self._free:
            raise Overloaded("all places are taken; keep the file and send it again")
        with self.spare(1):
            yield

    @contextmanager
    def accepting(self) -> Iterator[None]:
        """Hold a place for files that are to be kept.

        Raises
        ------
        Overloaded, StorageFull
            Also where there is too little room on the disk. Nothing has been received yet.
        """
        with self.admitted():
            self._instances.check_room()
            yield

    @contextmanager
    def spare(self, wanted: int) -> Iterator[int]:
        """Hold as many of the `wanted` places as are free, perhaps none, and say how many."""
        held = min(wanted, self._free)
        self._free -= held
        try:
            yield held
        finally:
            self._free += held

    async def predict(self, data: bytes, study: str | None = None) -> Answer:
        """Answer one file, from the record there is or from a new one that is on disk when this returns.

        Parameters
        ----------
        study
            The Study Instance UID that is wanted, where one is.

        Raises
        ------
        InputError, Overloaded, StorageFull, InferenceFailed
            Conflict, `study_mismatch`: the file is of another study. `identity_conflict`: it is known with another
            study or patient.
        """
        prepared = await self._analyser.prepare(data)
        uid = prepared.header.sop_instance_uid
        with about(uid, prepared.header.sop_class_uid):
            if study not in (None, prepared.header.study_instance_uid):
                raise Conflict("(0020,000D) StudyInstanceUID: the request's wanted, got another", "study_mismatch")
            stands = await asyncio.to_thread(
                self._records.find, uid, prepared.header.display_sha256, self._analyser.artefact.sha256
            )
            known = stands is not None
            if stands is not None:
                _check_identity(stands, prepared.header.study_instance_uid, prepared.header.attributes)
            if stands is None:
                # In one piece: a request that is cancelled is kept or not, and leaves nothing half done.
                stands = await asyncio.to_thread(self._keep, await self._analyser.infer(prepared), data)
        log().info("predicted", id=stands.id, sop_instance_uid=uid, known=known, timings_ms=stands.body["timings_ms"])
        return answer(stands)

    @property
    def card(self) -> dict[str, Any]:
        """The artefact's card, its SHA-256 and the provider in use."""
        artefact, session = self._analyser.artefact, self._analyser.session
        numbers: dict[str, Any] = {"golden": True, "statistics": {"typicality": {"mean", "factor"}}}
        card = artefact.card.model_dump(mode="json", by_alias=True, exclude=numbers)
        return card | {"sha256": artefact.sha256, "provider": session and session.provider}

    async def _start(self) -> None:
        self._waiting_for = "the golden self-test"
        try:
            await asyncio.to_thread(self._retention.sweep)
            await self._analyser.start()
        except Exception as error:
            self.failure = _startup_error(error)
            self._waiting_for = self.failure.message
        else:
            self._waiting_for = ""
            log().info("ready")

    async def _send(self, start: asyncio.Task[None]) -> None:
        """Once objects can be rendered."""
        await asyncio.wait([start])
        await self.sender.run()

    def _keep(self, record: Record, data: bytes) -> Record:
        self._instances.check_room()  # again for each of many files, and for those whose body took long
        watch = Stopwatch(record.body["timings_ms"])
        with watch.stage("store"):
            file = self._instances.put(data)
        kept = replace(record, instance_file=file, instance_bytes=len(data))
        try:
            stands = self._records.save(kept, self.sender.everything)
        except Conflict:  # certain; after any other error the record may stand, and the sweep finds out
            self._instances.delete(file)
            raise
        if stands.instance_file != file:
            self._instances.delete(file)
        return stands


def _check_identity(stands: Record, study: str, attributes: dict[str, str]) -> None:
    """Refuse an image that is known under another study or patient: to acknowledge it would be to lose a correction."""
    told = stands.attributes.get("PatientID")  # records from before revision 0003 have none
    if stands.study_instance_uid != study or told not in (None, attributes.get("PatientID")):
        raise Conflict("(0008,0018) SOPInstanceUID is known already, of another study or patient", "identity_conflict")


def _startup_error(error: Exception) -> StartupError:
    if isinstance(error, StartupError):
        return error
    log().error("the start failed", **describe(error))
    return StartupError(
        f"the start failed: {error.message if isinstance(error, TriageError) else type(error).__name__}"
    )
