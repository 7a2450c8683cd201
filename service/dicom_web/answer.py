"""Answers of WADO-RS: multipart bodies, streams, and what a client may keep."""

from collections.abc import AsyncIterator, Sequence

from fastapi import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from service.dicom_web.accept import RELATED
from service.dicom_web.catalogue import Catalogue
from service.dicom_web.encodings import Encoding
from service.dicom_web.study import Entry
from service.errors import InputError, TriageError, may_succeed_later
from service.http.caching import cache_headers
from service.http.problems import note

_END_OF_PART = b"\r\n"
_PLACE_SECONDS = 30.0  # that an answer waits for a place before its next file


def validators(request: Request, entries: Sequence[Entry]) -> dict[str, str]:
    """Return ETag, Cache-Control and Vary for an answer that depends on the instances, the URL and Accept alone."""
    instances = [(entry.record.id, entry.instance) for entry in entries]
    key = (instances, str(request.url), request.headers.getlist("accept"))
    return cache_headers(request, key) | {"Vary": "Accept"}


def boundary(headers: dict[str, str]) -> str:
    """Return the boundary of a multipart body: the same for the same answer, as an ETag requires."""
    return headers["ETag"].strip('"')


def multipart(encoding: Encoding, contents: Sequence[bytes], headers: dict[str, str]) -> Response:
    """Return contents of one encoding, one part each, without a copy of them all."""
    limit = boundary(headers)
    first = head(limit, encoding.content_type)
    pieces = [piece for content in contents for piece in (first, content, _END_OF_PART)] + [end(limit)]

    async def body() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    headers = headers | {"Content-Length": str(sum(map(len, pieces)))}
    media_type = f'{RELATED}; type="{encoding.media_type}"; boundary={limit}'
    return StreamingResponse(body(), media_type=media_type, headers=headers)


def head(boundary: str, content_type: str) -> bytes:
    """Return what comes before the content of a part of a multipart body."""
    return f"--{boundary}\r\nContent-Type: {content_type}\r\n\r\n".encode()


def part(boundary: str, content_type: str, content: bytes) -> bytes:
    """Return one part of a multipart body."""
    return head(boundary, content_type) + content + _END_OF_PART


def end(boundary: str) -> bytes:
    """Return the end of a multipart body."""
    return f"--{boundary}--\r\n".encode()


class Stream(StreamingResponse):
    """A response of several files, each of which takes a place for files only while it is made.

    A client that reads slowly takes no place from others; `Connections` bounds what waits for it.
    """

    def __init__(
        self, catalogue: Catalogue, content: AsyncIterator[bytes], media_type: str, headers: dict[str, str]
    ) -> None:
        super().__init__(content, media_type=media_type, headers=headers)
        self._catalogue, self._content = catalogue, content

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response; Overloaded is raised before anything is sent."""
        with self._catalogue.admitted():
            first = await anext(self._content, b"")
        self.body_iterator = self._all(first)
        await super().__call__(scope, receive, send)

    async def _all(self, first: bytes) -> AsyncIterator[bytes]:
        part = first
        while part:
            yield part
            async with self._catalogue.places.awaited(_PLACE_SECONDS):
                part = await anext(self._content, b"")


def note_omission(entry: Entry, error: TriageError) -> None:
    """Log the error of a derived object that cannot be made from its radiograph; the answer omits the object.

    Any other error is raised and breaks the answer off, so that the client does not take it for complete.
    """
    if entry.kind is None or not isinstance(error, InputError) or may_succeed_later(error):
        raise error
    note(error)
