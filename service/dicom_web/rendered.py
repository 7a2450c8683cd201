"""WADO-RS: rendered images and thumbnails, PS3.18 10.4.1.1.3 and 10.4.1.1.4."""

import math
from collections.abc import AsyncIterator, Sequence
from typing import Any, Literal

from fastapi import APIRouter, Request
from starlette.datastructures import QueryParams
from starlette.responses import Response

from service.dicom.picture import Look
from service.dicom.window import Window, is_valid
from service.dicom_web.accept import RELATED, choose, matches, ranges
from service.dicom_web.answer import Stream, boundary, end, note_omission, part, validators
from service.dicom_web.catalogue import Catalogue
from service.dicom_web.dependencies import CatalogueDep
from service.dicom_web.frames import frame_numbers
from service.dicom_web.study import Entry
from service.errors import InvalidRequest, NotAcceptable, NotFound, TriageError
from service.http.auth import needs
from service.http.caching import is_fresh
from service.http.problems import RESPONSES

JPEG, PNG = "image/jpeg", "image/png"
_BINARY = {"type": "string", "format": "binary"}
_PICTURE: dict[int | str, dict[str, Any]] = {
    200: {"content": {media_type: {"schema": _BINARY} for media_type in (JPEG, PNG)}},
    304: {},
}
_PICTURES: dict[int | str, dict[str, Any]] = {
    200: {"content": {media_type: {"schema": _BINARY} for media_type in (JPEG, PNG, RELATED)}},
}
router = APIRouter(
    prefix="/dicom-web/studies/{study}",
    tags=["DICOMweb"],
    dependencies=[needs("read")],
    responses=RESPONSES | _PICTURE,
)

_INSTANCE = "/series/{series}/instances/{instance}"
_FUNCTIONS: dict[str, Literal["LINEAR", "LINEAR_EXACT", "SIGMOID"]] = {
    "linear": "LINEAR",
    "linear-exact": "LINEAR_EXACT",
    "sigmoid": "SIGMOID",
}  # PS3.18 8.3.5.1.4
_PARAMETERS = ("accept", "window", "viewport", "quality")
_MAX_SIDE = 8192  # pixels
THUMBNAIL = (128, 128)


@router.get("/rendered", response_class=Response, responses=_PICTURES)
async def rendered_study(study: str, request: Request, catalogue: CatalogueDep) -> Response:
    """Draw the radiographs and overlays of a study, as `rendered` of an instance does; several in one body."""
    return await _pictures(request, catalogue, await catalogue.within(study))


@router.get("/series/{series}/rendered", response_class=Response, responses=_PICTURES)
async def rendered_series(study: str, series: str, request: Request, catalogue: CatalogueDep) -> Response:
    """Draw the instances of a series, as `rendered` of an instance does; several in one multipart body."""
    return await _pictures(request, catalogue, await catalogue.within(study, series))


@router.get(f"{_INSTANCE}/rendered", response_class=Response)
async def rendered(study: str, series: str, instance: str, request: Request, catalogue: CatalogueDep) -> Response:
    """Draw an instance; `window=centre,width,function`, `viewport=width,height`, `quality`."""
    [entry] = await catalogue.within(study, series, instance)
    return await _picture(request, catalogue, entry, None)


@router.get(f"{_INSTANCE}/frames/{{frames}}/rendered", response_class=Response)
async def rendered_frames(
    study: str, series: str, instance: str, frames: str, request: Request, catalogue: CatalogueDep
) -> Response:
    """Draw the only frame of an instance, as `rendered` does."""
    [entry] = await catalogue.within(study, series, instance)
    _check_only_frame(frames)
    return await _picture(request, catalogue, entry, None)


@router.get("/thumbnail", response_class=Response)
async def study_thumbnail(study: str, request: Request, catalogue: CatalogueDep) -> Response:
    """Draw a thumbnail of the first radiograph of a study."""
    return await _picture(request, catalogue, (await catalogue.within(study))[0], THUMBNAIL)


@router.get("/series/{series}/thumbnail", response_class=Response)
async def series_thumbnail(study: str, series: str, request: Request, catalogue: CatalogueDep) -> Response:
    """Draw a thumbnail of the first instance of a series."""
    return await _picture(request, catalogue, (await catalogue.within(study, series))[0], THUMBNAIL)


