"""From the bytes of a file to an unsaved record: decoder processes, the network and the triage rule."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, TypeVar

from service.dicom.unwindowed import Unwindowed
from service.errors import ConfigurationError, InputError, Overloaded, TooLarge
from service.inference.batcher import Batcher
from service.inference.session import Session, proven_session
from service.objects.drawing import Drawing, draw
from service.objects.kinds import Kind, Presentation
from service.objects.render import render
from service.prediction.cage import Report
from service.prediction.decoder_settings import decoder_count, decoders
from service.prediction.decoders import Decoders, File
from service.prediction.interpreter import Interpreter
from service.prediction.jobs import Prepared
from service.settings import Settings
from service.storage.record import Record
from service.telemetry import log
from service.traces import stages

T = TypeVar("T")


class Predictor:
    """Decoder processes and the network; stores nothing.

    Raises
    ------
    ArtefactError, ConfigurationError
        As `Interpreter`.

    Attributes
    ----------
    rule
        The triage rule in force.
    presentation
        What is shown of a prediction.
    cage
        What confines the decoder processes, once they are started.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.presentation = Presentation(settings.triage.presentation)
        self._interpreter = Interpreter(settings)
        self.artefact, self.rule = self._interpreter.artefact, self._interpreter.rule
        self._decoders: Decoders | None = None
        self._batcher: Batcher | None = None
        self.session: Session | None = None
        self.cage = Report()

    @property
    def waiting(self) -> int:
        """Number of canvases that wait for the network."""
        return 0 if self._batcher is None else self._batcher.waiting

    @property
    def decoders(self) -> Decoders:
        """The decoder processes.

        Raises
        ------
        Overloaded
            `not_ready`: they are not started yet.
        """
        return _started(self._decoders)

    @property
    def card(self) -> dict[str, Any]:
        """The artefact's card without its long vectors, with its SHA-256 and the provider in use."""
        vectors: dict[str, Any] = {"golden": True, "statistics": {"typicality": {"mean", "factor"}}}
        card = self.artefact.card.model_dump(mode="json", by_alias=True, exclude=vectors)
        return card | {"sha256": self.artefact.sha256, "provider": self.session and self.session.provider}

    async def start(self) -> Session:
        """Start the processes, make the session on the provider and check it against the golden outputs.

        Raises
        ------
        ArtefactError, ConfigurationError
        """
        self._decoders, workers = decoders(self._settings), decoder_count(self._settings.limits)
        checks = asyncio.gather(*(self._check_decoder() for _ in range(workers)))
        session, _ = await asyncio.gather(
            asyncio.to_thread(proven_session, self.artefact, self._settings.runtime), checks
        )
        self.cage = await self._decoders.report()
        if self.cage.missing:
            log().warning("the cage of the decoder processes is incomplete", missing=list(self.cage.missing))
        self._batcher = Batcher(session, self._settings.runtime.max_batch)
        self._batcher.start()
        self.session = session
        return session

    async def close(self) -> None:
        """Stop the network's thread and the processes."""
        if self._batcher is not None:
            await self._batcher.close()
        if self._decoders is not None:
            await asyncio.to_thread(self._decoders.close)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Session]:
        """Start, and close at the end."""
        try:
            yield await self.start()
        finally:
            await self.close()

    @property
    def max_file_bytes(self) -> int:
        """Limit on the bytes of a file."""
        return self._settings.limits.max_file_bytes

    def check_size(self, size: int) -> None:
        """Refuse a file of more bytes than the limit.

        Raises
        ------
        TooLarge
        """
        if size > self.max_file_bytes:
            raise TooLarge(f"expected a file of at most {self.max_file_bytes} bytes, got {size}", "file_too_large")

    async def prepare(self, file: File) -> Prepared:
        """Read, accept and decode a file.

        Raises
        ------
        InputError
        """
        if isinstance(file, bytes):
            self.check_size(len(file))
        rule = self.artefact.card.preprocessing
        prepared = await self.decoders.prepare(file, rule.canvas_size, rule.resize)
        stages(prepared.header.timings_ms)
        return prepared

    async def infer(self, prepared: Prepared) -> Record:
        """Run the network and return an unsaved record, which names no file yet.

        Raises
        ------
        InferenceFailed
        """
        outputs, queue_ms, infer_ms = await _started(self._batcher).predict(prepared.canvas)
        network_ms = {"queue": queue_ms, "infer": infer_ms}
        stages(network_ms)
        timings_ms = prepared.header.timings_ms | network_ms
        return self._interpreter.record(prepared.header, outputs, timings_ms)

    async def draw(self, record: Record, file: File, drawing: Drawing) -> bytes:
        """Draw a PNG of a record over the display values of its file.

        Raises
        ------
        NotFound, InvalidRequest, InputError
        """
        return await self.decoders.render(file, draw(record, drawing))

    async def render(self, record: Record, file: File, kind: Kind) -> bytes:
        """Render an object for other systems from a record and the data set of its file.

        Raises
        ------
        InputError
        """
        make = partial(render, kind=kind, record=record, presentation=self.presentation)
        return await self.decoders.derive(file, make)

    async def unwindowed(self, file: File) -> Unwindowed:
        """Return a file's values before the window; raises as `prepare`."""
        return await self.decoders.unwindowed(file)

    async def examine(self, file: File, function: Callable[..., T], other: File | None = None) -> T:
        """Apply a function to a file, or to two, in a decoder process; raises as `prepare`."""
        return await self.decoders.examine(file, function, other)

    async def _check_decoder(self) -> None:
        """Start a decoder process and check that it can work within its limits."""
        try:
            await self.prepare(b"")
        except (InputError, Overloaded) as error:
            if error.code in ("decoder_failed", "decoder_unavailable"):
                raise ConfigurationError(
                    "the decoder processes end at start-up; TRIAGE_LIMITS__DECODE_MEMORY_BYTES may be too small"
                ) from None


def _started(part: T | None) -> T:
    if part is None:
        raise Overloaded("not ready: still starting", "not_ready")
    return part
