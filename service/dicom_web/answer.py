"""Answers of WADO-RS: multipart bodies, streams, and what a client may keep."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence

from fastapi import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from service.dicom_web.accept import RELATED
from service.dicom_web.catalogue import Catalogue
from service.dicom_web.encodings import Encoding
from service.dicom_web.study import Entry
from service.errors import InputError, TriageError, may_succeed_later
from service.http.caching import cache_headers
from service.http.problems import note


def validators(request: Request, entries: Sequence[Entry]) -> dict[str, str]:
    """Return ETag, Cache-Control and Vary for an answer that depends on the instances, the URL and Accept alone."""
    instances = [(entry.record.id, entry.instance) for entry in entries]
    key = (instances, str(request.url), request.headers.getlist("accept"))
    return cache_headers(request, key) | {"Vary": "Accept"}


def boundary(headers: dict[str, str]) -> str:
    """Return the boundary of a multipart body: the same for the same answer, as an ETag requires."""
    return headers["ETag"].strip('"')


def multipart(encoding: Encoding, contents: Iterable[bytes], headers: dict[str, str]) -> Response:
    """Return contents of one encoding, one part each."""
    limit = boundary(headers)
    body = b"".join(part(limit, encoding.content_type, content) for content in contents) + end(limit)
    return Response(body, media_type=f'{RELATED}; type="{encoding.media_type}"; boundary={limit}', headers=headers)


def part(boundary: str, content_type: str, content: bytes) -> bytes:
    """Return one part of a multipart body."""
    return f"--{boundary}\r\nContent-Type: {content_type}\r\n\r\n".encode() + content + b"\r\n"


def end(boundary: str) -> bytes:
    """Return the end of a multipart body."""
    return f"--{boundary}--\r\n".encode()


class Stream(StreamingResponse):
    """A response that takes one of the places for files until it is sent or the client has disconnected."""

    def __init__(
        self, catalogue: Catalogue, content: AsyncIterator[bytes], media_type: str, headers: dict[str, str]
    ) -> None:
        super().__init__(content, media_type=media_type, headers=headers)
        self._catalogue = catalogue

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response; Overloaded is raised before anything is sent."""
        idle_seconds: float = scope["app"].state.limits.idle_seconds

        async def bounded(message: Message) -> None:
            async with asyncio.timeout(idle_seconds):  # a client that stops reading loses the place
                await send(message)

        with self._catalogue.admitted():
            await super().__call__(scope, receive, bounded)


def note_omission(entry: Entry, error: TriageError) -> None:
    """Log the error of a derived object that cannot be made from its radiograph; the answer omits the object.

    Any other error is raised and breaks the answer off, so that the client does not take it for complete.
    """
    if entry.kind is None or not isinstance(error, InputError) or may_succeed_later(error):
        raise error
    note(error)
