"""What a client takes, and what of it there is: the Accept header of PS3.18 8.7."""

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
    """One entry of an Accept header, lower case; `type` and `transfer_syntax` empty where they are not said."""

    media_type: str
    type: str = ""
    transfer_syntax: str = ""
    weight: float = 1.0

    def takes(self, media_type: str) -> bool:
        """Whether a media type falls into it."""
        return _falls(media_type, self.media_type)

    def takes_parts(self, content: str, transfer_syntax: str) -> bool:
        """Whether parts of a media type and transfer syntax do; where nothing is said of them, any."""
        syntax = self.transfer_syntax in ("", "*", transfer_syntax)
        return syntax and (self.type == "" or _falls(content, self.type))


def ranges(request: Request) -> tuple[Range, ...]:
    """Read the query parameter `accept`, which goes before, or the header; best first, what has no weight left out.

    Raises
    ------
    InvalidRequest
        A weight that is no number.
    """
    said = request.query_params.get("accept") or ",".join(request.headers.getlist("accept")) or "*/*"
    found = [_range(entry) for entry in _entries(said) if entry.strip()]
    return tuple(sorted((one for one in found if one.weight > 0), key=lambda one: -one.weight))


def choose(request: Request, offered: Sequence[str]) -> str:
    """Choose what is sent: the first of `offered` in the range the client likes best.

    Raises
    ------
    NotAcceptable
    """
    for wanted in ranges(request):
        for media_type in offered:
            if wanted.takes(media_type):
                return media_type
    raise NotAcceptable(f"Accept: there is {', '.join(offered)}")


def _falls(media_type: str, into: str) -> bool:
    return into in (media_type, f"{media_type.partition('/')[0]}/*", "*/*")


def _entries(said: str) -> list[str]:
    """Split at commas outside quotes."""
    entries, quoted, start = [], False, 0
    for position, character in enumerate(said):
        if character == '"':
            quoted = not quoted
        elif character == "," and not quoted:
            entries.append(said[start:position])
            start = position + 1
    return [*entries, said[start:]]


def _range(entry: str) -> Range:
    media_type, raw = parse_options_header(entry.strip())
    options = {name.decode("latin-1"): value.decode("latin-1").lower() for name, value in raw.items()}
    try:
        weight = float(options.get("q", "1"))
    except ValueError:
        raise InvalidRequest("Accept: q wants a number", "accept_invalid") from None
    return Range(
        media_type.decode("latin-1").lower(), options.get("type", ""), options.get("transfer-syntax", ""), weight
    )
