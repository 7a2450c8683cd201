"""Errors as RFC 9457 problem details: the one table from the error tree to HTTP."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from service import errors, metrics
from service.errors import Overloaded, RateLimited, TriageError, Unauthenticated, UnsuitableImage
from service.http import refused
from service.http.failure_reasons import problem_type
from service.telemetry import describe, log

MEDIA_TYPE = "application/problem+json"


@dataclass(frozen=True)
class Kind:
    """HTTP status, title and type of an error class; a type has one title, whatever the code (RFC 9457 3.1.3)."""

    status: int
    title: str
    type: str


_STATUSES: dict[type[TriageError], tuple[int, str]] = {
    errors.MalformedDicom: (400, "Not a readable DICOM file"),
    errors.UnsupportedEncoding: (415, "Unsupported encoding"),
    errors.TooLarge: (413, "Too large"),
    errors.UploadIdle: (408, "Upload timed out"),
    errors.Conflict: (409, "Conflicts with the request or with a stored image"),
    errors.UnsuitableImage: (422, "Not a frontal chest radiograph"),
    errors.DecodeTimeout: (422, "Decoding timed out"),
    errors.InvalidRequest: (400, "Invalid request"),
    errors.Unauthenticated: (401, "Authentication required"),
    errors.Forbidden: (403, "Not allowed"),
    errors.NotFound: (404, "Not found"),
    errors.NotAcceptable: (406, "Not acceptable"),
    errors.RateLimited: (429, "Too many requests"),
    errors.Overloaded: (503, "Try again later"),
    errors.StorageFull: (507, "Storage full"),
    errors.InferenceFailed: (500, "Inference failed"),
    errors.ArtefactError: (503, "Not ready"),
    errors.ConfigurationError: (503, "Not ready"),
}
TABLE = {kind: Kind(status, title, problem_type(kind)) for kind, (status, title) in _STATUSES.items()}
_UNEXPECTED = Kind(500, "Internal error", problem_type(TriageError))
_BY_STATUS = {404: errors.NotFound, 406: errors.NotAcceptable, 413: errors.TooLarge, 415: errors.UnsupportedEncoding}


class Detail(BaseModel):
    """One of several reasons."""

    code: str = Field(examples=["modality_unsuitable"])
    message: str


class Problem(BaseModel):
    """RFC 9457 problem details. `code` is stable; no text quotes a value of a data set but terms from lists."""

    type: str = Field(examples=[problem_type(UnsuitableImage)])
    title: str
    status: int
    detail: str
    code: str = Field(examples=["unsuitable_image"])
    request_id: str | None = Field(None, description="also in the header X-Request-Id and in the log")
    errors: list[Detail] | None = Field(None, description="every reason of the gate, or every invalid parameter")


RESPONSES: dict[int | str, dict[str, Any]] = {
    "default": {
        "description": "A problem (RFC 9457)",
        "content": {MEDIA_TYPE: {"schema": Problem.model_json_schema(ref_template="#/components/schemas/{model}")}},
    }
}


def problem(error: Exception) -> Problem:
    """Describe an error for the client; nothing of an unexpected error is disclosed."""
    request_id = structlog.contextvars.get_contextvars().get("request_id")
    if not isinstance(error, TriageError):
        return _problem(
            _UNEXPECTED, "Unexpected error; it is in the log under the request id.", "internal_error", request_id
        )
    reasons = error.reasons if isinstance(error, UnsuitableImage) else ()
    details = [Detail(code=reason.code, message=reason.message) for reason in reasons] or None
    return _problem(kind(error), error.message, error.code, request_id, details)


def kind(error: TriageError) -> Kind:
    """Return the entry of the error's class or of its nearest base class."""
    return next((TABLE[base] for base in type(error).__mro__ if base in TABLE), _UNEXPECTED)


def response(problem: Problem, headers: dict[str, str] | None = None) -> JSONResponse:
    """Return a problem as a response, and count it."""
    metrics.PROBLEMS.labels(problem.code).inc()
    return JSONResponse(problem.model_dump(exclude_none=True), problem.status, headers, MEDIA_TYPE)


def answer(error: Exception) -> JSONResponse:
    """Return the response for an error, with the authentication scheme or the time to retry where they apply."""
    headers: dict[str, str] = {}
    if isinstance(error, RateLimited | Overloaded):
        headers["Retry-After"] = str(error.retry_after_s)
    if isinstance(error, Unauthenticated):
        headers["WWW-Authenticate"] = 'Bearer realm="triage"'  # RFC 6750 3
    return response(problem(error), headers)


def method_not_allowed() -> JSONResponse:
    """Return the response to a method that the resource does not have; the caller adds `Allow`."""
    return response(_of_status(HTTPStatus.METHOD_NOT_ALLOWED))


def note(error: Exception) -> None:
    """Log a refusal with its codes, or an unexpected error with its class and place; count refused radiographs."""
    refused.count(error)
    if isinstance(error, TriageError):
        reasons = error.reasons if isinstance(error, UnsuitableImage) else ()
        codes = {"reasons": [reason.code for reason in reasons]} if reasons else {}
        log().info("refused", code=error.code, sop_instance_uid=error.sop_instance_uid, **codes)
    else:
        log().error("unexpected", **describe(error))


def install(app: FastAPI) -> None:
    """Turn every error of `app` into a problem: those of the tree, of the router and of the validation."""
    app.add_exception_handler(TriageError, _on_triage_error)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(RequestValidationError, _on_validation_error)


async def _on_triage_error(_request: Request, error: Exception) -> JSONResponse:
    note(error)
    return answer(error)


async def _on_http_exception(_request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, HTTPException):
        raise error
    phrase = HTTPStatus(error.status_code).phrase
    if error.status_code == HTTPStatus.BAD_REQUEST:
        described = problem(errors.InvalidRequest(error.detail))
    elif error.status_code in _BY_STATUS:
        described = problem(_BY_STATUS[error.status_code](f"{phrase}."))
    else:
        described = _of_status(error.status_code)
    return response(described, dict(error.headers) if error.headers else None)


async def _on_validation_error(_request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, RequestValidationError):
        raise error
    details = [Detail(code=item["type"], message=f"{_place(item)}: {item['msg']}") for item in error.errors()]
    described = problem(errors.InvalidRequest("; ".join(detail.message for detail in details)))
    return response(described.model_copy(update={"errors": details}))


def _place(error: dict[str, Any]) -> str:
    # The name of an unknown parameter is chosen by the client and may hold anything: it is left out.
    location = error["loc"][:-1] if error["type"] == "extra_forbidden" else error["loc"]
    return " ".join(str(part) for part in location)


def _of_status(status: int) -> Problem:
    phrase = HTTPStatus(status).phrase
    code = phrase.lower().replace(" ", "_")
    request_id = structlog.contextvars.get_contextvars().get("request_id")
    return _problem(Kind(status, phrase, "about:blank"), f"{phrase}.", code, request_id)


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
