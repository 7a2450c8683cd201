"""DICOM files as elements, made wrong in one or more places: lengths, VRs, values, nesting, group 0002, fragments."""

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random

LONG = ("OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV")  # PS3.5 7.1.2
SHORT = ("AE", "AS", "AT", "CS", "DA", "DS", "DT", "FD", "FL", "IS", "LO", "LT", "PN", "SH", "SL", "SS", "ST", "TM")
VRS = (*LONG, *SHORT, "UI", "UL", "US")
UNDEFINED = 0xFFFFFFFF
IMPLICIT, EXPLICIT, BIG = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
SYNTAXES = (
    *(IMPLICIT, EXPLICIT, BIG, DEFLATED, "1.2.840.10008.1.2.5"),
    *(f"1.2.840.10008.1.2.4.{number}" for number in (50, 51, 57, 70, 80, 81, 90, 91, 92, 100, 102, 201, 202, 203)),
    *("1.3.46.670589.33.1.4.1", "1.2.840.113619.5.2", "1.2.840.10008.1.2.4.95", "", "1.2", "../../etc/passwd"),
)
PIXEL_DATA = 0x7FE00010


@dataclass(frozen=True)
class Element:
    """An element: value bytes, items of a sequence, or fragments; `length` replaces the length that is written."""

    tag: int
    vr: str
    value: "bytes | tuple[tuple[Element, ...], ...]" = b""
    length: int | None = None
    undefined: bool = False  # length; for fragments and sequences, with delimiters


@dataclass(frozen=True)
class File:
    """The parts of a Part 10 file."""

    meta: tuple[Element, ...]
    elements: tuple[Element, ...]
    syntax: str = EXPLICIT  # in which the elements are written, whatever group 0002 says
    preamble: bytes = bytes(128) + b"DICM"
    trailer: bytes = b""
    meta_length: int | None = None


def text(value: str) -> bytes:
    data = value.encode("utf-8", "surrogateescape")
    return data + b" " * (len(data) % 2)


def uid(value: str) -> bytes:
    data = value.encode("utf-8", "surrogateescape")
    return data + b"\0" * (len(data) % 2)


def us(*values: int) -> bytes:
    return b"".join(struct.pack("<H", value % 65536) for value in values)


def encoded(element: Element, implicit: bool = False, big: bool = False) -> bytes:
    """Return an element in a transfer syntax; values are little endian already, and are turned by VR."""
    order = ">" if big else "<"
    value = element.value
    body = (
        b"".join(item(some, implicit, big, element.undefined) for some in value) if isinstance(value, tuple) else value
    )
    if big and isinstance(value, bytes):
        body = _turned(element.vr, body)
    length = len(body) if element.length is None else element.length
    if element.undefined:
        length = UNDEFINED if element.length is None else length
        body += struct.pack(order + "HHL", 0xFFFE, 0xE0DD, 0)
    head = struct.pack(order + "HH", element.tag >> 16, element.tag & 0xFFFF)
    if implicit:
        return head + struct.pack(order + "L", length % 2**32) + body
    if element.vr in LONG:
        return head + element.vr.encode() + bytes(2) + struct.pack(order + "L", length % 2**32) + body
    return head + element.vr.encode() + struct.pack(order + "H", length % 65536) + body


def item(elements: tuple[Element, ...], implicit: bool, big: bool, undefined: bool) -> bytes:
    order = ">" if big else "<"
    body = b"".join(encoded(element, implicit, big) for element in elements)
    if undefined:
        end = struct.pack(order + "HHL", 0xFFFE, 0xE00D, 0)
        return struct.pack(order + "HHL", 0xFFFE, 0xE000, UNDEFINED) + body + end
    return struct.pack(order + "HHL", 0xFFFE, 0xE000, len(body)) + body


