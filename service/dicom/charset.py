"""Text in the character sets of PS3.3 C.12.1.1.2, with the code extensions of PS3.5 6.1.2.

pydicom leaves the escape sequences of GB 2312 in names, and looks for `=` and backslashes inside two-byte characters.
"""

import re
from typing import NamedTuple

from pydicom import DataElement, Dataset
from pydicom.config import IGNORE
from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataelem import RawDataElement

from service.dicom.elements import texts
from service.errors import MalformedDicom

UTF_8 = "ISO_IR 192"

_MOST_BYTES = 2**18  # Decoding so many takes a second at worst; a header has some thousands.
_MULTIPLE = ("LO", "SH", "UC", "PN", "CS")  # a backslash separates values
# The VRs to which Specific Character Set applies, PS3.5 6.1.2.2, and CS, which files do not keep to the ASCII of 6.2
_TEXT = (*_MULTIPLE, "LT", "ST", "UT")
_CHARACTER_SET = 0x00080005
_REGISTERED = {  # ISO-IR number: codec of bytes from 80, PS3.3 tables C.12-2 to C.12-4
    **{13: "shift_jis", 58: "gb2312", 100: "latin_1", 101: "iso8859_2", 109: "iso8859_3", 110: "iso8859_4"},
    **{126: "iso8859_7", 127: "iso8859_6", 138: "iso8859_8", 144: "iso8859_5", 148: "iso8859_9", 149: "euc_kr"},
    **{166: "iso8859_11", 203: "iso8859_15"},
}
_WHOLE = {"192": "utf_8", "UTF8": "utf_8", "GB18030": "gb18030", "GBK": "gbk"}  # without code extensions
_OTHER_NAMES = {"ISO202258": 58, "GB2312": 58}
_HIGH = {  # designations of what bytes from 80 mean
    **{b")I": 13, b"$)A": 58, b"-A": 100, b"-B": 101, b"-C": 109, b"-D": 110, b"-F": 126, b"-G": 127, b"-H": 138},
    **{b"-L": 144, b"-M": 148, b"$)C": 149, b"-T": 166, b"-b": 203},
}
_LOW = {
    b"(B": b"",
    b"(J": b"",
    b"$@": b"\0",
    b"$B": b"\0",
    b"$(D": b"\x8f",
}  # what bytes below 80 mean: one byte, or two in EUC-JP
_TOKENS = re.compile(rb"\x1b([\x20-\x2f]+[\x30-\x7e])|([\x80-\xff]+)|([^\x1b\x80-\xff]+)|\x1b")
_FOREIGN = re.compile(rb"[\x1b\x80-\xff]")
_ITEMS = re.compile(rb"\xfe\xff[\x00\x0d\xdd]\xe0|\xff\xfe\xe0[\x00\x0d\xdd]|\xff\xff\xff\xff")


class Repertoire(NamedTuple):
    """What Specific Character Set says: one codec for all bytes, or those of bytes from 80 in each character set."""

    whole: str = ""
    initial: str = ""
    others: tuple[str, ...] = ()


def decode_text(dataset: Dataset) -> None:
    """Decode all text of a data set that is not ASCII, in its items, too; the data set then declares UTF-8.

    Of more than a header holds, the longest values stay as they are in the file.
    """
    _decode(dataset, Repertoire(), _MOST_BYTES)


def _decode(dataset: Dataset, inherited: Repertoire, most: int) -> int:
    """Decode text of at most `most` bytes; return how many there were."""
    repertoire = _repertoire(dataset, inherited)
    decoded = 0
    for tag in sorted(dataset.keys() - {_CHARACTER_SET}):
        element = dataset.get_item(tag)
        vr = element.VR or "UN"
        if vr == "UN" and dictionary_has_tag(tag):
            vr = dictionary_VR(tag)
        if vr == "SQ":
            for item in _items(dataset, element):
                decoded += _decode(item, repertoire, most - decoded)
        elif vr in _TEXT and isinstance(element, RawDataElement) and _is_foreign(element, most - decoded):
            values = text_values(element.value or b"", vr, repertoire)
            dataset[tag] = DataElement(tag, vr, values if len(values) > 1 else values[0], validation_mode=IGNORE)
            decoded += len(element.value or b"")
    if decoded:
        dataset.SpecificCharacterSet = UTF_8
    return decoded


