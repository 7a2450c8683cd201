"""WADO-RS: files, metadata and frames, PS3.18 10.4; one file at a time is in memory."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Sequence
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from service.dicom_web.accept import DICOM, JSON, OCTETS, RELATED, choose, ranges
from service.dicom_web.catalogue import Catalogue
from service.dicom_web.dependencies import CatalogueDep
from service.dicom_web.study import Entry
from service.errors import InputError, InvalidRequest, NotAcceptable, TriageError, may_succeed_later
from service.http.auth import needs
from service.http.problems import RESPONSES, note

router = APIRouter(
    prefix="/dicom-web/studies/{study}", tags=["DICOMweb"], dependencies=[needs("read")], responses=RESPONSES
)

_BINARY = {"type": "string", "format": "binary"}
_FILES: dict[int | str, dict[str, Any]] = {200: {"content": {RELATED: {"schema": _BINARY}}}}
_FILE: dict[int | str, dict[str, Any]] = {200: {"content": {RELATED: {"schema": _BINARY}, DICOM: {"schema": _BINARY}}}}
_METADATA: dict[int | str, dict[str, Any]] = {
    200: {"content": {JSON: {"schema": {"type": "array", "items": {"type": "object"}}}}}
}
_SERIES, _INSTANCE = "/series/{of_series}", "/series/{of_series}/instances/{instance}"

# PS3.18 tables 8.7.3-2 and 8.7.3-5: media type of a single frame by transfer syntax
_FRAMES = {
    "1.2.840.10008.1.2.5": "image/dicom-rle",
    **dict.fromkeys((f"1.2.840.10008.1.2.4.{number}" for number in (50, 51, 57, 70)), "image/jpeg"),
    **dict.fromkeys((f"1.2.840.10008.1.2.4.{number}" for number in (80, 81)), "image/jls"),
    **dict.fromkeys((f"1.2.840.10008.1.2.4.{number}" for number in (90, 91)), "image/jp2"),
    **dict.fromkeys((f"1.2.840.10008.1.2.4.{number}" for number in (201, 202, 203)), "image/jphc"),
}


@router.get("", response_class=StreamingResponse, responses=_FILES)
async def retrieve_study(study: str, request: Request, catalogue: CatalogueDep) -> Response:
    """Retrieve every instance of a study (WADO-RS), including the objects derived from its radiographs."""
    return await _files(request, catalogue, await catalogue.within(study))


@router.get(_SERIES, response_class=StreamingResponse, responses=_FILES)
async def retrieve_series(study: str, of_series: str, request: Request, catalogue: CatalogueDep) -> Response:
    """Retrieve every instance of a series (WADO-RS)."""
    return await _files(request, catalogue, await catalogue.within(study, of_series))


@router.get(_INSTANCE, response_class=StreamingResponse, responses=_FILE)
async def retrieve_instance(
    study: str, of_series: str, instance: str, request: Request, catalogue: CatalogueDep
) -> Response:
    """Retrieve an instance (WADO-RS), as the only part of a multipart body or as `application/dicom`."""
    [entry] = await catalogue.within(study, of_series, instance)
    return await _file(request, catalogue, entry)


@router.get("/metadata", response_class=StreamingResponse, responses=_METADATA)
async def study_metadata(study: str, request: Request, catalogue: CatalogueDep) -> Response:
    """Retrieve the data sets of a study without bulk data."""
    return _metadata(request, catalogue, await catalogue.within(study))


@router.get(f"{_SERIES}/metadata", response_class=StreamingResponse, responses=_METADATA)
async def series_metadata(study: str, of_series: str, request: Request, catalogue: CatalogueDep) -> Response:
    """Retrieve the data sets of a series without bulk data."""
    return _metadata(request, catalogue, await catalogue.within(study, of_series))


@router.get(f"{_INSTANCE}/metadata", response_class=StreamingResponse, responses=_METADATA)
async def instance_metadata(
    study: str, of_series: str, instance: str, request: Request, catalogue: CatalogueDep
) -> Response:
    """Retrieve the data set of an instance without bulk data."""
    return _metadata(request, catalogue, await catalogue.within(study, of_series, instance))


@router.get(f"{_INSTANCE}/frames/{{frames}}", response_class=Response, responses=_FILES)
async def retrieve_frames(
    study: str, of_series: str, instance: str, frames: str, request: Request, catalogue: CatalogueDep
) -> Response:
    """Retrieve frames as they are encoded in the file; `frames` are numbers from 1, separated by commas."""
    numbers = frames.split(",")
    if not all(number.isascii() and number.isdigit() and len(number) < 6 for number in numbers) or len(numbers) > 100:
        raise InvalidRequest("frames: expected numbers from 1, separated by commas", "invalid_value")
    [entry] = await catalogue.within(study, of_series, instance)
    with catalogue.admitted():
        encoded = await catalogue.frames(entry, [int(number) for number in numbers])
    media_type = _FRAMES.get(encoded.transfer_syntax, OCTETS)
    _check(request, RELATED, media_type, encoded.transfer_syntax)
    content_type = f"{media_type}; transfer-syntax={encoded.transfer_syntax}"
    boundary = secrets.token_hex(16)
    body = b"".join(_part(boundary, content_type, content) for content in encoded.contents) + _end(boundary)
    return Response(body, media_type=f'{RELATED}; type="{media_type}"; boundary={boundary}')


async def _file(request: Request, catalogue: Catalogue, entry: Entry) -> Response:
    media_type = choose(request, (RELATED, DICOM))
    with catalogue.admitted():
        file = await catalogue.file(entry)
    _check(request, media_type, DICOM, file.transfer_syntax)
    content_type = f"{DICOM}; transfer-syntax={file.transfer_syntax}"
    if media_type == DICOM:
        return Response(file.data, media_type=content_type)
    boundary = secrets.token_hex(16)
    body = _part(boundary, content_type, file.data) + _end(boundary)
    return Response(body, media_type=f'{RELATED}; type="{DICOM}"; boundary={boundary}')


async def _files(request: Request, catalogue: Catalogue, entries: Sequence[Entry]) -> Response:
    if len(entries) == 1:
        return await _file(request, catalogue, entries[0])
    choose(request, (RELATED,))
    if any(accepted.transfer_syntax not in ("", "*") for accepted in ranges(request)):
        with catalogue.admitted():
            for entry in entries:
                await _check_file(request, catalogue, entry)
    boundary = secrets.token_hex(16)
    return _Stream(catalogue, _parts(catalogue, entries, boundary), f'{RELATED}; type="{DICOM}"; boundary={boundary}')


async def _check_file(request: Request, catalogue: Catalogue, entry: Entry) -> None:
    try:
        file = await catalogue.file(entry)
    except TriageError as error:
        _raise_unless_omissible(entry, error)
    else:
        _check(request, RELATED, DICOM, file.transfer_syntax)


class _Stream(StreamingResponse):
    """A response that takes one of the places for files until it is sent or the client has disconnected."""

    def __init__(self, catalogue: Catalogue, content: AsyncIterator[bytes], media_type: str) -> None:
        super().__init__(content, media_type=media_type)
        self._catalogue = catalogue

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response; Overloaded is raised before anything is sent."""
        idle_seconds: float = scope["app"].state.limits.idle_seconds

        async def bounded(message: Message) -> None:
            async with asyncio.timeout(idle_seconds):  # a client that stops reading loses the place
                await send(message)

        with self._catalogue.admitted():
            await super().__call__(scope, receive, bounded)