def _turned(vr: str, body: bytes) -> bytes:
    size = {"US": 2, "SS": 2, "OW": 2, "AT": 2, "UL": 4, "SL": 4, "FL": 4, "OF": 4, "OL": 4, "FD": 8, "OD": 8}.get(
        vr, 1
    )
    whole = len(body) // size * size
    return b"".join(body[start : start + size][::-1] for start in range(0, whole, size)) + body[whole:]


def fragments(*parts: bytes, offsets: bytes = b"") -> bytes:
    """Return the value of encapsulated pixel data up to its delimiter: an offset table and fragments."""
    return b"".join(struct.pack("<HHL", 0xFFFE, 0xE000, len(part)) + part for part in (offsets, *parts))


def written(file: File) -> bytes:
    """Return the bytes of a file."""
    meta = b"".join(map(encoded, file.meta))
    length = len(meta) if file.meta_length is None else file.meta_length
    head = encoded(Element(0x00020000, "UL", struct.pack("<L", length % 2**32)))
    implicit, big = file.syntax == IMPLICIT, file.syntax == BIG
    body = b"".join(encoded(element, implicit, big) for element in file.elements)
    if file.syntax == DEFLATED:
        deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        body = deflater.compress(body) + deflater.flush()
    return file.preamble + (head + meta if file.meta else b"") + body + file.trailer


def radiograph(pixels: bytes, rows: int, columns: int, bits: int, syntax: str, instance: str) -> File:
    """Return a frontal chest radiograph that the gate accepts; `pixels` are native, or fragments of another syntax."""
    native = syntax in (IMPLICIT, EXPLICIT, BIG, DEFLATED)
    allocated = 8 if bits <= 8 else 16
    elements = (
        Element(0x00080005, "CS", b"ISO_IR 100"),
        Element(0x00080008, "CS", b"ORIGINAL\\PRIMARY"),
        Element(0x00080016, "UI", uid("1.2.840.10008.5.1.4.1.1.1.1")),
        Element(0x00080018, "UI", uid(instance)),
        Element(0x00080020, "DA", b"20260101"),
        Element(0x00080050, "SH", b"A1"),
        Element(0x00080060, "CS", b"DX"),
        Element(0x00080068, "CS", b"FOR PRESENTATION"),
        Element(0x00100010, "PN", b"Canary^Tweety "),
        Element(0x00100020, "LO", b"CANARY-17 "),
        Element(0x00100030, "DA", b"19420502"),
        Element(0x00180015, "CS", b"CHEST "),
        Element(0x00185101, "CS", b"PA"),
        Element(0x0020000D, "UI", uid("2.25.1001")),
        Element(0x0020000E, "UI", uid("2.25.1002")),
        Element(0x00280002, "US", us(1)),
        Element(0x00280004, "CS", b"MONOCHROME2 "),
        Element(0x00280010, "US", us(rows)),
        Element(0x00280011, "US", us(columns)),
        Element(0x00280100, "US", us(allocated)),
        Element(0x00280101, "US", us(bits)),
        Element(0x00280102, "US", us(bits - 1)),
        Element(0x00280103, "US", us(0)),
        Element(0x00280301, "CS", b"NO"),
        Element(0x00281050, "DS", text(str(2 ** (bits - 1)))),
        Element(0x00281051, "DS", text(str(2**bits))),
        Element(0x20500020, "CS", b"IDENTITY"),
        Element(PIXEL_DATA, "OB" if not native or bits <= 8 else "OW", pixels, undefined=not native),
    )
    return File(meta(syntax, instance), elements, syntax if native else EXPLICIT)


def meta(syntax: str, instance: str) -> tuple[Element, ...]:
    return (
        Element(0x00020001, "OB", b"\0\1"),
        Element(0x00020002, "UI", uid("1.2.840.10008.5.1.4.1.1.1.1")),
        Element(0x00020003, "UI", uid(instance)),
        Element(0x00020010, "UI", uid(syntax)),
        Element(0x00020012, "UI", uid("2.25.77")),
    )


