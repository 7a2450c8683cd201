"""Queries for studies, series and instances, and access to their files one at a time."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TypeVar

from pydicom.uid import ExplicitVRLittleEndian

from service.dicom.bulk_data import bulk_data
from service.dicom.frames import Frames, frames_in
from service.dicom.metadata import metadata, resolved
from service.dicom.picture import Look, picture
from service.dicom.reader import Bounds, Part10, part10
from service.dicom.transcode import compressed, native
from service.dicom_web.study import Entry, by_series, derived_kinds, entries
from service.errors import NotAcceptable, NotFound
from service.prediction.decoders import File
from service.prediction.pipeline import Pipeline
from service.storage.criteria import Criterion, OneOf
from service.storage.studies import Studies

Item = TypeVar("Item")


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

    Attributes
    ----------
    admitted, places
        As those of the pipeline.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        self._studies = Studies(pipeline.database)
        self._stored, self._predictor = pipeline.stored, pipeline.predictor
        self.admitted, self.places = pipeline.admitted, pipeline.places
        self._presentation = pipeline.stored.presentation

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
            for entry in entries(records, self._presentation)
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
            data = await self._stored.render(entry.record, entry.kind)
        return await asyncio.to_thread(part10, data, Bounds(max_file_bytes=len(data)))

    async def transcoded(self, file: Part10, transfer_syntax: str) -> Part10:
        """Return a file in a transfer syntax: its own, Explicit VR Little Endian, or a compressed one.

        Raises
        ------
        InputError
        """
        if transfer_syntax == file.transfer_syntax:
            return file
        if transfer_syntax == ExplicitVRLittleEndian:
            data = await self._predictor.examine(file.data, native)
        else:
            data = await self._predictor.examine(file.data, partial(compressed, transfer_syntax=transfer_syntax))
        return Part10(data, transfer_syntax)

    async def metadata(self, entry: Entry, url: str) -> str:
        """Return the data set of an entry in the DICOM JSON model, with URIs in place of bulk data.

        Parameters
        ----------
        url
            Absolute URL of the instance, without a trailing slash.

        Raises
        ------
        NotFound, InputError
        """

        async def make() -> bytes:
            return (await self._predictor.examine(await self._source(entry), metadata)).encode()

        part = entry.kind and self._presentation.part(entry.kind, entry.record.revision)
        name = f"{part}-metadata" if part else "metadata"
        return resolved((await self._stored.kept(entry.record.id, name, make)).decode(), url)

    async def frames(self, file: Part10, numbers: Sequence[int], transfer_syntax: str) -> Frames:
        """Return frames of a file, numbered from 1, in a transfer syntax; all frames without a number.

        Raises
        ------
        NotFound, InputError
        """
        function = partial(frames_in, numbers=tuple(numbers), transfer_syntax=transfer_syntax)
        return await self._predictor.examine(file.data, function)

    async def bulk_data(self, entry: Entry, path: str) -> bytes:
        """Return a binary value of an entry by its path, as in its metadata.

        Raises
        ------
        NotFound, InputError
        """
        return await self._predictor.examine(await self._source(entry), partial(bulk_data, path=path))

    async def picture(self, entry: Entry, look: Look) -> bytes:
        """Draw an entry: a radiograph or a secondary capture.

        Raises
        ------
        NotFound, NotAcceptable, InputError
        """
        if not entry.is_picture:
            raise NotAcceptable(
                "this object cannot be rendered; the secondary capture shows its content", "not_rendered"
            )
        return await self._predictor.examine(await self._source(entry), partial(picture, look=look))

    async def _source(self, entry: Entry) -> File:
        """Return what a decoder process reads: the file of a radiograph, or the bytes of a derived object."""
        if entry.kind is None:
            return await self._stored.file(entry.record)
        return (await self.file(entry)).data

    def _find_studies(self, search: Search) -> list[tuple[Entry, ...]]:
        uids = self._studies.find(self._database_criteria(search.study_criteria), search.limit, search.offset)
        return [entries(records, self._presentation) for records in self._studies.records(uids)]

    def _find_series(self, search: Search) -> list[tuple[Entry, ...]]:
        grouped = (group for study in self._matching_studies(search) for group in by_series(study))
        return _page((group for group in grouped if _matches(group, search)), search)

    def _find_instances(self, search: Search) -> list[Entry]:
        listed = (entry for study in self._matching_studies(search) for entry in study)
        return _page((entry for entry in listed if _matches((entry,), search)), search)

    def _matching_studies(self, search: Search) -> Iterator[tuple[Entry, ...]]:
        for records in self._studies.all(self._database_criteria(search.study_criteria)):
            yield entries(records, self._presentation)

    def _database_criteria(self, criteria: Sequence[Criterion]) -> tuple[Criterion, ...]:
        """Replace ModalitiesInStudy, which no column holds; every study has the modality of each derived object."""
        derived = {kind.form.modality for kind in derived_kinds(self._presentation)}
        translated: list[Criterion] = []
        for criterion in criteria:
            if criterion.keyword != "ModalitiesInStudy":
                translated.append(criterion)
            elif isinstance(criterion, OneOf) and not derived & set(criterion.values):
                translated.append(OneOf("Modality", criterion.values))
        return tuple(translated)


def _matches(entries: Sequence[Entry], search: Search) -> bool:
    """Whether one of the entries, with one of its requests, fulfils every criterion for instances."""
    return any(
        all(criterion.holds(attributes.get(criterion.keyword, "")) for criterion in search.instance_criteria)
        for entry in entries
        for attributes in ({**entry.attributes, **request} for request in entry.requests or ({},))
    )


def _page(results: Iterator[Item], search: Search) -> list[Item]:
    return [*islice(results, search.offset, search.offset + search.limit)]
