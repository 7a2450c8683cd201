"""QIDO-RS: search for studies, series and instances, PS3.18 10.6."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import nullcontext
from typing import Any, TypeVar

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from service.dicom_web.accept import JSON, choose
from service.dicom_web.catalogue import Search
from service.dicom_web.dependencies import CatalogueDep
from service.dicom_web.dicom_json import Element, item
from service.dicom_web.query import MAX_RESULTS, SERIES, STUDY, Level, query
from service.dicom_web.response_module import warning
from service.dicom_web.study import Entry, by_series
from service.dicom_web.urls import root
from service.http.auth import needs
from service.http.problems import RESPONSES

_ARRAY: dict[int | str, dict[str, Any]] = {
    200: {"content": {JSON: {"schema": {"type": "array", "items": {"type": "object"}}}}},
    204: {"description": "no results"},
}
router = APIRouter(prefix="/dicom-web", tags=["DICOMweb"], dependencies=[needs("read")], responses=RESPONSES | _ARRAY)

Result = TypeVar("Result")
Find = Callable[[Search], Awaitable[list[Result]]]
Value = str | int | Sequence[str]

MORE = "There are additional results that can be requested."  # PS3.18 10.6.3.1
_STUDY_KEYWORDS = (*STUDY, "PatientAge")
_INSTANCE_KEYWORDS = ("SOPClassUID", "SOPInstanceUID", "InstanceNumber", "Rows", "Columns", "BitsAllocated")


@router.get("/studies", response_class=JSONResponse)
async def search_studies(request: Request, catalogue: CatalogueDep) -> Response:
    """Search for studies (QIDO-RS)."""
    return await _answer(request, "study", {}, catalogue.studies, _study)


@router.get("/series", response_class=JSONResponse)
async def search_series(request: Request, catalogue: CatalogueDep) -> Response:
    """Search for series (QIDO-RS)."""
    return await _answer(request, "series", {}, catalogue.series, _series)


@router.get("/studies/{study}/series", response_class=JSONResponse)
async def search_series_of_study(study: str, request: Request, catalogue: CatalogueDep) -> Response:
    """Search for series of a study (QIDO-RS)."""
    return await _answer(request, "series", {"StudyInstanceUID": study}, catalogue.series, _series)


@router.get("/instances", response_class=JSONResponse)
async def search_instances(request: Request, catalogue: CatalogueDep) -> Response:
    """Search for instances (QIDO-RS)."""
    return await _answer(request, "instance", {}, catalogue.instances, _instance)


@router.get("/studies/{study}/instances", response_class=JSONResponse)
async def search_instances_of_study(study: str, request: Request, catalogue: CatalogueDep) -> Response:
    """Search for instances of a study (QIDO-RS)."""
    return await _answer(request, "instance", {"StudyInstanceUID": study}, catalogue.instances, _instance)


@router.get("/studies/{study}/series/{series}/instances", response_class=JSONResponse)
async def search_instances_series(study: str, series: str, request: Request, catalogue: CatalogueDep) -> Response:
    """Search for instances of a series (QIDO-RS)."""
    fixed = {"StudyInstanceUID": study, "SeriesInstanceUID": series}
    return await _answer(request, "instance", fixed, catalogue.instances, _instance)


async def _answer(
    request: Request,
    level: Level,
    fixed: dict[str, str],
    find: Find[Result],
    describe: Callable[[Result], "Attributes"],
) -> Response:
    media_type = choose(request, (JSON, "application/json"))
    parsed = query(request.query_params, level, fixed)
    # A search for series or instances may read all studies.
    with nullcontext() if level == "study" else request.app.state.catalogue.admitted():
        results = await find(parsed.search)
    base = root(request)
    warnings = [*parsed.warnings, *((MORE,) if len(results) == MAX_RESULTS else ())]
    answer = (
        JSONResponse([describe(result).item(base) for result in results], media_type=media_type)
        if results
        else Response(status_code=204)
    )
    for text in warnings:
        answer.headers.append("Warning", warning(text))
    return answer


class Attributes(list[tuple[str, Value]]):
    """Attributes of one result; the last is its Retrieve URL, relative to the base URL."""

    def item(self, base: str) -> dict[str, Element]:
        """Return the attributes as an object of the answer."""
        *attributes, (_, path) = self
        common = [("SpecificCharacterSet", "ISO_IR 192"), ("InstanceAvailability", "ONLINE")]  # JSON is UTF-8
        return item([*attributes, *common, ("RetrieveURL", f"{base}/{path}")])


def _study(entries: tuple[Entry, ...]) -> Attributes:
    first = entries[0]
    return Attributes(
        [
            *_values(first, _STUDY_KEYWORDS),
            ("ModalitiesInStudy", sorted({entry.attributes.get("Modality", "") for entry in entries} - {""})),
            ("NumberOfStudyRelatedSeries", len(by_series(entries))),
            ("NumberOfStudyRelatedInstances", len(entries)),
            ("RetrieveURL", f"studies/{first.record.study_instance_uid}"),
        ]
    )


def _series(entries: tuple[Entry, ...]) -> Attributes:
    first = entries[0]
    return Attributes(
        [
            *_values(first, (*_STUDY_KEYWORDS, *SERIES, "Manufacturer")),
            ("NumberOfSeriesRelatedInstances", len(entries)),
            ("RetrieveURL", f"studies/{first.record.study_instance_uid}/series/{first.series}"),
        ]
    )


def _instance(entry: Entry) -> Attributes:
    return Attributes([*_values(entry, (*_STUDY_KEYWORDS, *SERIES, *_INSTANCE_KEYWORDS)), ("RetrieveURL", entry.path)])


def _values(entry: Entry, keywords: Sequence[str]) -> Iterator[tuple[str, Value]]:
    yield from ((keyword, entry.attributes.get(keyword, "")) for keyword in keywords if keyword != "ModalitiesInStudy")
