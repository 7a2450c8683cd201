"""Text in HL7 v2 messages: escape sequences, and the data types that DICOM's values become."""

from collections.abc import Iterable

from pydicom.valuerep import PersonName

FIELD, COMPONENT, REPETITION, SUBCOMPONENT = "|", "^", "~", "&"
ENCODING_CHARACTERS = "^~\\&"  # MSH-2
# HL7 v2.5.1 2.7.1 and 2.7.5. Other control characters, among them those of MLLP's frame, become spaces.
_SEQUENCES = {"\\": "\\E\\", "|": "\\F\\", "^": "\\S\\", "~": "\\R\\", "&": "\\T\\", "\r": "\\X0D\\", "\n": "\\X0A\\"}
_ESCAPES = str.maketrans({chr(code): " " for code in (*range(0x20), 0x7F)} | _SEQUENCES)


def escaped(text: str) -> str:
    """Return text as part of a field: delimiters and line ends as escape sequences, without control characters."""
    return text.translate(_ESCAPES)


def components(*values: str) -> str:
    """Join components of a field; empty ones at the end are left out."""
    return COMPONENT.join(map(escaped, values)).rstrip(COMPONENT)


def person(name: str) -> str:
    """Convert a DICOM person name (PS3.5 6.2.1) to XPN, HL7 v2.5.1 2.A.88: a repetition for each component group.

    DICOM has the prefix before the suffix, HL7 the suffix before the prefix.
    """
    groups = [str(group) for group in PersonName(name).components]
    kinds = ("A", "I", "P") if sum(map(bool, groups)) > 1 else ("", "", "")  # table 0465: alphabetic, ideographic, ...
    pairs = zip(groups, kinds, strict=False)
    return REPETITION.join(_extended_name(group, kind) for group, kind in pairs if group)


def _extended_name(group: str, kind: str) -> str:
    family, given, middle, prefix, suffix, *_ = (*group.split("^"), "", "", "", "", "")
    return components(family, given, middle, suffix, prefix, "", "", kind)


def timestamp(date: str, time: str = "", zone: str = "") -> str:
    """Convert DICOM's date, time and offset from UTC to TS, HL7 v2.5.1 2.A.77; empty without a date."""
    if not date or not time:
        return date
    whole, _, fraction = time.partition(".")
    return f"{date}{whole}" + (f".{fraction[:4]}" if fraction else "") + zone


def segment(name: str, fields: dict[int, str]) -> str:
    """Return a segment other than MSH; `fields` are by their numbers, and complete."""
    values = [fields.get(number, "") for number in range(1, max(fields) + 1)]
    return FIELD.join([name, *values]).rstrip(FIELD)


def message(segments: Iterable[str]) -> bytes:
    """Return the segments as UTF-8; each ends with a carriage return, HL7 v2.5.1 2.5.3."""
    return "".join(f"{line}\r" for line in segments).encode("utf-8", "replace")
