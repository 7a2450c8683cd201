"""WADO-RS: frames and other bulk data, PS3.18 10.4.1.1.5 and 10.4.1.1.6."""

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from service.dicom.bulk_data import PIXEL_DATA
from service.dicom.frames import Frames
from service.dicom.metadata import FOLDER
from service.dicom_web.accept import OCTETS, RELATED
from service.dicom_web.answer import multipart, validators
from service.dicom_web.catalogue import Catalogue
from service.dicom_web.dependencies import CatalogueDep
from service.dicom_web.encodings import EXPLICIT, Encoding, accepted, of_frames, offers
from service.dicom_web.study import Entry
from service.errors import InputError, InvalidRequest, NotAcceptable, NotFound, may_succeed_later
from service.http.auth import needs
from service.http.caching import is_fresh
from service.http.problems import RESPONSES

_BINARY = {"type": "string", "format": "binary"}
_FRAMES: dict[int | str, dict[str, Any]] = {
    200: {"content": {RELATED: {"schema": _BINARY}, OCTETS: {"schema": _BINARY}}},
    304: {},
}
_MAX_FRAMES = 100
router = APIRouter(
    prefix="/dicom-web/studies/{study}/series/{series}/instances/{instance}",
    tags=["DICOMweb"],
    dependencies=[needs("read")],
    responses=RESPONSES | _FRAMES,
)


@router.get("/frames/{frames}", response_class=Response)
async def retrieve_frames(
    study: str, series: str, instance: str, frames: str, request: Request, catalogue: CatalogueDep
) -> Response:
    """Retrieve frames; `frames` are numbers from 1, separated by commas."""
    numbers = frame_numbers(frames)
    [entry] = await catalogue.within(study, series, instance)
    return await _frames(request, catalogue, entry, numbers)


@router.get(f"/{FOLDER}/{{bulk_data:path}}", response_class=Response)
async def retrieve_bulk_data(
    study: str, series: str, instance: str, bulk_data: str, request: Request, catalogue: CatalogueDep
) -> Response:
    """Retrieve a value to which the metadata refer: the frames of an image, or the octets of another attribute."""
    [entry] = await catalogue.within(study, series, instance)
    if bulk_data == PIXEL_DATA and entry.has_pixels:
        return await _frames(request, catalogue, entry, ())
    headers = validators(request, [entry])
    if is_fresh(request, headers):
        return Response(status_code=304, headers=headers)
    encoding = next(accepted(request, [EXPLICIT], of_frames), None)
    if encoding is None:
        raise NotAcceptable(f"Accept: available is {OCTETS}")
    with catalogue.admitted():
        value = await catalogue.bulk_data(entry, bulk_data)
    return _answer(encoding, [value], headers)


def frame_numbers(frames: str) -> list[int]:
    """Parse the numbers of frames in a path, each of which may occur once.

    Raises
    ------
    InvalidRequest
    """
    texts = frames.split(",")
    valid = len(texts) <= _MAX_FRAMES and all(text.isascii() and text.isdigit() and len(text) < 6 for text in texts)
    numbers = list(map(int, texts)) if valid else []
    if not valid or len(set(numbers)) < len(numbers):
        raise InvalidRequest("frames: expected different numbers from 1, separated by commas", "invalid_value")
    return numbers


async def _frames(request: Request, catalogue: Catalogue, entry: Entry, numbers: Sequence[int]) -> Response:
    if not entry.has_pixels:
        raise NotFound("the instance has no frames", "no_frames")
    headers = validators(request, [entry])
    if is_fresh(request, headers):
        return Response(status_code=304, headers=headers)
    with catalogue.admitted():
        frames, encoding = await _encoded(request, catalogue, entry, numbers)
    return _answer(encoding, frames.contents, headers)


async def _encoded(
    request: Request, catalogue: Catalogue, entry: Entry, numbers: Sequence[int]
) -> tuple[Frames, Encoding]:
    """Return frames in the best encoding that the client accepts and that can be made.

    Raises
    ------
    NotAcceptable, NotFound, InputError
    """
    file = await catalogue.file(entry)
    offered = offers(entry, file.transfer_syntax, of_frames)
    for encoding in accepted(request, offered, of_frames, single=len(numbers) == 1):
        try:
            return await catalogue.frames(file, numbers, encoding.transfer_syntax), encoding
        except InputError as error:
            if may_succeed_later(error):
                raise
    available = " or ".join(f'type="{of_frames(syntax)[0]}"; transfer-syntax={syntax}' for syntax in offered)
    raise NotAcceptable(f"Accept: available is {RELATED}; {available}")


def _answer(encoding: Encoding, contents: Sequence[bytes], headers: dict[str, str]) -> Response:
    if encoding.single:
        return Response(contents[0], media_type=encoding.content_type, headers=headers)
    return multipart(encoding, contents, headers)
