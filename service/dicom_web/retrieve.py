"""WADO-RS: files and metadata, PS3.18 10.4; one file at a time is in memory."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response, StreamingResponse

from service.dicom.reader import Part10
from service.dicom_web.accept import DICOM, JSON, RELATED, choose
from service.dicom_web.answer import Stream, boundary, end, multipart, note_omission, part, validators
from service.dicom_web.catalogue import Catalogue
from service.dicom_web.dependencies import CatalogueDep
from service.dicom_web.encodings import EXPLICIT, Encoding, accepted, of_file, offers
from service.dicom_web.study import Entry
from service.dicom_web.urls import root
from service.errors import InputError, NotAcceptable, TriageError, may_succeed_later
from service.http.auth import needs
from service.http.caching import is_fresh
from service.http.problems import RESPONSES

router = APIRouter(
    prefix="/dicom-web/studies/{study}", tags=["DICOMweb"], dependencies=[needs("read")], responses=RESPONSES
)

_BINARY = {"type": "string", "format": "binary"}
_FILES: dict[int | str, dict[str, Any]] = {200: {"content": {RELATED: {"schema": _BINARY}}}, 304: {}}
_FILE: dict[int | str, dict[str, Any]] = {
    200: {"content": {RELATED: {"schema": _BINARY}, DICOM: {"schema": _BINARY}}},
    304: {},
}
_METADATA: dict[int | str, dict[str, Any]] = {
    200: {"content": {JSON: {"schema": {"type": "array", "items": {"type": "object"}}}}},
    304: {},
}
_SERIES, _INSTANCE = "/series/{series}", "/series/{series}/instances/{instance}"


@router.get("", response_class=StreamingResponse, responses=_FILES)
async def retrieve_study(study: str, request: Request, catalogue: CatalogueDep) -> Response:
    """Retrieve every instance of a study (WADO-RS), including the objects derived from its radiographs."""
    return await _files(request, catalogue, await catalogue.within(study))


@router.get(_SERIES, response_class=StreamingResponse, responses=_FILES)
async def retrieve_series(study: str, series: str, request: Request, catalogue: CatalogueDep) -> Response:
    """Retrieve every instance of a series (WADO-RS)."""
    return await _files(request, catalogue, await catalogue.within(study, series))


@router.get(_INSTANCE, response_class=StreamingResponse, responses=_FILE)
async def retrieve_instance(
    study: str, series: str, instance: str, request: Request, catalogue: CatalogueDep
) -> Response:
    """Retrieve an instance (WADO-RS), as the only part of a multipart body or as `application/dicom`."""
    return await _files(request, catalogue, await catalogue.within(study, series, instance))


@router.get("/metadata", response_class=StreamingResponse, responses=_METADATA)
async def study_metadata(study: str, request: Request, catalogue: CatalogueDep) -> Response:
    """Retrieve the data sets of a study, with URIs in place of bulk data."""
    return _metadata(request, catalogue, await catalogue.within(study))


@router.get(f"{_SERIES}/metadata", response_class=StreamingResponse, responses=_METADATA)
async def series_metadata(study: str, series: str, request: Request, catalogue: CatalogueDep) -> Response:
    """Retrieve the data sets of a series, with URIs in place of bulk data."""
    return _metadata(request, catalogue, await catalogue.within(study, series))


@router.get(f"{_INSTANCE}/metadata", response_class=StreamingResponse, responses=_METADATA)
async def instance_metadata(
    study: str, series: str, instance: str, request: Request, catalogue: CatalogueDep
) -> Response:
    """Retrieve the data set of an instance, with URIs in place of bulk data."""
    return _metadata(request, catalogue, await catalogue.within(study, series, instance))


async def _files(request: Request, catalogue: Catalogue, entries: Sequence[Entry]) -> Response:
    headers = validators(request, entries)
    if is_fresh(request, headers):
        return Response(status_code=304, headers=headers)
    if len(entries) == 1:
        with catalogue.admitted():
            file, encoding = await _encoded(request, catalogue, entries[0])
        if encoding.single:
            return Response(file.data, media_type=encoding.content_type, headers=headers)
        return multipart(encoding, [file.data], headers)
    await _check_all(request, catalogue, entries)
    limit = boundary(headers)
    body = _parts(request, catalogue, entries, limit)
    return Stream(catalogue, body, f'{RELATED}; type="{DICOM}"; boundary={limit}', headers)


async def _encoded(request: Request, catalogue: Catalogue, entry: Entry) -> tuple[Part10, Encoding]:
    """Return the file of an entry in the best encoding that the client accepts and that can be made.

    Raises
    ------
    NotAcceptable, NotFound, InputError
    """
    stored = await catalogue.file(entry)
    offered = offers(entry, stored.transfer_syntax, of_file)
    for encoding in accepted(request, offered, of_file):
        try:
            return await catalogue.transcoded(stored, encoding.transfer_syntax), encoding
        except InputError as error:
            if may_succeed_later(error):
                raise
    raise NotAcceptable(f"Accept: available is {DICOM} with transfer-syntax {' or '.join(offered)}")


async def _encoded_of_many(request: Request, catalogue: Catalogue, entry: Entry) -> tuple[Part10, Encoding]:
    """Return a file as `_encoded`; where none can be made as it is: the answer has begun, or it has no pixels."""
    try:
        return await _encoded(request, catalogue, entry)
    except NotAcceptable:
        stored = await catalogue.file(entry)
        return stored, Encoding(DICOM, stored.transfer_syntax)


async def _check_all(request: Request, catalogue: Catalogue, entries: Sequence[Entry]) -> None:
    """Check that the client accepts each image in some encoding; any can be made in Explicit VR Little Endian.

    Raises
    ------
    NotAcceptable
    """
    if any(accepted(request, [EXPLICIT], of_file, single=False)):
        return
    with catalogue.admitted():
        for entry in entries:
            stored = EXPLICIT if entry.kind else (await catalogue.file(entry)).transfer_syntax
            offered = offers(entry, stored, of_file)
            if entry.has_pixels and not any(accepted(request, offered, of_file, single=False)):
                raise NotAcceptable(f'Accept: available is {RELATED}; type="{DICOM}"; transfer-syntax={EXPLICIT}')


async def _parts(
    request: Request, catalogue: Catalogue, entries: Sequence[Entry], boundary: str
) -> AsyncIterator[bytes]:
    for entry in entries:
        try:
            file, encoding = await _encoded_of_many(request, catalogue, entry)
        except TriageError as error:
            note_omission(entry, error)
            continue
        yield part(boundary, encoding.content_type, file.data)
    yield end(boundary)


def _metadata(request: Request, catalogue: Catalogue, entries: Sequence[Entry]) -> Response:
    media_type = choose(request, (JSON, "application/json"))
    headers = validators(request, entries)
    if is_fresh(request, headers):
        return Response(status_code=304, headers=headers)
    return Stream(catalogue, _array(catalogue, entries, root(request)), media_type, headers)


async def _array(catalogue: Catalogue, entries: Sequence[Entry], root: str) -> AsyncIterator[bytes]:
    between = b"["
    for entry in entries:
        try:
            document = await catalogue.metadata(entry, f"{root}/{entry.path}")
        except TriageError as error:
            note_omission(entry, error)
            continue
        yield between + document.encode()
        between = b","
    yield b"]" if between == b"," else b"[]"