def mutated(file: File, random: Random) -> bytes:
    """Return the bytes of a file with one to four faults in its structure, and sometimes some in its bytes."""
    for _ in range(random.choice((1, 1, 1, 2, 2, 3, 4))):
        file = random.choice(_FAULTS)(file, random)
    data = written(file)
    if random.random() < 0.08:
        data = data[: random.randrange(len(data) + 1)]
    if data and random.random() < 0.08:
        changed = bytearray(data)
        for _ in range(random.choice((1, 4, 32))):
            changed[random.randrange(min(len(changed), 2000))] = random.randrange(256)
        data = bytes(changed)
    return data


def _replaced(file: File, place: int, *elements: Element) -> File:
    return replace(file, elements=(*file.elements[:place], *elements, *file.elements[place + 1 :]))


def with_element(file: File, element: Element) -> File:
    """Return the file with an element in its place, instead of one with the same tag."""
    others = [other for other in file.elements if other.tag != element.tag]
    return replace(file, elements=tuple(sorted([*others, element], key=lambda some: some.tag)))


def _vr(file: File, random: Random) -> File:
    place = random.randrange(len(file.elements))
    vr = random.choice((*VRS, "??", "\0\0", "  ", "ox", "OB"))
    return _replaced(file, place, replace(file.elements[place], vr=vr))


def _length(file: File, random: Random) -> File:
    place = random.randrange(len(file.elements))
    value = file.elements[place].value
    size = len(value) if isinstance(value, bytes) else 8
    wrong = random.choice(
        (0, 1, size - 1, size + 1, size + 2, 2 * size, 65535, 2**31 - 1, 2**31, UNDEFINED - 1, UNDEFINED)
    )
    return _replaced(file, place, replace(file.elements[place], length=wrong % 2**32))


_TEXTS = (
    *(b"", b" ", b"\0", b"\\", b"\\\\\\", b"1\\2", b"-1", b"0", b"1e400", b"-1e400", b"nan", b"inf", b"1,5", b"0x10"),
    *(b"9" * 300, b"A" * 70, b"A" * 5000, b"\\" * 5000, b"\xff\xfe\xfd\xfc", b"\x1b$B\x1b(B", b"\x1b", b"\r\n\x0c\t"),
    *(b"../../../etc/passwd", b"/etc/passwd", b"..\\..", b"$(id)", b"`id`", b"a;b|c&d", b"'\"<script>", b"%n%s%x"),
    *("٣٤٥".encode(), "é".encode("latin-1"), "é".encode(), "\u202e\u0000".encode(), "２０２６０１０１".encode()),
    *(b"2026", b"20261399", b"99999999", b"0000000001", b"-5Y ", b"999Y", b"000D", b"LATERAL ", b"HAND", b"LL"),
)


def _value(file: File, random: Random) -> File:
    place = random.randrange(len(file.elements) - 1)
    return _replaced(file, place, replace(file.elements[place], value=_even(random.choice(_TEXTS))))


def _even(data: bytes) -> bytes:
    return data + b" " * (len(data) % 2)


_NUMBERS = (
    0,
    1,
    2,
    3,
    7,
    8,
    9,
    12,
    15,
    16,
    17,
    24,
    32,
    64,
    255,
    256,
    1000,
    32767,
    32768,
    65535,
    2**31 - 1,
    2**31,
    2**32 - 1,
)
# Samples, planar, frames, rows, columns, aspect, bits, sign, padding, smallest and largest value, overlay
_NUMERIC = (
    *(0x00280002, 0x00280006, 0x00280008, 0x00280010, 0x00280011, 0x00280034, 0x00280100, 0x00280101, 0x00280102),
    *(0x00280103, 0x00280106, 0x00280107, 0x00280120, 0x00280121, 0x60000010, 0x60000011, 0x60000100, 0x60000102),
)


