"""Errors as RFC 9457 problem details: the one table from the tree of errors to HTTP."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from service import errors
from service.errors import Overloaded, RateLimited, TriageError, Unauthenticated, UnsuitableImage
from service.telemetry import describe, log

MEDIA_TYPE = "application/problem+json"
_TYPE = "urn:agcnn-triage:problem:"


@dataclass(frozen=True)
class Kind:
    """What a leaf of the tree is over HTTP."""

    status: int
    title: str
    type: str


TABLE: dict[type[TriageError], Kind] = {
    errors.MalformedDicom: Kind(400, "Not a readable DICOM file", _TYPE + "malformed-dicom"),
    errors.UnsupportedEncoding: Kind(415, "Unsupported encoding", _TYPE + "unsupported-encoding"),
    errors.TooLarge: Kind(413, "Too large", _TYPE + "too-large"),
    errors.UploadIdle: Kind(408, "The upload stopped", _TYPE + "upload-idle"),
    errors.Conflict: Kind(409, "Known with other display values", _TYPE + "conflict"),
    errors.UnsuitableImage: Kind(422, "Not a frontal chest radiograph", _TYPE + "unsuitable-image"),
    errors.DecodeTimeout: Kind(422, "Decoding took too long", _TYPE + "decode-timeout"),
    errors.InvalidRequest: Kind(400, "Invalid request", _TYPE + "invalid-request"),
    errors.Unauthenticated: Kind(401, "A key is wanted", _TYPE + "unauthenticated"),
    errors.Forbidden: Kind(403, "Not allowed", _TYPE + "forbidden"),
    errors.NotFound: Kind(404, "Not found", _TYPE + "not-found"),
    errors.NotAcceptable: Kind(406, "Not acceptable", _TYPE + "not-acceptable"),
    errors.RateLimited: Kind(429, "Too many requests", _TYPE + "rate-limited"),
    errors.Overloaded: Kind(503, "Try again later", _TYPE + "overloaded"),
    errors.StorageFull: Kind(507, "Nothing can be stored", _TYPE + "storage-full"),
    errors.InferenceFailed: Kind(500, "The network did not answer", _TYPE + "inference-failed"),
    errors.ArtefactError: Kind(503, "Not ready", _TYPE + "not-ready"),
    errors.ConfigurationError: Kind(503, "Not ready", _TYPE + "not-ready"),
}
_UNEXPECTED = Kind(500, "Internal error", _TYPE + "internal-error")
_BY_STATUS = {404: errors.NotFound, 406: errors.NotAcceptable, 413: errors.TooLarge, 415: errors.UnsupportedEncoding}


class Detail(BaseModel):
    """One of several reasons."""

    code: str = Field(examples=["wrong_modality"])
    message: str


class Problem(BaseModel):
    """RFC 9457 problem details. `code` is stable; no text here quotes a value of a data set."""

    type: str = Field(examples=[_TYPE + "unsuitable-image"])
    title: str
    status: int
    detail: str
    code: str = Field(examples=["unsuitable_image"])
    request_id: str | None = Field(None, description="also in the header X-Request-Id and in the log")
    errors: list[Detail] | None = Field(None, description="every reason of the gate, or every parameter that is wrong")


RESPONSES: dict[int | str, dict[str, Any]] = {
    "default": {
        "description": "A problem (RFC 9457)",
        "content": {MEDIA_TYPE: {"schema": Problem.model_json_schema(ref_template="#/components/schemas/{model}")}},
    }
}


def problem(error: Exception) -> Problem:
    """Say an error in public words; of one that is not ours, nothing."""
    request_id = structlog.contextvars.get_contextvars().get("request_id")
    if not isinstance(error, TriageError):
        return _problem(
            _UNEXPECTED, "An unexpected error; the log has it under the request id.", "internal_error", request_id
        )
    reasons = error.reasons if isinstance(error, UnsuitableImage) else ()
    details = [Detail(code=reason.code, message=reason.message) for reason in reasons] or None
    return _problem(kind(error), error.message, error.code, request_id, details)


def kind(error: TriageError) -> Kind:
    """Find the entry of the class, or of the nearest above it."""
    return next((TABLE[one] for one in type(error).__mro__ if one in TABLE), _UNEXPECTED)


def response(found: Problem, headers: dict[str, str] | None = None) -> JSONResponse:
    """Make the answer."""
    return JSONResponse(found.model_dump(exclude_none=True), found.status, headers, MEDIA_TYPE)


def answer(error: Exception) -> JSONResponse:
    """Answer an error, with what is wanted instead, or when it is worth trying again."""
    headers: dict[str, str] = {}
    if isinstance(error, RateLimited | Overloaded):
        headers["Retry-After"] = str(error.retry_after_s)
    if isinstance(error, Unauthenticated):
        headers["WWW-Authenticate"] = 'Bearer realm="triage"'  # RFC 6750 3
    return response(problem(error), headers)


def note(error: Exception) -> None:
    """Log why something was refused, by its codes; of an unexpected error, what and where it is."""
    if isinstance(error, TriageError):
        reasons = error.reasons if isinstance(error, UnsuitableImage) else ()
        codes = {"reasons": [reason.code for reason in reasons]} if reasons else {}
        log().info("refused", code=error.code, sop_instance_uid=error.sop_instance_uid, **codes)
    else:
        log().error("unexpected", **describe(error))


def install(app: FastAPI) -> None:
    """Make every error of `app` a problem: ours, the router's and the validation's."""
    app.add_exception_handler(TriageError, _ours)
    app.add_exception_handler(HTTPException, _routers)
    app.add_exception_handler(RequestValidationError, _validations)


async def _ours(_request: Request, error: Exception) -> JSONResponse:
    note(error)
    return answer(error)


async def _routers(_request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, HTTPException):
        raise error
    phrase = HTTPStatus(error.status_code).phrase
    if error.status_code == HTTPStatus.BAD_REQUEST:
        found = problem(errors.InvalidRequest(error.detail))
    elif error.status_code in _BY_STATUS:
        found = problem(_BY_STATUS[error.status_code](f"{phrase}."))
    else:
        code = phrase.lower().replace(" ", "_")
        request_id = structlog.contextvars.get_contextvars().get("request_id")
        found = _problem(Kind(error.status_code, phrase, "about:blank"), f"{phrase}.", code, request_id)
    return response(found, dict(error.headers) if error.headers else None)


async def _validations(_request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, RequestValidationError):
        raise error
    details = [Detail(code=one["type"], message=f"{_place(one)}: {one['msg']}") for one in error.errors()]
    found = problem(errors.InvalidRequest("; ".join(detail.message for detail in details)))
    return response(found.model_copy(update={"errors": details}))


def _place(error: dict[str, Any]) -> str:
    # The name of what is too much is the client's own, and may be anything.
    location = error["loc"][:-1] if error["type"] == "extra_forbidden" else error["loc"]
    return " ".join(str(part) for part in location)


def _problem(
    kind: Kind, detail: str, code: str, request_id: str | None, details: list[Detail] | None = None
) -> Problem:
    return Problem(
        type=kind.type,
        title=kind.title,
        status=kind.status,
        detail=detail,
        code=code,
        request_id=request_id,
        errors=details,
    )
