"""Checks of the structure of an encoded data set, without recursion and without reading values.

Every length is checked against the size of the file, and nesting and number of elements against their bounds, before
pydicom parses the file: pydicom accepts a last element that is cut short, and recurses into nested sequences.
"""

import struct
from dataclasses import dataclass
from typing import NamedTuple

from service.dicom.element_header import (
    ITEM,
    ITEM_END,
    PIXEL_DATA,
    SEQUENCE_END,
    UNDEFINED,
    Encoding,
    Header,
    continues,
    is_vr,
    known_vr,
    read_header,
    require,
)
from service.errors import MalformedDicom


class Structure(NamedTuple):
    """What a walk has found.

    Attributes
    ----------
    end
        The position after the last element.
    misspelt
        Positions of VRs that are none, such as `??` or `us`, and what they stand for.
    trailing
        Whether something other than zeros and data elements follows the pixel data.
    """

    end: int
    misspelt: dict[int, bytes]
    trailing: bool


class Limits(NamedTuple):
    """Bounds of a walk. An item takes pydicom as long as ten elements, which take it as long as a hundred fragments."""

    depth: int
    elements: int
    items: int
    fragments: int


@dataclass(frozen=True)
class _Level:
    """A run of elements, or a sequence of items or fragments, during the walk."""

    end: int  # its exact end, or the latest possible end where a delimiter ends it
    delimited: bool
    content: str  # elements, items, fragments
    implicit: bool


def encoding_of(data: bytes, start: int, declared: Encoding | None) -> Encoding:
    """Detect the encoding from the first element: some files are not written in the one that they declare.

    Raises
    ------
    MalformedDicom
        `truncated`.
    """
    first = data[start : start + 8]
    if len(first) < 8:
        raise MalformedDicom("the file is cut short: it ends before its data set", "truncated")
    little = declared.little if declared else True
    if (first[0] == 0) != (first[1] == 0):  # a data set begins with a group below 0100
        little = first[1] == 0
    return Encoding(implicit=not is_vr(first[4:6]), little=little)


def meta_ends(data: bytes, start: int, max_elements: int) -> tuple[int, int]:
    """Return the positions after the file meta information, group 0002, and after further ones that repeat it.

    Some senders put the header of a file into the data set, with a transfer syntax that is no longer true.

    Raises
    ------
    MalformedDicom
        `truncated`, `structure_invalid`, `too_many_elements`.
    """
    level = _Level(len(data), False, "elements", False)
    first, tags = None, set[int]()
    for _ in range(max_elements):
        if data[start : start + 2] != b"\x02\x00":
            return start if first is None else first, start
        header = read_header(data, start, len(data), Encoding(implicit=False, little=True))
        if header.tag in tags and first is None:
            first = start
        tags.add(header.tag)
        start = _end(header, level, len(data))
    raise _too_many(max_elements)


def walk(data: bytes, start: int, encoding: Encoding, limits: Limits) -> Structure:
    """Walk a data set to its end.

    Raises
    ------
    MalformedDicom
        `truncated`, `structure_invalid`, `too_deep`, `too_many_elements`.
    """
    position, last = start, 0
    counts = {"elements": 0, "items": 0, "fragments": 0}
    misspelt: dict[int, bytes] = {}
    stack = [_Level(len(data), False, "elements", encoding.implicit)]
    while stack:
        level = stack[-1]
        if position == level.end and not level.delimited:
            stack.pop()
            continue
        if len(stack) == 1 and _is_padding(data, position):
            break
        if len(stack) == 1 and last >= PIXEL_DATA and not continues(data, position, last, encoding):
            return Structure(position, misspelt, trailing=True)
        header = read_header(data, position, level.end, Encoding(level.implicit, encoding.little))
        if header.tag == _DELIMITER.get(level.content) and level.delimited:
            stack.pop()
            position = header.value
            continue
        counts[level.content] += 1
        if counts[level.content] > (most := getattr(limits, level.content)):
            raise _too_many(most, _NAMES[level.content])
        if header.misspelt and header.vr:
            misspelt[position + 4] = header.vr.encode("ascii")
        last = header.tag if len(stack) == 1 else last
        inner = _inner(data, header, level, encoding.little)
        if inner is None:
            position = _end(header, level, len(data))
            continue
        position = header.value
        stack.append(inner)
        if len(stack) > 1 + 2 * limits.depth:  # a sequence and its item are two levels
            raise MalformedDicom(f"sequences are nested deeper than {limits.depth}", "too_deep")
    return Structure(position, misspelt, trailing=False)


_NAMES = {"elements": "data elements", "items": "items of sequences", "fragments": "fragments of pixel data"}
_DELIMITER = {"elements": ITEM_END, "items": SEQUENCE_END, "fragments": SEQUENCE_END}


def _inner(data: bytes, header: Header, level: _Level, little: bool) -> _Level | None:
    """Level that the element opens, or None where its value is plain bytes."""
    if (header.tag == ITEM) != (level.content != "elements") or header.tag in (ITEM_END, SEQUENCE_END):
        raise MalformedDicom("an item or a delimiter is in the wrong place or missing", "structure_invalid")
    if level.content == "fragments":
        return None
    content = "elements" if level.content == "items" else _content(data, header, little)
    if not content:
        return None
    undefined = header.length == UNDEFINED
    end = level.end if undefined else _end(header, level, len(data))
    implicit = level.implicit
    if content == "elements" and not implicit and end - header.value >= 6:
        implicit = not is_vr(data[header.value + 4 : header.value + 6]) and not _starts_item(data, header.value, little)
    return _Level(end, undefined, content, implicit)


def _content(data: bytes, header: Header, little: bool) -> str:
    vr = header.vr
    if vr in (None, "UN"):
        vr = known_vr(header.tag) or vr
    if vr == "SQ":
        return "items"
    if header.length != UNDEFINED:
        return ""
    nested = vr in (None, "UN") and _starts_item(data, header.value, little)
    return "items" if nested else "fragments"


def _end(header: Header, level: _Level, size: int) -> int:
    if header.length == UNDEFINED:
        raise MalformedDicom("an element that must have a length has an undefined one", "structure_invalid")
    require(header.value + header.length, level.end, size)
    return header.value + header.length


def _starts_item(data: bytes, position: int, little: bool) -> bool:
    group, element = struct.unpack_from("<HH" if little else ">HH", data[position : position + 4].ljust(4, b"\0"))
    return (group << 16 | element) in (ITEM, ITEM_END)


def _is_padding(data: bytes, position: int) -> bool:
    """Zeros after the last element; no element of a data set has tag (0000,0000)."""
    if data[position : position + 8].strip(b"\0"):
        return False
    if data[position:].strip(b"\0"):
        raise MalformedDicom("expected a data element, got zeros", "structure_invalid")
    return True


def _too_many(most: int, what: str = "data elements") -> MalformedDicom:
    return MalformedDicom(f"the file has more than {most} {what}", "too_many_elements")
