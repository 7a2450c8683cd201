"""Typed access to elements whose values nobody has checked yet.

A value that cannot be read as it should raises `MalformedDicom` with tag and keyword, and without the value.
"""

import math
from collections.abc import Sequence
from typing import Any, cast

from pydicom import Dataset
from pydicom.datadict import tag_for_keyword

from service.errors import MalformedDicom


def name(keyword: str) -> str:
    """Tag and keyword as messages give them: `(0028,0010) Rows`."""
    tag = tag_for_keyword(keyword) or 0
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X}) {keyword}"


def text(dataset: Dataset, keyword: str) -> str:
    r"""Value without padding, several joined by `\`; empty where absent."""
    return "\\".join(texts(dataset, keyword))


def texts(dataset: Dataset, keyword: str) -> tuple[str, ...]:
    """Every value without padding; none where absent or empty."""
    return tuple(str(value).strip(" \0") for value in _values(dataset, keyword))


def integer(dataset: Dataset, keyword: str, default: int | None = None) -> int:
    """One whole number; required where there is no default."""
    values = numbers(dataset, keyword)
    if not values and default is not None:
        return default
    if len(values) != 1 or values[0] != int(values[0]):
        kind = "nothing" if not values else "another value"
        raise MalformedDicom(f"{name(keyword)}: one whole number wanted, got {kind}", _code(bool(values)))
    return int(values[0])


def numbers(dataset: Dataset, keyword: str) -> tuple[float, ...]:
    """Every value as a finite number; none where absent or empty."""
    try:
        values = tuple(float(value) for value in _values(dataset, keyword))
    except (TypeError, ValueError, OverflowError):
        raise MalformedDicom(f"{name(keyword)}: numbers wanted", "value_invalid") from None
    if not all(math.isfinite(value) for value in values):
        raise MalformedDicom(f"{name(keyword)}: finite numbers wanted", "value_invalid")
    return values


def items(dataset: Dataset, keyword: str) -> tuple[Dataset, ...]:
    """Items of a sequence; none where absent or empty."""
    found = _values(dataset, keyword)
    if not all(isinstance(item, Dataset) for item in found):
        raise MalformedDicom(f"{name(keyword)}: a sequence wanted", "value_invalid")
    return found


def binary(dataset: Dataset, keyword: str) -> bytes:
    """Value of an element that holds bytes; empty where absent."""
    found = _value(dataset, keyword)
    if not isinstance(found, (bytes, type(None))):
        raise MalformedDicom(f"{name(keyword)}: bytes wanted", "value_invalid")
    return found or b""


def _values(dataset: Dataset, keyword: str) -> tuple[Any, ...]:
    found = _value(dataset, keyword)
    if found is None or found == "":
        return ()
    several = isinstance(found, Sequence) and not isinstance(found, (str, bytes))  # a PersonName is iterable, and one
    return tuple(cast(Sequence[Any], found)) if several else (found,)


def _value(dataset: Dataset, keyword: str) -> object:
    try:
        return dataset.get(keyword)
    except MemoryError:
        raise
    except Exception:  # pydicom converts on access and fails in many ways on what does not fit its VR
        raise MalformedDicom(f"{name(keyword)}: the value does not fit its VR", "value_invalid") from None


def _code(present: bool) -> str:
    return "value_invalid" if present else "element_missing"
