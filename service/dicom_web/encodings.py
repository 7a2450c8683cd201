"""The encodings in which an instance can be answered, and those that a client accepts, PS3.18 8.7.3."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from pydicom.uid import ExplicitVRLittleEndian, JPEGLSLossless, RLELossless
from starlette.requests import Request

from service.dicom.reader import NATIVE
from service.dicom_web.accept import DICOM, OCTETS, RELATED, matches, ranges
from service.dicom_web.study import Entry

# PS3.18 tables 8.7.3-2 and 8.7.3-5: media types of a frame by transfer syntax. The first is sent; clients also ask for
# the others, of older editions.
_FRAMES: dict[str, tuple[str, ...]] = {
    "1.2.840.10008.1.2.5": ("image/dicom-rle", "image/x-dicom-rle"),
    **dict.fromkeys((f"1.2.840.10008.1.2.4.{number}" for number in (50, 51, 57, 70)), ("image/jpeg",)),
    **dict.fromkeys((f"1.2.840.10008.1.2.4.{number}" for number in (80, 81)), ("image/jls", "image/x-jls")),
    **dict.fromkeys((f"1.2.840.10008.1.2.4.{number}" for number in (90, 91)), ("image/jp2",)),
    **dict.fromkeys((f"1.2.840.10008.1.2.4.{number}" for number in (201, 202, 203)), ("image/jphc", "image/jhc")),
}
EXPLICIT = str(ExplicitVRLittleEndian)
_COMPRESSED = (str(JPEGLSLossless), str(RLELossless))  # in which objects of this service are offered beside EXPLICIT


@dataclass(frozen=True)
class Encoding:
    """How an instance, or its frames, are answered.

    Attributes
    ----------
    media_type
        Media type of the file or frame.
    single
        Whether the answer is one file or frame alone, rather than parts of a multipart body.
    """

    media_type: str
    transfer_syntax: str
    single: bool = False

    @property
    def content_type(self) -> str:
        """Media type with its transfer syntax."""
        return f"{self.media_type}; transfer-syntax={self.transfer_syntax}"


MediaTypes = Callable[[str], tuple[str, ...]]


def of_file(_syntax: str) -> tuple[str, ...]:
    """Return the media types of a whole instance in a transfer syntax."""
    return (DICOM,)


def of_frames(syntax: str) -> tuple[str, ...]:
    """Return the media types of a frame in a transfer syntax."""
    return _FRAMES.get(syntax, (OCTETS,))


def offers(entry: Entry, stored: str, media_types: MediaTypes) -> tuple[str, ...]:
    """Return the transfer syntaxes in which an instance can be answered, first the one in which it is stored."""
    if media_types is of_frames and stored in NATIVE:
        stored = EXPLICIT  # the bytes of a native frame are the same, and are sent in little-endian order
    compressed = _COMPRESSED if entry.kind is not None and entry.has_pixels else ()
    return tuple(dict.fromkeys((stored, EXPLICIT, *compressed)))


def accepted(
    request: Request, offered: Sequence[str], media_types: MediaTypes, single: bool = True
) -> Iterator[Encoding]:
    """Yield the encodings that the client accepts, best first.

    A client that names no transfer syntax is answered in Explicit VR Little Endian (PS3.18 8.7.3.2); `*` is what is
    stored, also where the client expects octets, with the media type that it has.

    Parameters
    ----------
    offered
        Transfer syntaxes, as `offers` returns them.
    single
        Whether the answer may be one file or frame without a multipart body.

    Raises
    ------
    InvalidRequest
    """
    for accept in ranges(request):
        if accept.accepts(RELATED):
            for syntax in _syntaxes(accept.type, accept.transfer_syntax, offered, media_types):
                yield Encoding(media_types(syntax)[0], syntax)
        elif single:
            for syntax in _syntaxes(accept.media_type, accept.transfer_syntax, offered, media_types):
                yield Encoding(media_types(syntax)[0], syntax, single=True)


def _syntaxes(media_type: str, named: str, offered: Sequence[str], media_types: MediaTypes) -> Iterator[str]:
    def fits(syntax: str) -> bool:
        return media_type == "" or any(matches(name, media_type) for name in media_types(syntax))

    if named == "*":
        yield from (syntax for syntax in offered if fits(syntax) or (media_type == OCTETS and syntax == offered[0]))
    elif named:
        yield from (syntax for syntax in offered if syntax == named and (fits(syntax) or media_type == OCTETS))
    else:
        yield from (syntax for syntax in dict.fromkeys((EXPLICIT, *offered)) if fits(syntax))
