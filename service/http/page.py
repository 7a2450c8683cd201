"""The page for readers: the files of `service/web`, public, as they hold no data."""

import hashlib
import re
from pathlib import Path

from fastapi import APIRouter, Request
from starlette.responses import Response

from service.errors import NotFound
from service.http.caching import is_fresh
from service.http.presented import presentation
from service.objects.kinds import Presentation

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
    "dcm": "application/dicom",  # the phantoms of `samples`, to which web/samples is a link
}
# Every part begins with a letter or digit: no hidden files, no parent folders.
_PATH = re.compile(rf"([A-Za-z0-9][A-Za-z0-9_.-]*/)*[A-Za-z0-9][A-Za-z0-9_.-]*\.({'|'.join(_MEDIA_TYPES)})")


@router.get("/")
def index(request: Request) -> Response:
    """Return the page."""
    return _file(request, "index.html")


@router.get("/statistics")
def statistics(request: Request) -> Response:
    """Return the page of statistics."""
    return _file(request, "statistics.html")


@router.get("/web/{path:path}")
def file(path: str, request: Request) -> Response:
    """Return a file of the page."""
    return _file(request, path)


def _file(request: Request, path: str) -> Response:
    if not _PATH.fullmatch(path) or not (WEB / path).is_file():
        raise NotFound("no such file")
    return send(request, WEB / path, _POLICY)


def _presented(content: bytes) -> bytes:
    """Say in the page itself if it must show no place; its style sheets and modules read the attribute."""
    if presentation() is Presentation.FULL:
        return content
    return content.replace(b"<body>", f'<body data-presentation="{presentation()}">'.encode(), 1)


def send(request: Request, path: Path, policy: str) -> Response:
    """Return a file, which the browser revalidates each time, so that it sees an upgrade at once.

    Parameters
    ----------
    policy
        Content Security Policy of the page.
    """
    content = _presented(path.read_bytes())
    headers = {
        "ETag": f'"{hashlib.sha256(content).hexdigest()[:32]}"',
        "Cache-Control": "no-cache",
        "Content-Security-Policy": policy,
    }
    if is_fresh(request, headers):
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=_MEDIA_TYPES[path.suffix[1:]], headers=headers)
