"""A streaming parser of multipart/related bodies, which holds at most one file in memory."""

from collections.abc import AsyncIterable, AsyncIterator, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from python_multipart.exceptions import FormParserError, MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

from service.errors import InvalidRequest, TooLarge

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

_SLICE = 2**16  # bytes parsed at once; all parts that end in one slice are in memory together
_PREAMBLE = 2**16  # limit of the bytes before the first boundary


@dataclass(frozen=True)
class Part:
    """One part: its media type in lower case, empty if absent, and its bytes, or the error if there are too many."""

    media_type: str
    content: bytes | TooLarge


def parse_content_type(content_type: str) -> tuple[str, str, bytes]:
    """Return media type, `type` parameter (both lower case) and boundary of a Content-Type."""
    media_type, options = parse_options_header(content_type)
    return (
        media_type.decode("latin-1").lower(),
        options.get(b"type", b"").decode("latin-1").lower(),
        options.get(b"boundary", b""),
    )


async def parts(body: AsyncIterable[bytes], boundary: bytes, limit: int) -> AsyncIterator[Part]:
    r"""Yield the parts of a body; a part is exactly the bytes between its headers and the CR LF of the next boundary.

    The body is read no further while the caller processes a part. Preamble and epilogue are ignored, RFC 2046 5.1.1.

    Parameters
    ----------
    limit
        Size limit of one part in bytes; the content of a larger part is discarded.

    Raises
    ------
    InvalidRequest
        `multipart_invalid`, or `multipart_truncated` if the last boundary is missing.
    """
    collector = _Collector(limit)
    try:
        parser = MultipartParser(boundary, collector.callbacks())
        async for piece in _from_first_boundary(body, boundary):
            parser.write(piece)
            for part in collector.take():
                yield part
    except (MultipartParseError, FormParserError):
        raise InvalidRequest(
            "the body is not multipart/related with the boundary of its header", "multipart_invalid"
        ) from None
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


class _Collector:
    """Collects parts from the callbacks of the parser."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._done: list[Part] = []
        self._content, self._size = bytearray(), 0
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

    def take(self) -> list[Part]:
        """Return the completed parts and forget them."""
        done, self._done = self._done, []
        return done

    def _begin(self) -> None:
        self._content, self._size, self._media_type = bytearray(), 0, ""

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        if self._name.lower() == b"content-type":
            self._media_type = parse_content_type(self._value.decode("latin-1"))[0]
        self._name, self._value = b"", b""

    def _data(self, data: bytes, start: int, end: int) -> None:
        self._size += end - start
        if self._size <= self._limit:
            self._content += data[start:end]
        else:
            self._content = bytearray()

    def _end(self) -> None:
        error = TooLarge(f"expected a file of at most {self._limit} bytes, got {self._size}", "file_too_large")
        content = bytes(self._content) if self._size <= self._limit else error
        self._content = bytearray()
        self._done.append(Part(self._media_type, content))

    def _finish(self) -> None:
        self.ended = True
