"""Queries for studies, series and instances, and access to their files one at a time."""

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
from service.dicom_web.study import DERIVED_MODALITIES, Entry, by_series, entries
from service.errors import NotAcceptable, NotFound
from service.objects.kinds import Kind
from service.prediction.pipeline import Pipeline
from service.storage.criteria import Criterion, OneOf
from service.storage.studies import Studies

Item = TypeVar("Item")

_PICTURES = (None, Kind.SECONDARY_CAPTURE)
_WITHOUT_PIXELS = (Kind.SR, Kind.PRESENTATION_STATE)
_BATCH = 100  # studies in one database query
_NO_LIMIT = 2**31 - 1


@dataclass(frozen=True)
class Search:
    """Criteria for studies and for instances, and the page of the results."""

    study_criteria: tuple[Criterion, ...] = ()
    instance_criteria: tuple[Criterion, ...] = ()
    limit: int = 1000
    offset: int = 0


class Catalogue:
    """Stored radiographs and the objects derived from them, by study, series and instance.

    Blocking work runs in threads and processes.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        self._studies = Studies(pipeline.database)
        self._stored, self._predictor = pipeline.stored, pipeline.predictor
        self.admitted = pipeline.admitted

    async def studies(self, search: Search) -> list[tuple[Entry, ...]]:
        """Return the studies that match, each with all its entries."""
        return await asyncio.to_thread(self._find_studies, search)

    async def series(self, search: Search) -> list[tuple[Entry, ...]]:
        """Return the series with an instance that matches, each with all its entries."""
        return await asyncio.to_thread(self._find_series, search)

    async def instances(self, search: Search) -> list[Entry]:
        """Return the instances that match."""
        return await asyncio.to_thread(self._find_instances, search)

    async def within(self, study: str, series: str | None = None, instance: str | None = None) -> tuple[Entry, ...]:
        """Return the entries of a study, a series or an instance.

        Raises
        ------
        NotFound
        """
        studies = await asyncio.to_thread(self._studies.records, [study])
        selected = tuple(
            entry
            for records in studies
            for entry in entries(records)
            if series in (None, entry.series) and instance in (None, entry.instance)
        )
        if not selected:
            raise NotFound("no such study, series or instance")
        return selected

    async def file(self, entry: Entry) -> Part10:
        """Return the file of an entry: the stored radiograph or a derived object.

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
        """Return the data set of an entry in the DICOM JSON model, without bulk data.

        Raises
        ------
        NotFound, InputError
        """
        return await self._predictor.examine((await self.file(entry)).data, metadata)

    async def frames(self, entry: Entry, numbers: Sequence[int]) -> Frames:
        """Return frames of an entry, numbered from 1, as they are encoded in its file.

        Raises
        ------
        NotFound, InputError
        """
        if entry.kind in _WITHOUT_PIXELS:
            raise NotFound("the instance has no frames", "no_frames")
        return await self._predictor.examine((await self.file(entry)).data, partial(frames, numbers=tuple(numbers)))

    async def picture(self, entry: Entry, look: Look) -> bytes:
        """Draw an entry: a radiograph or a secondary capture.

        Raises
        ------
        NotFound, NotAcceptable, InputError
        """
        if entry.kind not in _PICTURES:
            raise NotAcceptable(
                "this object cannot be rendered; the secondary capture shows its content", "not_rendered"
            )
        return await self._predictor.examine((await self.file(entry)).data, partial(picture, look=look))

    def _find_studies(self, search: Search) -> list[tuple[Entry, ...]]:
        uids = self._studies.find(_database_criteria(search.study_criteria), search.limit, search.offset)
        return [entries(records) for records in self._studies.records(uids)]

    def _find_series(self, search: Search) -> list[tuple[Entry, ...]]:
        grouped = (group for study in self._matching_studies(search) for group in by_series(study))
        return _page((group for group in grouped if _matches(group, search)), search)

    def _find_instances(self, search: Search) -> list[Entry]:
        listed = (entry for study in self._matching_studies(search) for entry in study)
        return _page((entry for entry in listed if _matches((entry,), search)), search)

    def _matching_studies(self, search: Search) -> Iterator[tuple[Entry, ...]]:
        # The UIDs are read at one moment, so that no study is returned twice.
        uids = self._studies.find(_database_criteria(search.study_criteria), _NO_LIMIT, 0)
        for start in range(0, len(uids), _BATCH):
            for records in self._studies.records(uids[start : start + _BATCH]):
                yield entries(records)


def _database_criteria(criteria: Sequence[Criterion]) -> tuple[Criterion, ...]:
    """Replace ModalitiesInStudy, which no column holds; every study has the modality of each derived object."""
    translated: list[Criterion] = []
    for criterion in criteria:
        if criterion.keyword != "ModalitiesInStudy":
            translated.append(criterion)
        elif isinstance(criterion, OneOf) and not DERIVED_MODALITIES & set(criterion.values):
            translated.append(OneOf("Modality", criterion.values))
    return tuple(translated)


def _matches(entries: Sequence[Entry], search: Search) -> bool:
    """Whether one of the entries fulfils every criterion for instances."""
    return any(
        all(criterion.holds(entry.attributes.get(criterion.keyword, "")) for criterion in search.instance_criteria)
        for entry in entries
    )


def _page(results: Iterator[Item], search: Search) -> list[Item]:
    return [*islice(results, search.offset, search.offset + search.limit)]
