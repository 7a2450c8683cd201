"""QIDO-RS: what there is, as DICOM JSON, PS3.18 10.6."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import nullcontext
from typing import Any, TypeVar

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from service.dicom_web.accept import JSON, choose
from service.dicom_web.catalogue import Wanted
from service.dicom_web.dependencies import CatalogueDep
from service.dicom_web.dicom_json import Element, item
from service.dicom_web.module import warning
from service.dicom_web.query import MOST, SERIES, STUDY, Level, query
from service.dicom_web.study import Entry, series
from service.http.auth import needs
from service.http.problems import RESPONSES

_ARRAY: dict[int | str, dict[str, Any]] = {
    200: {"content": {JSON: {"schema": {"type": "array", "items": {"type": "object"}}}}},
    204: {"description": "nothing was found"},
}
router = APIRouter(prefix="/dicom-web", tags=["DICOMweb"], dependencies=[needs("read")], responses=RESPONSES | _ARRAY)

Found = TypeVar("Found")
Search = Callable[[Wanted], Awaitable[list[Found]]]
Value = str | int | Sequence[str]

MORE = "There are additional results that can be requested."  # PS3.18 10.6.3.1
_OF_STUDY = (*STUDY, "PatientAge")
_OF_INSTANCE = ("SOPClassUID", "SOPInstanceUID", "InstanceNumber", "Rows", "Columns", "BitsAllocated")


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


@router.get("/studies/{study}/series/{of_series}/instances", response_class=JSONResponse)
async def search_instances_of_series(study: str, of_series: str, request: Request, catalogue: CatalogueDep) -> Response:
    """Search for instances of a series (QIDO-RS)."""
    of = {"StudyInstanceUID": study, "SeriesInstanceUID": of_series}
    return await _answer(request, "instance", of, catalogue.instances, _instance)


async def _answer(
    request: Request, level: Level, of: dict[str, str], search: Search[Found], tell: Callable[[Found], "Told"]
) -> Response:
    media_type = choose(request, (JSON, "application/json"))
    asked = query(request.query_params, level, of)
    # A search below the level of studies may read all of them.
    with nullcontext() if level == "study" else request.app.state.catalogue.admitted():
        found = await search(asked.wanted)
    base = f"{str(request.base_url).rstrip('/')}/dicom-web"
    warnings = [*asked.warnings, *((MORE,) if len(found) == MOST else ())]
    answer = (
        JSONResponse([tell(one).item(base) for one in found], media_type=media_type)
        if found
        else Response(status_code=204)
    )
    for text in warnings:
        answer.headers.append("Warning", warning(text))
    return answer


class Told(list[tuple[str, Value]]):
    """Attributes of one result; the last is where it can be retrieved, below the base."""

    def item(self, base: str) -> dict[str, Element]:
        """As one object of the answer."""
        *attributes, (_, path) = self
        common = [("SpecificCharacterSet", "ISO_IR 192"), ("InstanceAvailability", "ONLINE")]  # JSON is UTF-8
        return item([*attributes, *common, ("RetrieveURL", f"{base}/{path}")])


def _study(of: tuple[Entry, ...]) -> Told:
    first = of[0]
    return Told(
        [
            *_told(first, _OF_STUDY),
            ("ModalitiesInStudy", sorted({entry.attributes.get("Modality", "") for entry in of} - {""})),
            ("NumberOfStudyRelatedSeries", len(series(of))),
            ("NumberOfStudyRelatedInstances", len(of)),
            ("RetrieveURL", f"studies/{first.record.study_instance_uid}"),
        ]
    )


def _series(of: tuple[Entry, ...]) -> Told:
    first = of[0]
    return Told(
        [
            *_told(first, (*_OF_STUDY, *SERIES, "Manufacturer")),
            ("NumberOfSeriesRelatedInstances", len(of)),
            ("RetrieveURL", f"studies/{first.record.study_instance_uid}/series/{first.series}"),
        ]
    )


def _instance(entry: Entry) -> Told:
    path = f"studies/{entry.record.study_instance_uid}/series/{entry.series}/instances/{entry.instance}"
    return Told([*_told(entry, (*_OF_STUDY, *SERIES, *_OF_INSTANCE)), ("RetrieveURL", path)])


def _told(entry: Entry, keywords: Sequence[str]) -> Iterator[tuple[str, Value]]:
    yield from ((keyword, entry.attributes.get(keyword, "")) for keyword in keywords if keyword != "ModalitiesInStudy")
