"""The header of one data element: tag, VR and length, PS3.5 7.1."""

import struct
from typing import NamedTuple

from pydicom.datadict import dictionary_VR
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32, STANDARD_VR

from service.errors import MalformedDicom

UNDEFINED = 0xFFFFFFFF
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
PIXEL_DATA = 0x7FE00010

_VRS = frozenset(map(str, STANDARD_VR))


class Encoding(NamedTuple):
    """How data elements are written."""

    implicit: bool
    little: bool


class Header(NamedTuple):
    """Header of one element: the position of its value, and its length, which may be `UNDEFINED`.

    `misspelt` says that the file has other characters in place of `vr`.
    """

    tag: int
    vr: str | None
    value: int
    length: int
    misspelt: bool = False


def read_header(data: bytes, position: int, end: int, encoding: Encoding) -> Header:
    """Read the header of the element at a position, of which nothing may lie beyond `end`.

    Raises
    ------
    MalformedDicom
        `truncated`, `structure_invalid`.
    """
    require(position + 8, end, len(data))
    order = "<" if encoding.little else ">"
    group, element, length = struct.unpack_from(order + "HHL", data, position)
    tag = group << 16 | element
    vr = data[position + 4 : position + 6]
    if group == 0xFFFE or encoding.implicit:  # items carry no VR
        return Header(tag, None, position + 8, length)
    if not is_vr(vr):  # an element in Implicit VR, or a VR that is none
        guess = _misspelt(data, position, tag, encoding.little)
        return guess or Header(tag, None, position + 8, length)
    code = vr.decode("ascii")
    if code not in EXPLICIT_VR_LENGTH_32:
        return Header(tag, code, position + 8, struct.unpack_from(order + "H", data, position + 6)[0])
    require(position + 12, end, len(data))
    return Header(tag, code, position + 12, struct.unpack_from(order + "L", data, position + 8)[0])


def _misspelt(data: bytes, position: int, tag: int, little: bool) -> Header | None:
    """Read an element whose VR is two other characters, such as `??` or `us`; None where it is in Implicit VR.

    The next element decides: if it stands where the length in Explicit VR says, that is what the file means.
    """
    order = "<" if little else ">"
    characters = data[position + 4 : position + 6]
    if not all(0x20 <= character < 0x7F for character in characters):
        return None
    meant = characters.decode("ascii").upper()
    known = known_vr(tag) or ""
    code = meant if meant in _VRS else known if known in _VRS else "UN"
    if code in EXPLICIT_VR_LENGTH_32 and meant == code and len(data) >= position + 12:
        header = Header(tag, code, position + 12, struct.unpack_from(order + "L", data, position + 8)[0], True)
    else:
        code = "LT" if code in EXPLICIT_VR_LENGTH_32 else code  # any VR with a length of two bytes
        header = Header(tag, code, position + 8, struct.unpack_from(order + "H", data, position + 6)[0], True)
    follows = header.value + header.length
    return header if follows == len(data) or continues(data, follows, tag, Encoding(False, little)) else None


def continues(data: bytes, position: int, last: int, encoding: Encoding) -> bool:
    """Whether a data element, or the end of an item, stands after the element `last`."""
    if position + 8 > len(data):
        return False
    group, element, length = struct.unpack_from("<HHL" if encoding.little else ">HHL", data, position)
    tag: int = group << 16 | element
    if group == 0xFFFE:
        return tag in (ITEM, ITEM_END, SEQUENCE_END)
    if encoding.implicit:
        return tag > last and bool(length == UNDEFINED or position + 8 + length <= len(data))
    return tag > last and is_vr(data[position + 4 : position + 6])


def require(position: int, end: int, size: int) -> None:
    """Check that a position is inside of what holds an element, and of the file.

    Raises
    ------
    MalformedDicom
        `truncated`, `structure_invalid`.
    """
    if position > size:
        raise MalformedDicom("the file is cut short: it ends inside a data element", "truncated")
    if position > end:
        raise MalformedDicom("a data element is longer than the item or sequence that holds it", "structure_invalid")


def known_vr(tag: int) -> str | None:
    """Return the VR of a tag in the dictionary."""
    try:
        return dictionary_VR(tag)
    except KeyError:
        return None


def is_vr(code: bytes) -> bool:
    """Whether two bytes may be a VR: a future one is two capitals, too."""
    return len(code) == 2 and all(65 <= letter <= 90 for letter in code)
