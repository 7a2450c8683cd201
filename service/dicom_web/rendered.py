"""WADO-RS: rendered images and thumbnails, PS3.18 10.4.1.1.3 and 10.4.1.1.4."""

import math
from typing import Any, Literal

from fastapi import APIRouter, Request
from starlette.datastructures import QueryParams
from starlette.responses import Response

from service.dicom.picture import Look
from service.dicom.window import Window, is_valid
from service.dicom_web.accept import choose
from service.dicom_web.catalogue import Catalogue
from service.dicom_web.dependencies import CatalogueDep
from service.dicom_web.study import Entry
from service.errors import InvalidRequest
from service.http.auth import needs
from service.http.problems import RESPONSES

JPEG, PNG = "image/jpeg", "image/png"
_BINARY = {"type": "string", "format": "binary"}
_PICTURE: dict[int | str, dict[str, Any]] = {
    200: {"content": {media_type: {"schema": _BINARY} for media_type in (JPEG, PNG)}}
}
router = APIRouter(
    prefix="/dicom-web/studies/{study}",
    tags=["DICOMweb"],
    dependencies=[needs("read")],
    responses=RESPONSES | _PICTURE,
)

_INSTANCE = "/series/{of_series}/instances/{instance}"
_FUNCTIONS: dict[str, Literal["LINEAR", "LINEAR_EXACT", "SIGMOID"]] = {
    "linear": "LINEAR",
    "linear-exact": "LINEAR_EXACT",
    "sigmoid": "SIGMOID",
}  # PS3.18 8.3.5.1.4
_PARAMETERS = ("accept", "window", "viewport", "quality")
_MAX_SIDE = 8192  # pixels
THUMBNAIL = (128, 128)


@router.get(f"{_INSTANCE}/rendered", response_class=Response)
async def rendered(study: str, of_series: str, instance: str, request: Request, catalogue: CatalogueDep) -> Response:
    """Draw an instance; `window=centre,width,function`, `viewport=width,height`, `quality`."""
    [entry] = await catalogue.within(study, of_series, instance)
    return await _picture(request, catalogue, entry, None)


@router.get(f"{_INSTANCE}/frames/1/rendered", response_class=Response)
async def rendered_frame(
    study: str, of_series: str, instance: str, request: Request, catalogue: CatalogueDep
) -> Response:
    """Draw the only frame of an instance, as `rendered` does."""
    [entry] = await catalogue.within(study, of_series, instance)
    return await _picture(request, catalogue, entry, None)


@router.get("/thumbnail", response_class=Response)
async def study_thumbnail(study: str, request: Request, catalogue: CatalogueDep) -> Response:
    """Draw a thumbnail of the first radiograph of a study."""
    return await _picture(request, catalogue, (await catalogue.within(study))[0], THUMBNAIL)


@router.get("/series/{of_series}/thumbnail", response_class=Response)
async def series_thumbnail(study: str, of_series: str, request: Request, catalogue: CatalogueDep) -> Response:
    """Draw a thumbnail of the first instance of a series."""
    return await _picture(request, catalogue, (await catalogue.within(study, of_series))[0], THUMBNAIL)


@router.get(f"{_INSTANCE}/thumbnail", response_class=Response)
async def instance_thumbnail(
    study: str, of_series: str, instance: str, request: Request, catalogue: CatalogueDep
) -> Response:
    """Draw a thumbnail of an instance."""
    [entry] = await catalogue.within(study, of_series, instance)
    return await _picture(request, catalogue, entry, THUMBNAIL)


async def _picture(request: Request, catalogue: Catalogue, entry: Entry, size: tuple[int, int] | None) -> Response:
    media_type = choose(request, (JPEG, PNG))
    look = _look(request.query_params, "PNG" if media_type == PNG else "JPEG", size)
    with catalogue.admitted():
        return Response(await catalogue.picture(entry, look), media_type=media_type)


def _look(parameters: QueryParams, form: Literal["JPEG", "PNG"], size: tuple[int, int] | None) -> Look:
    unknown = set(parameters) - {*_PARAMETERS}
    if unknown:  # including `annotation`: no text is burned in
        raise InvalidRequest(f"expected only the parameters {', '.join(_PARAMETERS)}", "unknown_parameter")
    quality = int(_numbers("quality", parameters.get("quality", "90"), 1)[0])
    if not 1 <= quality <= 100:
        raise InvalidRequest("quality must be 1 to 100", "invalid_value")
    viewport = _viewport(parameters["viewport"]) if "viewport" in parameters else size
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
