"""The DICOM JSON model, PS3.18 annex F."""

from collections.abc import Iterable, Sequence

from pydicom.datadict import dictionary_VR, tag_for_keyword

Element = dict[str, object]
Value = str | int | Sequence[str] | Sequence[dict[str, Element]]  # the last are the items of a sequence

_INTEGERS = ("IS", "SL", "SS", "UL", "US")
_SINGLE = ("LT", "ST", "UT", "UR")  # VRs in which a backslash is text
_NAMES = ("Alphabetic", "Ideographic", "Phonetic")


def element(vr: str, values: Sequence[object]) -> Element:
    """Return an attribute; without values it is empty."""
    return {"vr": vr, "Value": list(values)} if values else {"vr": vr}


def tag(keyword: str) -> str:
    """Return the tag of a keyword as eight hexadecimal digits."""
    return f"{tag_for_keyword(keyword) or 0:08X}"


def item(attributes: Iterable[tuple[str, Value]]) -> dict[str, Element]:
    """Return a data set from keywords and values, in the order of tags; text may hold values joined by backslashes."""
    return dict(sorted((tag(keyword), _attribute(keyword, value)) for keyword, value in attributes))


def _attribute(keyword: str, value: Value) -> Element:
    vr = dictionary_VR(keyword).partition(" ")[0]
    if vr == "SQ" and not isinstance(value, int):
        return element(vr, value)
    if isinstance(value, int):
        return element(vr, [value])
    if isinstance(value, str):
        value = [value] if vr in _SINGLE else value.split("\\")
    values = [_value(vr, str(text)) for text in value]
    return element(vr, values if any(item is not None for item in values) else [])


def _value(vr: str, text: str) -> object:
    """Return a value as JSON; null if it is empty or invalid for its VR."""
    if not text:
        return None
    if vr == "PN":
        groups = dict(zip(_NAMES, text.split("="), strict=False))
        return {name: group for name, group in groups.items() if group} or None
    if vr in _INTEGERS:
        return int(text) if text.lstrip("+-").isdecimal() else None
    return text