def _number(file: File, random: Random) -> File:
    """Give an attribute of the pixels another number, in its own VR or another."""
    tag = random.choice(_NUMERIC)
    count = random.choice((1, 1, 1, 0, 2, 3, 1000))
    values = [random.choice(_NUMBERS) for _ in range(count)]
    vr = random.choice(("US", "US", "US", "SS", "UL", "SL", "IS", "DS", "FD", "UN", "OB", "OW"))
    if vr in ("IS", "DS"):
        return with_element(file, Element(tag, vr, _even("\\".join(map(str, values)).encode()[:60000])))
    code = {"US": "<H", "SS": "<H", "UL": "<L", "SL": "<L", "FD": "<d"}.get(vr, "<H")
    size = struct.calcsize(code)
    data = b"".join(struct.pack(code, value if size == 8 else value % 256**size) for value in values)
    return with_element(file, Element(tag, vr, data))


_DECIMALS = (0x00281050, 0x00281051, 0x00281052, 0x00281053, 0x00181164, 0x00280030, 0x00189306)
_DECIMAL_VALUES = ("0", "1", "-1", "0.5", "1e-300", "1e300", "1e400", "nan", "inf", "-0", "4096", "65536", "", " ", "x")


def _decimal(file: File, random: Random) -> File:
    """Windows, rescale, spacing."""
    count = random.choice((1, 1, 2, 2, 3, 64))
    values = "\\".join(random.choice(_DECIMAL_VALUES) for _ in range(count))
    changed = with_element(file, Element(random.choice(_DECIMALS), "DS", _even(values.encode())))
    if random.random() < 0.3:
        function = random.choice((b"LINEAR", b"LINEAR_EXACT", b"SIGMOID", b"sigmoid", b"X", b""))
        changed = with_element(changed, Element(0x00281056, "CS", _even(function)))
    return changed


def _table(random: Random) -> tuple[Element, ...]:
    """Return an item of a LUT sequence, PS3.3 C.11.1, whose descriptor and data may disagree."""
    entries = random.choice((0, 1, 2, 16, 256, 4096, 65535))
    first = random.choice((0, 1, 100, 32768, 65535))
    bits = random.choice((0, 1, 7, 8, 10, 12, 16, 17, 255))
    size = random.choice((0, 1, 2, entries, entries * 2, entries * 2 + 1, entries * 2 - 1, 65534))
    data = random.randbytes(max(0, min(size, 65534)))
    descriptor = us(entries, first, bits)[: random.choice((6, 6, 6, 6, 2, 4, 0))]
    return (
        Element(0x00283002, random.choice(("US", "US", "SS", "OW", "UN")), descriptor),
        Element(0x00283006, random.choice(("US", "OW", "OW", "SS", "UN", "OB")), data + b"\0" * (len(data) % 2)),
    )


def _lut(file: File, random: Random) -> File:
    """A Modality, VOI or Presentation LUT, or the tables of a palette."""
    tag = random.choice((0x00283000, 0x00283010, 0x20500010, 0x00281101))
    if tag == 0x00281101:
        changed = with_element(file, Element(0x00280004, "CS", b"PALETTE COLOR "))
        for number in range(3):
            entries = random.choice((0, 1, 16, 256, 65535))
            data = random.randbytes(random.choice((0, 2, entries, entries * 2)) % 65534)
            changed = with_element(changed, Element(0x00281101 + number, "US", us(entries, 0, random.choice((8, 16)))))
            changed = with_element(changed, Element(0x00281201 + number, "OW", data + b"\0" * (len(data) % 2)))
        return changed
    items = tuple(_table(random) for _ in range(random.choice((0, 1, 1, 1, 2, 50))))
    return with_element(file, Element(tag, "SQ", items, undefined=random.random() < 0.3))


