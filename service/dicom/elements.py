"""Typed access to elements of a file, whose values are not trusted.

A value that cannot be read in its type raises `MalformedDicom` with tag and keyword, and without the value.
"""

import math
import re
from collections.abc import Sequence
from typing import Any, cast

from pydicom import Dataset
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import RawDataElement

from service.errors import MalformedDicom

UID = re.compile(r"[0-9]+(\.[0-9]+)+")  # PS3.5 9.1; at most 64 characters; archives take leading zeros, too
# A value with several numbers or words has at most the 65,536 entries of a table; pydicom takes 1 to 3 us a byte.
_MOST_BYTES = 2**17


def name(keyword: str) -> str:
    """Format tag and keyword for a message: `(0028,0010) Rows`."""
    tag = tag_for_keyword(keyword) or 0
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X}) {keyword}"


def dictionary_vrs(tag: int) -> tuple[str, ...]:
    """Return the VRs that the dictionary allows for a tag, also of a repeating group as of overlays; else UN."""
    try:
        return tuple(dictionary_VR(tag).split(" or "))
    except KeyError:
        return ("UN",)


def text(dataset: Dataset, keyword: str) -> str:
    r"""Return the value without padding, several joined by `\`; empty where absent.

    Raises
    ------
    MalformedDicom
        `value_invalid`.
    """
    return "\\".join(texts(dataset, keyword))


def texts(dataset: Dataset, keyword: str) -> tuple[str, ...]:
    """Return every value without padding; none where absent or empty.

    Raises
    ------
    MalformedDicom
        `value_invalid`.
    """
    return tuple(str(value).strip(" \0") for value in _short_values(dataset, keyword))


def integer(dataset: Dataset, keyword: str, default: int | None = None) -> int:
    """Return one whole number; it is required where there is no default.

    Raises
    ------
    MalformedDicom
        `element_missing`, `value_invalid`.
    """
    values = numbers(dataset, keyword)
    if not values and default is not None:
        return default
    if not values:
        raise MalformedDicom(f"{name(keyword)} is required", "element_missing")
    if len(values) != 1 or values[0] != int(values[0]):
        raise MalformedDicom(f"{name(keyword)} must be one whole number", "value_invalid")
    return int(values[0])


def frame_count(dataset: Dataset) -> int:
    """Return Number of Frames; 1 where it is absent, and where it is 0, as some writers leave it.

    Raises
    ------
    MalformedDicom
        `value_invalid`.
    """
    return integer(dataset, "NumberOfFrames", 1) or 1


def numbers(dataset: Dataset, keyword: str) -> tuple[float, ...]:
    """Return every value as a finite number; none where absent or empty.

    Raises
    ------
    MalformedDicom
        `value_invalid`.
    """
    try:
        values = tuple(float(value) for value in _short_values(dataset, keyword))
    except (TypeError, ValueError, OverflowError):
        raise MalformedDicom(f"{name(keyword)} must hold numbers", "value_invalid") from None
    if not all(math.isfinite(value) for value in values):
        raise MalformedDicom(f"{name(keyword)} must hold finite numbers", "value_invalid")
    return values


def items(dataset: Dataset, keyword: str) -> tuple[Dataset, ...]:
    """Return the items of a sequence; none where absent or empty.

    Raises
    ------
    MalformedDicom
        `value_invalid`.
    """
    values = _values(dataset, keyword)
    if not all(isinstance(value, Dataset) for value in values):
        raise MalformedDicom(f"{name(keyword)} must be a sequence", "value_invalid")
    return values


def binary(dataset: Dataset, keyword: str) -> bytes:
    """Return the value of an element that holds bytes; empty where absent.

    Raises
    ------
    MalformedDicom
        `value_invalid`.
    """
    value = _value(dataset, keyword)
    if not isinstance(value, (bytes, type(None))):
        raise MalformedDicom(f"{name(keyword)} must hold bytes", "value_invalid")
    return value or b""


def _values(dataset: Dataset, keyword: str) -> tuple[Any, ...]:
    value = _value(dataset, keyword)
    if value is None or value == "":
        return ()
    several = isinstance(value, Sequence) and not isinstance(
        value, (str, bytes)
    )  # a PersonName is iterable, but one value
    return tuple(cast(Sequence[Any], value)) if several else (value,)


def _short_values(dataset: Dataset, keyword: str) -> tuple[Any, ...]:
    raw = dataset.get_item(keyword) if keyword in dataset else None
    if isinstance(raw, RawDataElement) and len(raw.value or b"") > _MOST_BYTES:
        raise MalformedDicom(f"{name(keyword)} must have at most {_MOST_BYTES} bytes", "value_invalid")
    return _values(dataset, keyword)


def _value(dataset: Dataset, keyword: str) -> object:
    try:
        return dataset.get(keyword)
    except MemoryError:
        raise
    except Exception:  # pydicom converts on access and fails in many ways on what does not fit its VR
        raise MalformedDicom(f"{name(keyword)} does not fit its VR", "value_invalid") from None
