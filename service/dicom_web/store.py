"""STOW-RS: store radiographs, with a result for each, PS3.18 10.5."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, closing
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse

from service.dicom_web.accept import DICOM, JSON, RELATED, choose
from service.dicom_web.multipart import Part, parse_content_type, parts
from service.dicom_web.response_module import Failure, Outcome, Stored, module, warnings
from service.dicom_web.urls import root
from service.errors import InputError, InvalidRequest, Overloaded, TooLarge, TriageError, UnsupportedEncoding
from service.http.auth import client_of, needs
from service.http.dependencies import PipelineDep
from service.http.problems import RESPONSES, note
from service.http.uploads import expected_bytes, receive_file
from service.prediction.pipeline import Pipeline
from service.storage.incoming import Incoming

router = APIRouter(prefix="/dicom-web", tags=["DICOMweb"], responses=RESPONSES)

PLACE_SECONDS = 30.0  # that a part waits for a place: the parts before it are stored
MAX_PARTS = 10_000  # in one body, because the results are kept in memory until its end
_BINARY = {"type": "string", "format": "binary"}
_BODY = {"requestBody": {"required": True, "content": {RELATED: {"schema": _BINARY}, DICOM: {"schema": _BINARY}}}}
_MODULE: dict[int | str, dict[str, Any]] = {
    200: {"description": "all stored", "content": {JSON: {"schema": {"type": "object"}}}},
    202: {"description": "some stored", "content": {JSON: {"schema": {"type": "object"}}}},
    409: {"description": "none stored", "content": {JSON: {"schema": {"type": "object"}}}},
}
_OPTIONS: dict[str, Any] = {
    "dependencies": [needs("predict")],
    "responses": _MODULE,
    "openapi_extra": _BODY,
    "response_class": JSONResponse,
}


@router.post("/studies", **_OPTIONS)
async def store(request: Request, pipeline: PipelineDep) -> JSONResponse:
    """Store radiographs (STOW-RS). An acknowledged radiograph is on disk, with its prediction."""
    return await _store(request, pipeline, None)


@router.post("/studies/{study}", **_OPTIONS)
async def store_in_study(study: str, request: Request, pipeline: PipelineDep) -> JSONResponse:
    """Store radiographs of one study (STOW-RS); those of other studies fail."""
    return await _store(request, pipeline, study)


async def _store(request: Request, pipeline: Pipeline, study: str | None) -> JSONResponse:
    media_type = choose(request, (JSON, "application/json"))
    outcome = Outcome()
    # One file at a time waits to be accepted; what is accepted no longer counts.
    room = expected_bytes(request, request.app.state.limits.max_file_bytes)
    with pipeline.accepting(client_of(request), room):
        try:
            async with aclosing(_parts(request, pipeline.receive)) as body:
                await _store_parts(body, pipeline, study, outcome)
        except (InputError, InvalidRequest) as error:  # an error of the body, not of one part
            if not outcome.stored and not outcome.failures:
                raise
            note(error)  # the parts before it are acknowledged: PS3.18 has 400 only if nothing is stored
            outcome.failures.append(Failure.of(error, len(outcome.stored) + len(outcome.failures) + 1))
    base = root(request)
    answer = JSONResponse(module(outcome, base, study), outcome.status, media_type=media_type)
    for text in warnings(outcome.failures):
        answer.headers.append("Warning", text)
    if outcome.status == HTTPStatus.SERVICE_UNAVAILABLE:
        answer.headers["Retry-After"] = str(Overloaded.retry_after_s)
    return answer


async def _store_parts(body: AsyncIterator[Part], pipeline: Pipeline, study: str | None, outcome: Outcome) -> None:
    """Store one part after another, so that a body takes one place, and the room of one file that may be refused."""
    place = 0
    async for part in body:
        place += 1
        if place > MAX_PARTS:
            raise TooLarge(f"expected at most {MAX_PARTS} parts", "too_many_parts")
        try:
            file = _content(part)
            async with pipeline.places.awaited(PLACE_SECONDS):
                outcome.stored.append(Stored.of(await pipeline.predict(file, study)))
        except Exception as error:  # a bad part does not affect the others
            note(error)
            outcome.failures.append(Failure.of(error, place))
    if not place:
        raise InvalidRequest("the body has no part", "no_file")


def _content(part: Part) -> Incoming:
    if isinstance(part.content, TriageError):
        raise part.content
    if part.media_type not in ("", DICOM):
        raise UnsupportedEncoding(f"Content-Type of the part must be {DICOM}", "unsupported_media_type")
    return part.content


async def _parts(request: Request, start: Callable[[], Incoming]) -> AsyncGenerator[Part, None]:
    media_type, kind, boundary = parse_content_type(request.headers.get("content-type", ""))
    limit: int = request.app.state.limits.max_file_bytes
    if media_type == DICOM:
        with closing(start()) as file:
            yield Part(DICOM, await _single(request, file, limit))
    elif media_type == RELATED and kind in ("", DICOM):
        if not boundary:
            raise InvalidRequest("Content-Type: expected a boundary", "multipart_invalid")
        async with aclosing(parts(request.stream(), boundary, limit, start)) as body:
            async for part in body:
                yield part
    else:
        expected = f'{RELATED}; type="{DICOM}", or {DICOM}'
        raise UnsupportedEncoding(f"Content-Type: expected {expected}", "unsupported_media_type")


async def _single(request: Request, file: Incoming, limit: int) -> Incoming:
    await receive_file(request, file, limit)
    if not file.size:
        raise InvalidRequest("the body is empty", "empty_body")
    return file
