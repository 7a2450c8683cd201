"""The reader's page: files of `service/web`, open to all, as they tell nothing of anybody."""

import hashlib
import re
from pathlib import Path

from fastapi import APIRouter, Request
from starlette.responses import Response

from service.errors import NotFound
from service.http.caching import is_fresh

router = APIRouter(include_in_schema=False)

WEB = Path(__file__).parents[1] / "web"
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_MEDIA_TYPES = {
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "json": "application/json",
    "svg": "image/svg+xml",
    "png": "image/png",
    "woff2": "font/woff2",
    "txt": "text/plain; charset=utf-8",
}
# Every part begins with a letter or digit: nothing hidden, and no way up.
_PATH = re.compile(rf"([A-Za-z0-9][A-Za-z0-9_.-]*/)*[A-Za-z0-9][A-Za-z0-9_.-]*\.({'|'.join(_MEDIA_TYPES)})")


@router.get("/")
def index(request: Request) -> Response:
    """Give the page."""
    return _file(request, "index.html")


@router.get("/web/{path:path}")
def file(path: str, request: Request) -> Response:
    """Give a file of the page."""
    return _file(request, path)


def _file(request: Request, path: str) -> Response:
    found = WEB / path
    if not _PATH.fullmatch(path) or not found.is_file():
        raise NotFound("no such file")
    content = found.read_bytes()
    headers = {  # asked about each time, so that an upgrade is seen at once
        "ETag": f'"{hashlib.sha256(content).hexdigest()[:32]}"',
        "Cache-Control": "no-cache",
        "Content-Security-Policy": _POLICY,
    }
    if is_fresh(request, headers):
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=_MEDIA_TYPES[found.suffix[1:]], headers=headers)
