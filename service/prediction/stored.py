"""Access of the interfaces to stored predictions: read, list, draw, render and delete."""

import asyncio

from service.dicom.unwindowed import Unwindowed
from service.objects.drawing import Drawing
from service.objects.kinds import Kind
from service.prediction.predictor import Predictor
from service.storage.instances import Instances
from service.storage.record import Record, Summary
from service.storage.records import Records


class StoredPredictions:
    """Records and their instances. Blocking work runs in threads, drawing in decoder processes."""

    def __init__(self, records: Records, instances: Instances, predictor: Predictor) -> None:
        self._records, self._instances, self._predictor = records, instances, predictor

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
        """Delete a record, and its instance unless another record uses it.

        Raises
        ------
        NotFound
        """
        await asyncio.to_thread(self._delete, id)

    async def draw(self, record: Record, drawing: Drawing) -> bytes:
        """Draw a PNG of a record over the display values of its instance.

        Raises
        ------
        NotFound, InvalidRequest, InputError
        """
        return await self._predictor.draw(record, await self.instance(record), drawing)

    async def render(self, record: Record, kind: Kind) -> bytes:
        """Render an object from a record and its instance.

        Raises
        ------
        NotFound, InputError
        """
        return await self._predictor.render(record, await self.instance(record), kind)

    async def unwindowed(self, record: Summary) -> Unwindowed:
        """Return the values of a record's radiograph before the window.

        Raises
        ------
        NotFound, InputError
        """
        return await self._predictor.unwindowed(await self.instance(record))

    async def instance(self, record: Summary) -> bytes:
        """Return the DICOM file of a record, as it was received.

        Raises
        ------
        NotFound
        """
        return await asyncio.to_thread(self._instances.get, record.instance_file)

    def _delete(self, id: str) -> None:
        file = self._records.delete(id)
        if file is not None:
            self._instances.delete(file)
