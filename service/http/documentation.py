"""The interface for people: Swagger UI over `/openapi.json`, from files on this machine, as wards have no internet."""

from importlib.util import find_spec
from pathlib import Path

from fastapi import APIRouter, Request
from starlette.responses import Response

from service.errors import NotFound
from service.http.page import WEB, send

router = APIRouter(include_in_schema=False)

# Swagger UI draws its arrows from data URLs in its style sheet.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@router.get("/docs")
def documentation(request: Request) -> Response:
    """Give the page."""
    return send(request, WEB / "documentation.html", _POLICY)


@router.get("/docs/swagger-ui-bundle.js")
@router.get("/docs/swagger-ui.css")
def library(request: Request) -> Response:
    """Give a file of Swagger UI."""
    return send(request, _folder() / request.url.path.rpartition("/")[2], _POLICY)


def _folder() -> Path:
    """Where the package lies that carries Swagger UI; only its files are used, none of its code."""
    spec = find_spec("fastapi_offline")
    if spec is None or spec.origin is None:
        raise NotFound("the documentation's files are not installed")
    return Path(spec.origin).parent / "static"
