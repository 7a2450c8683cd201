"""What was answered, asked for again: records, their pictures, and their end."""

import asyncio
from typing import Any

from service.dicom.unwindowed import Unwindowed
from service.http.documents import Answer, answer, maps
from service.objects.kinds import Kind
from service.objects.rendering import Drawing
from service.prediction.predictor import Analyser
from service.storage.instances import Instances
from service.storage.records import Records


class Archive:
    """Records and the files they are of; blocking work is done in threads, drawing in the analyser's processes."""

    def __init__(self, records: Records, instances: Instances, analyser: Analyser) -> None:
        self._records, self._instances, self._analyser = records, instances, analyser

    async def get(self, id: str) -> Answer:
        """Give a record again.

        Raises
        ------
        NotFound
        """
        return answer(await asyncio.to_thread(self._records.get, id))

    async def list(self, limit: int, cursor: str | None) -> tuple[list[Answer], str | None]:
        """Give a page, newest first, and the cursor of the next.

        Raises
        ------
        InvalidRequest
        """
        page, following = await asyncio.to_thread(self._records.list, limit, cursor)
        return [answer(record) for record in page], following

    async def delete(self, id: str) -> None:
        """Remove a record, and the instance if no other record uses it.

        Raises
        ------
        NotFound
        """
        await asyncio.to_thread(self._delete, id)

    async def draw(self, id: str, drawing: Drawing) -> bytes:
        """Draw a PNG from the record and the instance.

        Raises
        ------
        NotFound, InvalidRequest, InputError
        """
        record = await asyncio.to_thread(self._records.get, id)
        data = await asyncio.to_thread(self._instances.get, record.instance_file)
        return await self._analyser.draw(record, data, drawing)

    async def render(self, id: str, kind: Kind) -> bytes:
        """Render an object for other systems from the record and the instance.

        Raises
        ------
        NotFound, InputError
        """
        record = await asyncio.to_thread(self._records.get, id)
        data = await asyncio.to_thread(self._instances.get, record.instance_file)
        return await self._analyser.render(record, data, kind)

    async def unwindowed(self, id: str) -> Unwindowed:
        """Give the values of a record's radiograph before the window.

        Raises
        ------
        NotFound, InputError
        """
        record = await asyncio.to_thread(self._records.get, id)
        return await self._analyser.unwindowed(await asyncio.to_thread(self._instances.get, record.instance_file))

    async def maps(self, id: str) -> dict[str, Any]:
        """Give a record's maps as JSON: where on them the image lies, the heat map, and each finding's class map.

        Raises
        ------
        NotFound
        """
        return await asyncio.to_thread(lambda: maps(self._records.get(id)))

    def _delete(self, id: str) -> None:
        file = self._records.delete(id)
        if file is not None:
            self._instances.delete(file)