@router.get(f"{_INSTANCE}/thumbnail", response_class=Response)
async def instance_thumbnail(
    study: str, series: str, instance: str, request: Request, catalogue: CatalogueDep
) -> Response:
    """Draw a thumbnail of an instance."""
    [entry] = await catalogue.within(study, series, instance)
    return await _picture(request, catalogue, entry, THUMBNAIL)


@router.get(f"{_INSTANCE}/frames/{{frames}}/thumbnail", response_class=Response)
async def frames_thumbnail(
    study: str, series: str, instance: str, frames: str, request: Request, catalogue: CatalogueDep
) -> Response:
    """Draw a thumbnail of the only frame of an instance."""
    [entry] = await catalogue.within(study, series, instance)
    _check_only_frame(frames)
    return await _picture(request, catalogue, entry, THUMBNAIL)


async def _picture(request: Request, catalogue: Catalogue, entry: Entry, size: tuple[int, int] | None) -> Response:
    media_type = choose(request, (JPEG, PNG))
    look = _look(request.query_params, media_type, size)
    headers = validators(request, [entry])
    if is_fresh(request, headers):
        return Response(status_code=304, headers=headers)
    with catalogue.admitted():
        return Response(await catalogue.picture(entry, look), media_type=media_type, headers=headers)


async def _pictures(request: Request, catalogue: Catalogue, entries: Sequence[Entry]) -> Response:
    shown = [entry for entry in entries if entry.is_picture]
    if len(shown) < 2:  # the only picture; or any instance, as none can be drawn
        return await _picture(request, catalogue, (*shown, *entries)[0], None)
    media_type = _part_type(request)
    look = _look(request.query_params, media_type, None)
    headers = validators(request, shown)
    if is_fresh(request, headers):
        return Response(status_code=304, headers=headers)
    limit = boundary(headers)

    async def parts() -> AsyncIterator[bytes]:
        for entry in shown:
            try:
                drawn = await catalogue.picture(entry, look)
            except TriageError as error:
                note_omission(entry, error)
                continue
            yield part(limit, media_type, drawn)
        yield end(limit)

    return Stream(catalogue, parts(), f'{RELATED}; type="{media_type}"; boundary={limit}', headers)


def _part_type(request: Request) -> str:
    for accept in ranges(request):
        for media_type in (JPEG, PNG):
            if accept.accepts(RELATED) and matches(media_type, accept.type or "*/*"):
                return media_type
    raise NotAcceptable(f'Accept: there are several pictures; available is {RELATED}; type="{JPEG}" or "{PNG}"')


def _check_only_frame(frames: str) -> None:
    if set(frame_numbers(frames)) != {1}:
        raise NotFound("an instance that can be drawn has one frame", "no_such_frame")


def _look(parameters: QueryParams, media_type: str, size: tuple[int, int] | None) -> Look:
    unknown = set(parameters) - {*_PARAMETERS}
    if unknown:  # including `annotation`: no text is burned in
        raise InvalidRequest(f"expected only the parameters {', '.join(_PARAMETERS)}", "unknown_parameter")
    quality = int(_numbers("quality", parameters.get("quality", "90"), 1)[0])
    if not 1 <= quality <= 100:
        raise InvalidRequest("quality must be 1 to 100", "invalid_value")
    viewport = _viewport(parameters["viewport"]) if "viewport" in parameters else size
    form: Literal["JPEG", "PNG"] = "PNG" if media_type == PNG else "JPEG"
    return Look(form, _window(parameters["window"]) if "window" in parameters else None, viewport, quality)


def _window(value: str) -> Window:
    *numbers, function = value.split(",")
    centre, width = _numbers("window", ",".join(numbers), 2)
    name = _FUNCTIONS.get(function.lower())
    if name is None or not is_valid(Window(centre, width, name)):
        raise InvalidRequest(f"window: expected centre, width and one of {', '.join(_FUNCTIONS)}", "invalid_value")
    return Window(centre, width, name)


def _viewport(value: str) -> tuple[int, int]:
    width, height = _numbers("viewport", value, 2)
    if not (1 <= width <= _MAX_SIDE and 1 <= height <= _MAX_SIDE):
        raise InvalidRequest(f"viewport: expected width and height of 1 to {_MAX_SIDE}", "invalid_value")
    return int(width), int(height)


def _numbers(name: str, value: str, count: int) -> list[float]:
    try:
        numbers = [float(text) for text in value.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != count or not all(map(math.isfinite, numbers)):
        raise InvalidRequest(f"{name}: expected {count} numbers", "invalid_value")
    return numbers