def _is_foreign(element: RawDataElement, most: int) -> bool:
    value = element.value or b""
    return len(value) <= most and bool(_FOREIGN.search(value))


def text_values(value: bytes, vr: str, repertoire: Repertoire) -> list[str]:
    """Decode a value, and split it where its VR allows several; padding is removed."""
    if repertoire.whole:
        text = value.decode(repertoire.whole, "replace")
    else:
        text = _with_extensions(value, repertoire, {"PN": b"^=\\"}.get(vr, b"\\" if vr in _MULTIPLE else b""))
    values = text.split("\\") if vr in _MULTIPLE else [text]
    if vr == "PN":
        return [value.strip(" \0").rstrip("=") for value in values]
    return [value.strip(" \0") if vr in _MULTIPLE else value.rstrip(" \0") for value in values]


def repertoire_of(terms: tuple[str, ...]) -> Repertoire:
    """Understand the values of Specific Character Set, also in common misspellings such as `ISO IR 100`."""
    names = [re.sub(r"[ _-]", "", term.upper()) for term in terms]
    for name in names:
        for known, whole in _WHOLE.items():
            if name.endswith(known):
                return Repertoire(whole=whole)
    codecs = [_codec(name) for name in names]
    return Repertoire("", codecs[0] if codecs else "", tuple(filter(None, codecs)))


def _repertoire(dataset: Dataset, inherited: Repertoire) -> Repertoire:
    try:
        terms = texts(dataset, "SpecificCharacterSet")
    except MalformedDicom:
        return inherited
    return repertoire_of(terms) if terms else inherited


def _codec(name: str) -> str:
    registered = re.search(r"IR(\d+)$", name)
    if registered or name in _OTHER_NAMES:
        return _REGISTERED.get(int(registered[1]) if registered else _OTHER_NAMES[name], "")
    part = re.search(r"8859(1[0135]?|[2-9])$", name)
    return f"iso8859_{part[1]}" if part else ""


def _with_extensions(value: bytes, repertoire: Repertoire, delimiters: bytes) -> str:
    """Follow the designations of PS3.5 6.1.2.5; a delimiter or the end of a line resets them."""
    resets = re.compile(rb"[\t\n\f\r" + re.escape(delimiters) + rb"]")
    pieces, low, high = [], b"", repertoire.initial
    for designation, beyond, plain in _TOKENS.findall(value):
        if designation in _LOW:
            low = _LOW[designation]
        elif designation in _HIGH:
            high = _REGISTERED[_HIGH[designation]]
        elif beyond:
            pieces.append(beyond.decode(high or _undesignated(beyond, repertoire), "replace"))
        elif plain and low:
            pieces.append(_pairs(plain, low.strip(b"\0")))
        elif plain:
            pieces.append(plain.decode("ascii"))
            if resets.search(plain):
                high = repertoire.initial
    return "".join(pieces)


def _undesignated(beyond: bytes, repertoire: Repertoire) -> str:
    """Codec of bytes from 80 that no character set was designated for: one that is declared, UTF-8 or Latin-1."""
    for codec in (*repertoire.others, "utf_8"):
        try:
            beyond.decode(codec)
        except UnicodeDecodeError:
            continue
        return codec
    return "latin_1"


def _pairs(plain: bytes, prefix: bytes) -> str:
    """Decode two-byte characters of JIS X 0208 or, with the prefix of EUC-JP, of JIS X 0212."""
    tokens = re.findall(rb"[\x21-\x7e]{2}|[\x00-\x7f]", plain)
    codes = (prefix + bytes(byte | 0x80 for byte in token) if len(token) == 2 else token for token in tokens)
    return b"".join(codes).decode("euc_jp", "replace")


def _items(dataset: Dataset, element: RawDataElement | DataElement) -> list[Dataset]:
    if isinstance(element, RawDataElement) and not _FOREIGN.search(_ITEMS.sub(b"", element.value or b"")):
        return []  # not parsed before somebody asks for it
    try:
        return list(dataset[element.tag].value or ())
    except Exception:  # pydicom parses items on access; what cannot be parsed is refused where it is asked for
        return []
