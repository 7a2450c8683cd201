"""Content negotiation by the Accept header, PS3.18 8.7."""

from collections.abc import Sequence
from dataclasses import dataclass

from python_multipart.multipart import parse_options_header
from starlette.requests import Request

from service.errors import InvalidRequest, NotAcceptable

JSON = "application/dicom+json"
DICOM = "application/dicom"
RELATED = "multipart/related"
OCTETS = "application/octet-stream"


@dataclass(frozen=True)
class Range:
    """One media range of an Accept header, lower case; `type` and `transfer_syntax` are empty where absent."""

    media_type: str
    type: str = ""
    transfer_syntax: str = ""
    weight: float = 1.0

    def accepts(self, media_type: str) -> bool:
        """Whether the range includes a media type."""
        return matches(media_type, self.media_type)


def ranges(request: Request) -> tuple[Range, ...]:
    """Return the ranges of the query parameter `accept` or else of the header, best first, without those of weight 0.

    Raises
    ------
    InvalidRequest
        A weight is not a number.
    """
    accept = request.query_params.get("accept") or ",".join(request.headers.getlist("accept")) or "*/*"
    parsed = [_range(entry) for entry in _entries(accept) if entry.strip()]
    return tuple(sorted((item for item in parsed if item.weight > 0), key=lambda item: -item.weight))


def choose(request: Request, offered: Sequence[str]) -> str:
    """Choose the media type of the answer: the first of `offered` in the client's best range.

    Raises
    ------
    NotAcceptable
    """
    for accepted in ranges(request):
        for media_type in offered:
            if accepted.accepts(media_type):
                return media_type
    raise NotAcceptable(f"Accept: available are {', '.join(offered)}")


def matches(media_type: str, pattern: str) -> bool:
    """Whether a media type is in a range such as `image/*`."""
    return pattern in (media_type, f"{media_type.partition('/')[0]}/*", "*/*")


def _entries(header: str) -> list[str]:
    """Split at commas outside quotes."""
    entries, quoted, start = [], False, 0
    for position, character in enumerate(header):
        if character == '"':
            quoted = not quoted
        elif character == "," and not quoted:
            entries.append(header[start:position])
            start = position + 1
    return [*entries, header[start:]]


def _range(entry: str) -> Range:
    media_type, raw = parse_options_header(entry.strip())
    options = {name.decode("latin-1"): value.decode("latin-1").lower() for name, value in raw.items()}
    try:
        weight = float(options.get("q", "1"))
    except ValueError:
        raise InvalidRequest("Accept: q must be a number", "accept_invalid") from None
    return Range(
        media_type.decode("latin-1").lower(), options.get("type", ""), options.get("transfer-syntax", ""), weight
    )
