"""Studies, series and instances asked for: what there is, and the files of it, one at a time."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TypeVar

from service.dicom.frames import Frames, frames
from service.dicom.metadata import metadata
from service.dicom.picture import Look, picture
from service.dicom.reader import Bounds, Part10, part10
from service.dicom_web.study import MADE, Entry, entries, series
from service.errors import NotAcceptable, NotFound
from service.objects.kinds import Kind
from service.prediction.pipeline import Pipeline
from service.storage.criteria import Criterion, OneOf
from service.storage.studies import Studies

Item = TypeVar("Item")

_PICTURES = (None, Kind.SECONDARY_CAPTURE)
_WITHOUT_PIXELS = (Kind.SR, Kind.PRESENTATION_STATE)
_AT_ONCE = 100  # studies of one query to the database
_EVERY = 2**31 - 1


@dataclass(frozen=True)
class Wanted:
    """A query: what study and instance must fulfil, and which page of what does."""

    of_study: tuple[Criterion, ...] = ()
    of_instance: tuple[Criterion, ...] = ()
    limit: int = 1000
    offset: int = 0


class Catalogue:
    """What is stored and what is made of it, as DICOM orders it. Blocking work is done in threads and processes."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._studies = Studies(pipeline.database)
        self._stored, self._predictor = pipeline.stored, pipeline.predictor
        self.admitted = pipeline.admitted

    async def studies(self, wanted: Wanted) -> list[tuple[Entry, ...]]:
        """Find studies, each with all its entries."""
        return await asyncio.to_thread(self._find_studies, wanted)

    async def series(self, wanted: Wanted) -> list[tuple[Entry, ...]]:
        """Find series that have an instance which fulfils every criterion, each with all its entries."""
        return await asyncio.to_thread(
            lambda: _page((one for study in self._each(wanted) for one in series(study) if _holds(one, wanted)), wanted)
        )

    async def instances(self, wanted: Wanted) -> list[Entry]:
        """Find instances."""
        return await asyncio.to_thread(
            lambda: _page((one for study in self._each(wanted) for one in study if _holds((one,), wanted)), wanted)
        )

    async def within(self, study: str, series: str | None = None, instance: str | None = None) -> tuple[Entry, ...]:
        """List the entries of a study, a series or an instance.

        Raises
        ------
        NotFound
        """
        found = await asyncio.to_thread(self._studies.records, [study])
        listed = tuple(
            entry
            for records in found
            for entry in entries(records)
            if series in (None, entry.series) and instance in (None, entry.instance)
        )
        if not listed:
            raise NotFound("no such study, series or instance")
        return listed

    async def file(self, entry: Entry) -> Part10:
        """Give the file of an entry: as it was sent, or made.

        Raises
        ------
        NotFound, InputError
        """
        if entry.kind is None:
            data = await self._stored.instance(entry.record)
        else:
            data = await self._stored.render(await self._stored.get(entry.record.id), entry.kind)
        return await asyncio.to_thread(part10, data, Bounds(max_file_bytes=len(data)))

    async def metadata(self, entry: Entry) -> str:
        """Give the data set of an entry in the DICOM JSON model, without bulk data.

        Raises
        ------
        NotFound, InputError
        """
        return await self._predictor.examine((await self.file(entry)).data, metadata)

    async def frames(self, entry: Entry, numbers: Sequence[int]) -> Frames:
        """Give frames of an entry, counted from 1, as they are encoded in its file.

        Raises
        ------
        NotFound, InputError
        """
        if entry.kind in _WITHOUT_PIXELS:
            raise NotFound("the instance has no frames", "no_frames")
        return await self._predictor.examine((await self.file(entry)).data, partial(frames, numbers=tuple(numbers)))

    async def picture(self, entry: Entry, look: Look) -> bytes:
        """Draw an entry: a radiograph, or a picture made of one.

        Raises
        ------
        NotFound, NotAcceptable, InputError
        """
        if entry.kind not in _PICTURES:
            raise NotAcceptable("of this object there is no picture; its secondary capture shows it", "not_rendered")
        return await self._predictor.examine((await self.file(entry)).data, partial(picture, look=look))

    def _find_studies(self, wanted: Wanted) -> list[tuple[Entry, ...]]:
        uids = self._studies.find(_in_database(wanted.of_study), wanted.limit, wanted.offset)
        return [entries(records) for records in self._studies.records(uids)]

    def _each(self, wanted: Wanted) -> Iterator[tuple[Entry, ...]]:
        uids = self._studies.find(_in_database(wanted.of_study), _EVERY, 0)  # at one moment: none comes twice
        for start in range(0, len(uids), _AT_ONCE):
            for records in self._studies.records(uids[start : start + _AT_ONCE]):
                yield entries(records)


def _in_database(criteria: Sequence[Criterion]) -> tuple[Criterion, ...]:
    """Turn ModalitiesInStudy to what a column holds; of what is made, every study has each modality."""
    found: list[Criterion] = []
    for one in criteria:
        if one.keyword != "ModalitiesInStudy":
            found.append(one)
        elif isinstance(one, OneOf) and not MADE & set(one.values):
            found.append(OneOf("Modality", one.values))
    return tuple(found)


def _holds(of: Sequence[Entry], wanted: Wanted) -> bool:
    return any(all(one.holds(entry.attributes.get(one.keyword, "")) for one in wanted.of_instance) for entry in of)


def _page(found: Iterator[Item], wanted: Wanted) -> list[Item]:
    return [*islice(found, wanted.offset, wanted.offset + wanted.limit)]
