"""Swagger UI for `/openapi.json`, served from installed files, as wards have no internet access."""

from importlib.util import find_spec
from pathlib import Path

from fastapi import APIRouter, Request
from starlette.responses import Response

from service.errors import NotFound
from service.http.page import WEB, send

router = APIRouter(include_in_schema=False)

# The style sheet of Swagger UI has its arrows as data URLs.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@router.get("/docs")
def documentation(request: Request) -> Response:
    """Return the page."""
    return send(request, WEB / "documentation.html", _POLICY)


@router.get("/docs/swagger-ui-bundle.js")
@router.get("/docs/swagger-ui.css")
def library(request: Request) -> Response:
    """Return a file of Swagger UI."""
    return send(request, _folder() / request.url.path.rpartition("/")[2], _POLICY)


def _folder() -> Path:
    """Return the folder of the package that contains Swagger UI; only its files are used, none of its code."""
    spec = find_spec("fastapi_offline")
    if spec is None or spec.origin is None:
        raise NotFound("the files of the documentation are not installed")
    return Path(spec.origin).parent / "static"
