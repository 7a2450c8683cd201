"""Access of the interfaces to stored predictions: read, list, draw, render and delete."""

import asyncio
from collections.abc import Awaitable, Callable

from service.dicom.grid import Grid, grid
from service.dicom.unwindowed import Unwindowed
from service.errors import NotFound
from service.objects.drawing import Drawing
from service.objects.kinds import Kind, Presentation
from service.objects.product import VERSION
from service.prediction.decoders import File
from service.prediction.predictor import Predictor
from service.storage.instance_store import InstanceStore, in_thread
from service.storage.object_cache import ObjectCache
from service.storage.record import Record, Summary
from service.storage.records import Records


class StoredPredictions:
    """Records and their instances. Blocking work runs in threads, drawing in decoder processes."""

    def __init__(self, records: Records, instances: InstanceStore, objects: ObjectCache, predictor: Predictor) -> None:
        self._records, self._instances, self._objects, self._predictor = records, instances, objects, predictor
        self._deletions = set[asyncio.Future[None]]()

    @property
    def presentation(self) -> Presentation:
        """What is shown of a prediction."""
        return self._predictor.presentation

    def require(self, kind: Kind | None = None) -> None:
        """Refuse what shows a place in the image, such as an object of a kind, if only the triage is shown.

        Raises
        ------
        NotFound
            `triage_only`
        """
        if not (self.presentation is Presentation.FULL if kind is None else self.presentation.shows(kind)):
            raise NotFound("this service shows priority and findings, but no place in the image", "triage_only")

    async def get(self, id: str) -> Record:
        """Return a record.

        Raises
        ------
        NotFound
        """
        return await asyncio.to_thread(self._records.get, id)

    async def list(self, limit: int, cursor: str | None) -> tuple[tuple[Summary, ...], str | None]:
        """Return a page, newest first, and the cursor of the next page (None after the last).

        Raises
        ------
        InvalidRequest
        """
        return await asyncio.to_thread(self._records.list, limit, cursor)

    async def delete(self, id: str) -> None:
        """Delete a record, and its instance unless another record uses it; it is done even if this is cancelled.

        Raises
        ------
        NotFound
        """
        deletion = asyncio.ensure_future(in_thread(self._instances, self._delete, id))
        self._deletions.add(deletion)
        deletion.add_done_callback(self._deletions.discard)
        await asyncio.shield(deletion)

    async def close(self) -> None:
        """Wait for the deletions of requests that were cancelled, so that no record goes without its instance."""
        await asyncio.gather(*self._deletions, return_exceptions=True)

    async def draw(self, record: Record, drawing: Drawing) -> bytes:
        """Draw a PNG of a record over the display values of its instance.

        Raises
        ------
        NotFound, InvalidRequest, InputError
        """
        return await self._predictor.draw(record, await self.file(record), drawing)

    async def render(self, record: Summary, kind: Kind) -> bytes:
        """Return an object of a record; it is made from the record and its instance unless it is still kept.

        Raises
        ------
        NotFound, InputError
        """
        self.require(kind)

        async def make() -> bytes:
            whole = record if isinstance(record, Record) else await self.get(record.id)
            if whole.revision != record.revision:  # measurements have changed since `record` was read
                raise NotFound("a newer object has taken the place of this one")
            return await self._predictor.render(whole, await self.file(record), kind)

        return await self.kept(record.id, self.presentation.part(kind, record.revision), make)

    async def grid(self, record: Summary) -> Grid:
        """Return the pixel grid of a record's radiograph.

        Raises
        ------
        NotFound, InputError
        """
        return await self._predictor.examine(await self.file(record), grid)

    async def kept(self, id: str, name: str, make: Callable[[], Awaitable[bytes]]) -> bytes:
        """Return what is kept under a name for a record, or make it and keep it, until the product's version changes.

        Raises
        ------
        As `make`.
        """
        name = f"{name}-{VERSION}"
        content = await asyncio.to_thread(self._objects.get, id, name)
        if content is None:
            content = await make()
            await asyncio.to_thread(self._objects.put, id, name, content, self._exists)
        return content

    async def unwindowed(self, record: Summary) -> Unwindowed:
        """Return the values of a record's radiograph before the window.

        Raises
        ------
        NotFound, InputError
        """
        return await self._predictor.unwindowed(await self.file(record))

    async def instance(self, record: Summary) -> bytes:
        """Return the DICOM file of a record, as it was received; one that was fetched from a bucket is kept.

        Raises
        ------
        NotFound, Overloaded
        """

        async def get() -> bytes:
            return await in_thread(self._instances, self._instances.get, record.instance_file)

        on_this_disk = self._instances.path(record.instance_file) is not None
        return await (get() if on_this_disk else self.kept(record.id, "instance", get))

    async def file(self, record: Summary) -> File:
        """Return what a decoder process reads of a record: the path of its DICOM file, which may be gone, or its bytes.

        Raises
        ------
        NotFound, Overloaded
        """
        return self._instances.path(record.instance_file) or await self.instance(record)

    def _exists(self, id: str) -> bool:
        return bool(self._records.known([id]))

    def _delete(self, id: str) -> None:
        file = self._records.delete(id)
        self._objects.delete(id)
        if file is not None:
            self._instances.delete(file)