def _shutter(file: File, random: Random) -> File:
    """PS3.3 C.7.6.11, with shapes, edges and vertices that need not fit the image."""
    shapes = random.sample(("RECTANGULAR", "CIRCULAR", "POLYGONAL", "BITMAP", "X"), random.choice((1, 1, 2, 3)))
    changed = with_element(file, Element(0x00181600, "CS", _even("\\".join(shapes).encode())))
    edges = ("0", "1", "-1", "128", "256", "257", "99999", "2147483648", "x", "")
    for tag in (0x00181602, 0x00181604, 0x00181606, 0x00181608, 0x00181612):
        if random.random() < 0.7:
            changed = with_element(changed, Element(tag, "IS", _even(random.choice(edges).encode())))
    count = random.choice((0, 1, 2, 3, 6, 7, 8, 2000))
    points = "\\".join(random.choice(edges[:-3]) for _ in range(count))
    changed = with_element(changed, Element(0x00181620, "IS", _even(points.encode())))
    centre = random.choice(("128\\128", "0\\0", "128", "", "-5\\x"))
    return with_element(changed, Element(0x00181610, "IS", _even(centre.encode())))


def _order(file: File, random: Random) -> File:
    """Drop, repeat, exchange or misplace elements."""
    elements = list(file.elements)
    place = random.randrange(len(elements))
    kind = random.randrange(4)
    if kind == 0:
        del elements[place]
    elif kind == 1:
        elements[place:place] = [elements[place]] * random.choice((1, 1, 3, 200)) if place < len(elements) - 1 else []
    elif kind == 2:
        random.shuffle(elements)
    else:
        elements.append(elements.pop(place))
    return replace(file, elements=tuple(elements))


def _nested(file: File, random: Random) -> File:
    """Sequences in sequences, many empty items, or items that do not end."""
    tag = random.choice((0x00081140, 0x00081199, 0x00400275, 0x00091010, 0x00189004))
    undefined = random.random() < 0.5
    kind = random.randrange(3)
    if kind == 0:
        inner = Element(tag, "SQ", ((Element(0x00080100, "SH", b"X "),),))
        for _ in range(random.choice((1, 5, 31, 32, 33, 60, 150))):
            inner = Element(tag, "SQ", ((inner,),), undefined=undefined)
        return with_element(file, inner)
    if kind == 1:
        return with_element(file, Element(tag, "SQ", ((),) * random.choice((1, 100, 4999, 5001)), undefined=undefined))
    raw = random.choice(
        (
            b"\xfe\xff\x00\xe0\xff\xff\xff\xff",
            b"\xfe\xff\x00\xe0\x10\x00\x00\x00",
            b"\xfe\xff\x0d\xe0\x00\x00\x00\x00",
            b"\xfe\xff\xdd\xe0\x04\x00\x00\x00",
            b"\xfe\xff\x00\xe0\x00\x00\x00\x00" * 3,
            bytes(8),
        )
    )
    return with_element(file, Element(tag, random.choice(("SQ", "UN", "OB")), raw, undefined=undefined))


def _private(file: File, random: Random) -> File:
    """Private elements, among them those of the compression of Philips (2001,xx) and of GE."""
    changed = file
    for group in random.sample((0x0009, 0x0019, 0x07A1, 0x2001, 0x2005, 0x7FE1), random.choice((1, 2, 6))):
        changed = with_element(changed, Element(group << 16 | 0x10, "LO", b"PHILIPS IMAGING DD 001"))
        value = random.choice((b"PMSCT_RLE1", random.randbytes(64), bytes(2), b""))
        changed = with_element(changed, Element(group << 16 | 0x1001 + random.randrange(5), "UN", value))
    return changed


def _meta(file: File, random: Random) -> File:
    """Group 0002: elements dropped, repeated, with other values, VRs or lengths."""
    elements = list(file.meta)
    if not elements:
        return file
    place = random.randrange(len(elements))
    kind = random.randrange(6)
    if kind == 0:
        del elements[place]
    elif kind == 1:
        elements[place] = replace(elements[place], vr=random.choice((*VRS, "??")))
    elif kind == 2:
        elements[place] = replace(elements[place], length=random.choice((0, 1, 65535, 63)))
    elif kind == 3:
        elements[place] = replace(elements[place], value=_even(random.choice(_TEXTS)))
    elif kind == 4:
        elements[3:4] = [Element(0x00020010, "UI", uid(random.choice(SYNTAXES)))]
    else:
        return replace(file, meta_length=random.choice((0, 1, 2, 100, 65535, 2**31, 2**32 - 1)))
    return replace(file, meta=tuple(elements))


