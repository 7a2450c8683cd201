"""Checks of the structure of an encoded data set, without recursion and without reading values.

Every length is checked against the size of the file, and nesting and number of elements against their bounds, before
pydicom parses the file: pydicom accepts a last element that is cut short, and recurses into nested sequences.
"""

import struct
from dataclasses import dataclass
from typing import NamedTuple

from pydicom.datadict import dictionary_VR
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32

from service.errors import MalformedDicom

UNDEFINED = 0xFFFFFFFF
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD


class Encoding(NamedTuple):
    """How data elements are written."""

    implicit: bool
    little: bool


class Header(NamedTuple):
    """Header of one element: the position of its value, and its length, which may be `UNDEFINED`."""

    tag: int
    vr: str | None
    value: int
    length: int


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
        raise MalformedDicom("the file ends before its data set", "truncated")
    little = declared.little if declared else not (first[0] == 0 and first[1] != 0)
    return Encoding(implicit=not _is_vr(first[4:6]), little=little)


def meta_end(data: bytes, start: int, max_elements: int) -> int:
    """Return the position after the file meta information, group 0002.

    Raises
    ------
    MalformedDicom
        `truncated`, `structure_invalid`, `too_many_elements`.
    """
    level = _Level(len(data), False, "elements", False)
    for _ in range(max_elements):
        if data[start : start + 2] != b"\x02\x00":
            return start
        start = _end(_header(data, start, level, True), level, len(data))
    raise _too_many(max_elements)


def walk(data: bytes, start: int, encoding: Encoding, max_depth: int, max_elements: int) -> int:
    """Walk a data set to its end.

    Returns
    -------
    The position after the last element; only zeros may follow.

    Raises
    ------
    MalformedDicom
        `truncated`, `structure_invalid`, `too_deep`, `too_many_elements`.
    """
    position, count = start, 0
    stack = [_Level(len(data), False, "elements", encoding.implicit)]
    while stack:
        level = stack[-1]
        if position == level.end and not level.delimited:
            stack.pop()
            continue
        if len(stack) == 1 and _is_padding(data, position):
            return position
        header = _header(data, position, level, encoding.little)
        if header.tag == _DELIMITER.get(level.content) and level.delimited:
            stack.pop()
            position = header.value
            continue
        count += 1
        if count > max_elements:
            raise _too_many(max_elements)
        inner = _inner(data, header, level, encoding.little)
        if inner is None:
            position = _end(header, level, len(data))
            continue
        position = header.value
        stack.append(inner)
        if len(stack) > 1 + 2 * max_depth:  # a sequence and its item are two levels
            raise MalformedDicom(f"sequences are nested deeper than {max_depth}", "too_deep")
    return position


_DELIMITER = {"elements": ITEM_END, "items": SEQUENCE_END, "fragments": SEQUENCE_END}


def _header(data: bytes, position: int, level: _Level, little: bool) -> Header:
    _require(position + 8, level.end, len(data))
    order = "<" if little else ">"
    group, element, length = struct.unpack_from(order + "HHL", data, position)
    tag = group << 16 | element
    vr = data[position + 4 : position + 6]
    if group == 0xFFFE or level.implicit or not _is_vr(vr):  # items carry no VR
        return Header(tag, None, position + 8, length)
    code = vr.decode("ascii")
    if code not in EXPLICIT_VR_LENGTH_32:
        return Header(tag, code, position + 8, struct.unpack_from(order + "H", data, position + 6)[0])
    _require(position + 12, level.end, len(data))
    return Header(tag, code, position + 12, struct.unpack_from(order + "L", data, position + 8)[0])


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
        implicit = not _is_vr(data[header.value + 4 : header.value + 6]) and not _starts_item(
            data, header.value, little
        )
    return _Level(end, undefined, content, implicit)


def _content(data: bytes, header: Header, little: bool) -> str:
    vr = header.vr
    if vr in (None, "UN"):
        vr = _known_vr(header.tag) or vr
    if vr == "SQ":
        return "items"
    if header.length != UNDEFINED:
        return ""
    nested = vr in (None, "UN") and _starts_item(data, header.value, little)
    return "items" if nested else "fragments"


def _end(header: Header, level: _Level, size: int) -> int:
    if header.length == UNDEFINED:
        raise MalformedDicom("an element that must have a length has an undefined one", "structure_invalid")
    _require(header.value + header.length, level.end, size)
    return header.value + header.length


def _require(position: int, end: int, size: int) -> None:
    if position > size:
        raise MalformedDicom("the file ends inside a data element", "truncated")
    if position > end:
        raise MalformedDicom("a data element is longer than the item or sequence that holds it", "structure_invalid")


def _known_vr(tag: int) -> str | None:
    try:
        return dictionary_VR(tag)
    except KeyError:
        return None


def _starts_item(data: bytes, position: int, little: bool) -> bool:
    group, element = struct.unpack_from("<HH" if little else ">HH", data[position : position + 4].ljust(4, b"\0"))
    return (group << 16 | element) in (ITEM, ITEM_END)


def _is_vr(code: bytes) -> bool:
    return len(code) == 2 and all(65 <= letter <= 90 for letter in code)


def _is_padding(data: bytes, position: int) -> bool:
    """Zeros after the last element; no element of a data set has tag (0000,0000)."""
    if data[position : position + 8].strip(b"\0"):
        return False
    if data[position:].strip(b"\0"):
        raise MalformedDicom("expected a data element, got zeros", "structure_invalid")
    return True


def _too_many(max_elements: int) -> MalformedDicom:
    return MalformedDicom(f"the file has more than {max_elements} data elements", "too_many_elements")
