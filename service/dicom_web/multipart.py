"""A streaming parser of multipart/related bodies, which writes each file to the disk as it arrives."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from python_multipart.exceptions import FormParserError, MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

from service.errors import InvalidRequest, StorageFull, TooLarge
from service.http.uploads import WRITTEN_BYTES
from service.storage.incoming import Incoming
from service.threads import completed

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

_SLICE = 2**16  # bytes parsed at once; what the parts in one slice hold is in memory together
_PREAMBLE = 2**16  # limit of the bytes before the first boundary


@dataclass(frozen=True)
class Part:
    """One part: its media type in lower case, empty if absent, and its file; or the error if it cannot be written."""

    media_type: str
    content: Incoming | TooLarge | StorageFull


def parse_content_type(content_type: str) -> tuple[str, str, bytes]:
    """Return media type, `type` parameter (both lower case) and boundary of a Content-Type."""
    media_type, options = parse_options_header(content_type)
    return (
        media_type.decode("latin-1").lower(),
        options.get(b"type", b"").decode("latin-1").lower(),
        options.get(b"boundary", b""),
    )


async def parts(
    body: AsyncIterable[bytes], boundary: bytes, limit: int, start: Callable[[], Incoming]
) -> AsyncGenerator[Part, None]:
    r"""Yield the parts of a body; a part is exactly the bytes between its headers and the CR LF of the next boundary.

    The body is read no further while the caller processes a part. Preamble and epilogue are ignored, RFC 2046 5.1.1.

    Parameters
    ----------
    limit
        Size limit of one part in bytes; the content of a larger part is discarded.
    start
        Starts a file on the disk; it is closed, and deleted unless it was kept, once the caller asks for the next part.

    Raises
    ------
    InvalidRequest
        `multipart_invalid`, or `multipart_truncated` if the last boundary is missing.
    """
    collector = _Collector()
    file = _ArrivingPart(limit, start)
    try:
        parser = MultipartParser(boundary, collector.callbacks())
        async for piece in _from_first_boundary(body, boundary):
            parser.write(piece)
            for event in collector.take():
                if isinstance(event, bytes):
                    await file.add(event)
                    continue
                yield await file.finished(event.media_type)
                await file.close()
    except (MultipartParseError, FormParserError):
        raise InvalidRequest(
            "the body is not multipart/related with the boundary of its header", "multipart_invalid"
        ) from None
    finally:
        await file.close()
    if not collector.ended:
        raise InvalidRequest("the body ends before its last boundary", "multipart_truncated")


async def _from_first_boundary(body: AsyncIterable[bytes], boundary: bytes) -> AsyncIterator[bytes]:
    """Drop the preamble, which the parser does not support."""
    delimiter, head, inside = b"\r\n--" + boundary, b"\r\n", False
    async for chunk in body:
        for piece in _slices(chunk):
            if inside:
                yield piece
                continue
            head += piece
            start = head.find(delimiter)
            if start >= 0:
                inside = True
                yield head[start + 2 :]
            elif len(head) > _PREAMBLE:
                raise InvalidRequest("the body does not begin with its boundary", "multipart_invalid")


def _slices(chunk: bytes) -> Iterator[bytes]:
    yield from (chunk[start : start + _SLICE] for start in range(0, len(chunk), _SLICE))


class _ArrivingPart:
    """The part that is arriving, then the next one."""

    def __init__(self, limit: int, start: Callable[[], Incoming]) -> None:
        self._limit, self._start = limit, start
        self._file: Incoming | None = None
        self._error: StorageFull | None = None
        self._chunks, self._waiting, self._size = list[bytes](), 0, 0

    async def add(self, chunk: bytes) -> None:
        """Add bytes to it; those beyond the limit are dropped."""
        self._size += len(chunk)
        if self._size <= self._limit:
            self._chunks.append(chunk)
            self._waiting += len(chunk)
        if self._waiting >= WRITTEN_BYTES:
            await self._write()

    async def finished(self, media_type: str) -> Part:
        """Return the part, which is complete."""
        await self._write()
        if self._size > self._limit:
            return Part(
                media_type,
                TooLarge(f"expected a file of at most {self._limit} bytes, got {self._size}", "file_too_large"),
            )
        return Part(media_type, self._error or self._started())

    async def close(self) -> None:
        """Close its file; what is added next is another part."""
        file, self._file, self._error = self._file, None, None
        self._chunks, self._waiting, self._size = [], 0, 0
        if file is not None:
            await completed(file.close)  # also if every thread is busy when the request is cancelled

    async def _write(self) -> None:
        chunks, self._chunks, self._waiting = self._chunks, [], 0
        if self._error is None:
            try:
                await asyncio.to_thread(self._started().write, chunks)
            except StorageFull as error:
                self._error = error

    def _started(self) -> Incoming:
        if self._file is None:
            self._file = self._start()
        return self._file


@dataclass(frozen=True)
class _End:
    """The end of a part, and its media type."""

    media_type: str


class _Collector:
    """Collects what the callbacks of the parser report: bytes of parts, and their ends."""

    def __init__(self) -> None:
        self._events: list[bytes | _End] = []
        self._name, self._value = b"", b""
        self._media_type = ""
        self.ended = False

    def callbacks(self) -> "MultipartCallbacks":
        """Return the callbacks for the parser."""
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._header_field,
            "on_header_value": self._header_value,
            "on_header_end": self._end_header,
            "on_part_data": self._data,
            "on_part_end": self._end,
            "on_end": self._finish,
        }

    def take(self) -> list[bytes | _End]:
        """Return what was reported, and forget it."""
        events, self._events = self._events, []
        return events

    def _begin(self) -> None:
        self._media_type = ""

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        if self._name.lower() == b"content-type":
            self._media_type = parse_content_type(self._value.decode("latin-1"))[0]
        self._name, self._value = b"", b""

    def _data(self, data: bytes, start: int, end: int) -> None:
        self._events.append(data[start:end])

    def _end(self) -> None:
        self._events.append(_End(self._media_type))

    def _finish(self) -> None:
        self.ended = True