def _syntax(file: File, random: Random) -> File:
    """Write the elements in one syntax; group 0002 may name another."""
    written_in = random.choice((IMPLICIT, EXPLICIT, BIG, DEFLATED))
    meta_ = file.meta
    if random.random() < 0.6:
        meta_ = tuple(replace(some, value=uid(written_in)) if some.tag == 0x00020010 else some for some in file.meta)
    return replace(file, syntax=written_in, meta=meta_)


def _head(file: File, random: Random) -> File:
    """The preamble, and what follows the last element."""
    preamble = random.choice((b"", b"DICM", bytes(128), b"MZ" + bytes(126) + b"DICM", bytes(100) + b"DICM"))
    trailer = random.choice((b"", b"\0", bytes(1000), b"\xff" * 9, b"P7\nWIDTH 4\n", b"GIF89a"))
    if random.random() < 0.5:
        return replace(file, trailer=trailer)
    return replace(file, preamble=preamble, meta=() if random.random() < 0.3 else file.meta)


def _charset(file: File, random: Random) -> File:
    charsets = (
        b"ISO 2022 IR 87",
        b"\\ISO 2022 IR 149",
        b"GB18030",
        b"ISO_IR 192",
        b"X",
        b"ISO_IR 13\\ISO 2022 IR 87",
        b"",
    )
    changed = with_element(file, Element(0x00080005, "CS", _even(random.choice(charsets))))
    return with_element(changed, Element(0x00100010, "PN", _even(random.choice(_TEXTS))))


def _identity(file: File, random: Random) -> File:
    """UIDs that are no UIDs."""
    texts = (
        "../../x",
        "/etc/passwd",
        "1.2\0.3",
        "1.2\n.3",
        "１.２",
        "$(id)",
        "1.2;rm",
        "1" * 200,
        "1.",
        "",
        " ",
        "1.2\\1.3",
    )
    tag = random.choice((0x00080016, 0x00080018, 0x0020000D, 0x0020000E))
    return with_element(file, Element(tag, "UI", uid(random.choice(texts))))


def _fragments(file: File, random: Random) -> File:
    """Offset tables and fragments that do not fit (PS3.5 A.4), or pixel data in fragments where they must not be."""
    place = len(file.elements) - 1
    pixels = file.elements[place]
    if pixels.tag != PIXEL_DATA or not isinstance(pixels.value, bytes):
        return file
    raw = pixels.value[16:] if pixels.undefined else pixels.value[:4000]
    cut = random.randrange(len(raw) + 1) // 2 * 2
    table = random.choice(
        (b"", bytes(4), struct.pack("<L", 2**32 - 1), bytes(8), bytes(3), struct.pack("<4L", 0, 9, 3, 1))
    )
    parts = random.choice(((raw,), (raw[:cut], raw[cut:]), (), (b"",), (raw, raw), (raw[:cut],), (raw,) + (b"",) * 500))
    changed = _replaced(file, place, replace(pixels, value=fragments(*parts, offsets=table), undefined=True))
    if random.random() < 0.3:  # extended offset table
        changed = with_element(changed, Element(0x7FE00001, "OV", random.randbytes(random.choice((0, 7, 8, 16)))))
        changed = with_element(changed, Element(0x7FE00002, "OV", random.randbytes(random.choice((0, 8, 9)))))
    if random.random() < 0.3:
        changed = with_element(changed, Element(0x00280008, "IS", random.choice((b"0 ", b"2 ", b"-1", b"99999999"))))
    return changed


_FAULTS: tuple[Callable[[File, Random], File], ...] = (
    *(_vr, _length, _length, _value, _value, _value, _number, _number, _number, _number, _decimal, _decimal),
    *(_lut, _lut, _shutter, _order, _nested, _private, _meta, _meta, _syntax, _head, _charset, _identity, _fragments),
)
