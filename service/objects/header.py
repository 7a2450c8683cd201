"""Values of a radiograph's header, mended: other people wrote them, and derived objects carry them on.

What the standard's form of a value can be recovered from is recovered; what cannot be read at all counts as absent.
Text that is too long stays as it is: the archive has it so.
"""

import math
import re
from collections.abc import Callable
from datetime import date
from typing import Any

from pydicom import DataElement, Dataset
from pydicom.config import IGNORE
from pydicom.datadict import dictionary_VM, dictionary_VR, keyword_for_tag
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pydicom.valuerep import TM

UID = re.compile(r"(0|[1-9]\d*)(\.(0|[1-9]\d*))+")  # PS3.5 9.1
_COMPONENT_GROUP, _GROUPS, _COMPONENTS = 64, 3, 5  # PS3.5 6.2.1: of a person's name
_DATE = re.compile(r"(\d{4})[-./: ]?(\d\d)[-./: ]?(\d\d)")  # ACR-NEMA wrote 1942.05.02
_TIME = re.compile(r"\d\d(:?\d\d(:?\d\d(\.\d{1,6})?)?)?")
_OFFSET = re.compile(r"[+-](0\d|1[0-4])[0-5]\d")  # PS3.3 C.12.1.1.8


def values(dataset: Dataset, keyword: str) -> list[Any]:
    """Every value as pydicom reads it; none where it cannot."""
    try:
        value = dataset.get(keyword)
    except Exception:  # pydicom converts on access and fails in many ways on what does not fit its VR
        return []
    return [] if value in (None, "") else list(value) if isinstance(value, (MultiValue, Sequence)) else [value]


def numbers(image: Dataset, keyword: str) -> tuple[float, ...]:
    """Every value as a finite number; none where one is not."""
    try:
        told = tuple(float(value) for value in values(image, keyword))
    except (TypeError, ValueError):
        return ()
    return told if all(map(math.isfinite, told)) else ()


def word(image: Dataset, keyword: str) -> str:
    """The first value in capitals, empty where there is none."""
    return "".join(str(value).strip().upper() for value in values(image, keyword)[:1])


def mended(dataset: Dataset, keyword: str) -> Any:
    """A value as the standard has it, a list where it may have several; None where none can be read."""
    vr, found = dictionary_VR(keyword), values(dataset, keyword)
    if vr == "SQ":
        return _items(found)
    mend = _MENDERS.get(keyword) or _MENDERS.get(vr, _text)
    try:
        told = [mend(value) for value in found]
    except (TypeError, ValueError):
        return None
    if dictionary_VM(keyword) != "1":
        return told or None
    return told[0] if len(told) == 1 else " ".join(map(str, told)) or None


def _items(found: list[Any]) -> list[Dataset] | None:
    """Items of a sequence, public elements only; None where one of them cannot be read: half a code says nothing."""
    items = []
    for source in found:
        if not isinstance(source, Dataset):
            return None
        item = Dataset()
        for keyword in filter(None, map(keyword_for_tag, source.keys())):
            told = mended(source, keyword)
            if told is None and values(source, keyword):
                return None
            put(item, keyword, told)
        items.append(item)
    return items or None


def put(dataset: Dataset, keyword: str, value: Any) -> None:
    """Set an element in the VR of the standard, whatever VR it was sent in."""
    dataset[keyword] = DataElement(keyword, dictionary_VR(keyword).split(" ")[0], value, validation_mode=IGNORE)


def _text(value: Any) -> str:
    """Text without control characters, and without the backslash that would part it in two."""
    if isinstance(value, bytes):
        raise TypeError
    return re.sub(r"[\x00-\x1f\x7f\\]+", " ", str(value)).strip()


def _person(value: Any) -> str:
    """A name of at most three groups of at most five components of at most 64 characters, PS3.5 6.2.1."""
    groups = _text(value).split("=")[:_GROUPS]
    return "=".join("^".join(group.split("^")[:_COMPONENTS])[:_COMPONENT_GROUP] for group in groups)


def _date(value: Any) -> str:
    found = _DATE.fullmatch(str(value).strip())
    if not found:
        raise ValueError
    return date(*map(int, found.groups())).strftime("%Y%m%d")


def _time(value: Any) -> str:
    told = str(value).strip()
    if not _TIME.fullmatch(told):
        raise ValueError
    return str(TM(told.replace(":", "")))


def _uid(value: Any) -> str:
    told = str(value).strip(" \0")
    if len(told) > 64 or not UID.fullmatch(told):
        raise ValueError
    return told


def _decimal(value: Any) -> str:
    if not math.isfinite(float(value)):
        raise ValueError
    return str(value)[:16]  # PS3.5 6.2


def _sex(value: Any) -> str:
    told = str(value).strip().upper()[:1]
    if told not in ("M", "F", "O"):  # PS3.3 C.7.1.1
        raise ValueError
    return told


def _offset(value: Any) -> str:
    told = str(value).strip()
    if not _OFFSET.fullmatch(told):
        raise ValueError
    return told


_MENDERS: dict[str, Callable[[Any], Any]] = {  # by keyword or VR
    "PatientSex": _sex,
    "TimezoneOffsetFromUTC": _offset,
    "DA": _date,
    "TM": _time,
    "PN": _person,
    "UI": _uid,
    "DS": _decimal,
    "LT": str,
    "ST": str,
    "UT": str,
    "OB": bytes,
    **dict.fromkeys(("AT", "IS", "SS", "US", "SL", "UL"), int),
    **dict.fromkeys(("FD", "FL"), float),
}