async def _parts(catalogue: Catalogue, entries: Sequence[Entry], boundary: str) -> AsyncIterator[bytes]:
    for entry in entries:
        try:
            file = await catalogue.file(entry)
        except TriageError as error:
            _raise_unless_omissible(entry, error)
            continue
        yield _part(boundary, f"{DICOM}; transfer-syntax={file.transfer_syntax}", file.data)
    yield _end(boundary)


def _metadata(request: Request, catalogue: Catalogue, entries: Sequence[Entry]) -> Response:
    media_type = choose(request, (JSON, "application/json"))
    return _Stream(catalogue, _array(catalogue, entries), media_type)


async def _array(catalogue: Catalogue, entries: Sequence[Entry]) -> AsyncIterator[bytes]:
    between = b"["
    for entry in entries:
        try:
            document = await catalogue.metadata(entry)
        except TriageError as error:
            _raise_unless_omissible(entry, error)
            continue
        yield between + document.encode()
        between = b","
    yield b"]" if between == b"," else b"[]"


def _raise_unless_omissible(entry: Entry, error: TriageError) -> None:
    """Log the error of a derived object that cannot be made from its radiograph; the answer omits the object.

    Any other error is raised and breaks the answer off, so that the client does not take it for complete.
    """
    if entry.kind is None or not isinstance(error, InputError) or may_succeed_later(error):
        raise error
    note(error)


def _check(request: Request, media_type: str, content: str, transfer_syntax: str) -> None:
    """Check an answer against the Accept header; nothing is transcoded.

    Raises
    ------
    NotAcceptable
    """
    if not any(item.accepts(media_type) and item.accepts_parts(content, transfer_syntax) for item in ranges(request)):
        raise NotAcceptable(f'Accept: available is {media_type}; type="{content}"; transfer-syntax={transfer_syntax}')


def _part(boundary: str, media_type: str, content: bytes) -> bytes:
    return f"--{boundary}\r\nContent-Type: {media_type}\r\n\r\n".encode() + content + b"\r\n"


def _end(boundary: str) -> bytes:
    return f"--{boundary}--\r\n".encode()
