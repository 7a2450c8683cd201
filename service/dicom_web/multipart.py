"""A multipart/related body to its parts, as it comes: never more than one file of it is held."""

from collections.abc import AsyncIterable, AsyncIterator, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from python_multipart.exceptions import FormParserError, MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

from service.errors import InvalidRequest, TooLarge

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

_SLICE = 2**16  # what is fed at once: of the parts that end in one slice, all are held together
_PREAMBLE = 2**16


@dataclass(frozen=True)
class Part:
    """One part: its media type, lower case, empty where none is said; its bytes, or what is wrong with them."""

    media_type: str
    content: bytes | TooLarge


def boundary_of(content_type: str) -> tuple[str, str, bytes]:
    """Read a Content-Type: the media type, its `type` parameter (both lower case) and its boundary."""
    media_type, options = parse_options_header(content_type)
    return (
        media_type.decode("latin-1").lower(),
        options.get(b"type", b"").decode("latin-1").lower(),
        options.get(b"boundary", b""),
    )


async def parts(body: AsyncIterable[bytes], boundary: bytes, limit: int) -> AsyncIterator[Part]:
    r"""Take a body apart; a part has exactly the bytes between its headers and the CR LF of the next boundary.

    Nothing more is read before the part given out has been dealt with. What precedes the first boundary and follows the
    last is passed over, RFC 2046 5.1.1.

    Parameters
    ----------
    limit
        Bytes of one part; of a larger one nothing is kept.

    Raises
    ------
    InvalidRequest
        `multipart_invalid`; `multipart_truncated` where the last boundary is missing.
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
    """Drop the preamble, which the parser does not know."""
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
    """What the parser says, put together to parts."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._done: list[Part] = []
        self._content, self._size = bytearray(), 0
        self._name, self._value = b"", b""
        self._media_type = ""
        self.ended = False

    def callbacks(self) -> "MultipartCallbacks":
        """What the parser is to call."""
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._field,
            "on_header_value": self._said,
            "on_header_end": self._header,
            "on_part_data": self._data,
            "on_part_end": self._end,
            "on_end": self._finish,
        }

    def take(self) -> list[Part]:
        """Give out the parts that are complete."""
        done, self._done = self._done, []
        return done

    def _begin(self) -> None:
        self._content, self._size, self._media_type = bytearray(), 0, ""

    def _field(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _said(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header(self) -> None:
        if self._name.lower() == b"content-type":
            self._media_type = boundary_of(self._value.decode("latin-1"))[0]
        self._name, self._value = b"", b""

    def _data(self, data: bytes, start: int, end: int) -> None:
        self._size += end - start
        if self._size <= self._limit:
            self._content += data[start:end]
        else:
            self._content = bytearray()

    def _end(self) -> None:
        wrong = TooLarge(f"a file of at most {self._limit} bytes wanted, got {self._size}", "file_too_large")
        content = bytes(self._content) if self._size <= self._limit else wrong
        self._content = bytearray()
        self._done.append(Part(self._media_type, content))

    def _finish(self) -> None:
        self.ended = True
