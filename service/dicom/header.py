"""Header values that derived objects carry on, in the standard's form: files hold faulty ones.

Where the standard's form of a value can be recovered it is; a value that cannot be read counts as absent. Text that is
too long stays as it is, because the archive holds it so. Values that the pixel path needs are read by `elements`.
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

from service.dicom.elements import UID

_COMPONENT_GROUP, _GROUPS, _COMPONENTS = 64, 3, 5  # limits of a person's name, PS3.5 6.2.1
_DATE = re.compile(r"(\d{4})[-./: ]?(\d\d)[-./: ]?(\d\d)")  # ACR-NEMA wrote 1942.05.02
_TIME = re.compile(r"\d\d(:?\d\d(:?\d\d(\.\d{1,6})?)?)?")
_OFFSET = re.compile(r"[+-](0\d|1[0-4])[0-5]\d")  # PS3.3 C.12.1.1.8


def readable_values(dataset: Dataset, keyword: str) -> list[Any]:
    """Return every value as pydicom reads it; none where it cannot."""
    try:
        value = dataset.get(keyword)
    except Exception:  # pydicom converts on access and fails in many ways on what does not fit its VR
        return []
    return [] if value in (None, "") else list(value) if isinstance(value, (MultiValue, Sequence)) else [value]


def first_word(dataset: Dataset, keyword: str) -> str:
    """Return the first value in capitals; empty where there is none."""
    return "".join(str(value).strip(" \0").upper() for value in readable_values(dataset, keyword)[:1])


def normalised(dataset: Dataset, keyword: str) -> Any:
    """Return a value in the standard's form, a list where several are allowed; None where none can be read."""
    vr, values = dictionary_VR(keyword), readable_values(dataset, keyword)
    if vr == "SQ":
        return _items(values)
    normalise = _NORMALISERS.get(keyword) or _NORMALISERS.get(vr, _text)
    try:
        results = [normalise(value) for value in values]
    except (TypeError, ValueError):
        return None
    if dictionary_VM(keyword) != "1":
        return results or None
    return results[0] if len(results) == 1 else " ".join(map(str, results)) or None


def set_element(dataset: Dataset, keyword: str, value: Any) -> None:
    """Set an element in the standard's VR, whichever VR the file has."""
    dataset[keyword] = DataElement(keyword, dictionary_VR(keyword).split(" ")[0], value, validation_mode=IGNORE)


def _items(values: list[Any]) -> list[Dataset] | None:
    """Items of a sequence, public elements only; None where one element cannot be read: half a code means nothing."""
    items = []
    for source in values:
        if not isinstance(source, Dataset):
            return None
        item = Dataset()
        for keyword in filter(None, map(keyword_for_tag, source.keys())):
            value = normalised(source, keyword)
            if value is None and readable_values(source, keyword):
                return None
            set_element(item, keyword, value)
        items.append(item)
    return items or None


def _text(value: Any) -> str:
    """Text without control characters and backslashes, which separate values."""
    if isinstance(value, bytes):
        raise TypeError
    return re.sub(r"[\x00-\x1f\x7f\\]+", " ", str(value)).strip()


def _person(value: Any) -> str:
    """A name of at most three groups of at most five components of at most 64 characters, PS3.5 6.2.1."""
    groups = _text(value).split("=")[:_GROUPS]
    return "=".join("^".join(group.split("^")[:_COMPONENTS])[:_COMPONENT_GROUP] for group in groups)


def _date(value: Any) -> str:
    match = _DATE.fullmatch(str(value).strip())
    if not match:
        raise ValueError
    return date(*map(int, match.groups())).strftime("%Y%m%d")


def _time(value: Any) -> str:
    time = str(value).strip()
    if not _TIME.fullmatch(time):
        raise ValueError
    return str(TM(time.replace(":", "")))


def _uid(value: Any) -> str:
    uid = str(value).strip(" \0")
    if len(uid) > 64 or not UID.fullmatch(uid):
        raise ValueError
    return uid


def _decimal(value: Any) -> str:
    if not math.isfinite(float(value)):
        raise ValueError
    return str(value)[:16]  # PS3.5 6.2


def _sex(value: Any) -> str:
    sex = str(value).strip().upper()[:1]
    if sex not in ("M", "F", "O"):  # PS3.3 C.7.1.1
        raise ValueError
    return sex


def _offset(value: Any) -> str:
    offset = str(value).strip()
    if not _OFFSET.fullmatch(offset):
        raise ValueError
    return offset


_NORMALISERS: dict[str, Callable[[Any], Any]] = {  # by keyword or VR
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
