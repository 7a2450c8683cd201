"""Code streams taken apart by the grammar of their markers, made wrong in one or more places, and put together again.

JPEG and JPEG-LS (ITU-T T.81 B.1, T.87 C) are segments, some followed by entropy-coded data. JPEG 2000 and HTJ2K (T.800
A.2, T.814) are a main header and tile parts, whose data follow SOD. RLE (PS3.5 G) is a header of offsets and segments.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random

EDGES = (0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 127, 128, 129, 254, 255, 256, 4095, 4096, 32767, 32768, 65534, 65535)
_ALONE_JPEG = {0x01, *range(0xD0, 0xDA)} - {0xDA}  # TEM, RSTn, SOI, EOI have no segment
_ALONE_2000 = {0x4F, 0x92, 0x93, 0xD9, *range(0x30, 0x40)}  # SOC, EPH, SOD, EOC, and those reserved
_SOD, _SOT, _SOS, _EOC = 0x93, 0x90, 0xDA, 0xD9


@dataclass(frozen=True)
class Segment:
    """A marker FFxx, its parameters (None where the marker stands alone), and the coded data that follow.

    `length` replaces the length that is written, which includes its own two bytes.
    """

    marker: int
    body: bytes | None = None
    data: bytes = b""
    length: int | None = None

    def encoded(self) -> bytes:
        head = bytes([0xFF, self.marker])
        if self.body is None:
            return head + self.data
        length = len(self.body) + 2 if self.length is None else self.length
        return head + struct.pack(">H", length % 65536) + self.body + self.data


def jpeg(stream: bytes, coded_after: int = 1) -> list[Segment]:
    """Take a JPEG or JPEG-LS stream apart; after FF, bytes of `coded_after` to 7F are coded data in JPEG-LS.

    In JPEG (`coded_after` 1), 00 and RSTn are.
    """
    segments, position = [], 0
    while position + 2 <= len(stream):
        marker = stream[position + 1]
        position += 2
        body = None
        if marker not in _ALONE_JPEG:
            length = struct.unpack_from(">H", stream, position)[0]
            body, position = stream[position + 2 : position + length], position + length
        start = position
        while position < len(stream) and not _is_marker(stream, position, coded_after):
            position += 1
        segments.append(Segment(marker, body, stream[start:position]))
    return segments


def jpeg_ls(stream: bytes) -> list[Segment]:
    """Take a JPEG-LS stream apart."""
    return jpeg(stream, 0x80)


def _is_marker(stream: bytes, position: int, coded_after: int) -> bool:
    if stream[position] != 0xFF or position + 1 >= len(stream):
        return False
    following = stream[position + 1]
    return following >= coded_after and not (coded_after == 1 and 0xD0 <= following <= 0xD7)


def jpeg2000(stream: bytes) -> list[Segment]:
    """Take a JPEG 2000 or HTJ2K code stream apart; the data of a tile part follow its SOD."""
    segments, position, tile_end = [], 0, 0
    while position + 2 <= len(stream):
        begin, marker = position, stream[position + 1]
        position += 2
        body, data = None, b""
        if marker not in _ALONE_2000:
            length = struct.unpack_from(">H", stream, position)[0]
            body, position = stream[position + 2 : position + length], position + length
        if marker == _SOT and body is not None:  # A.4.2: Isot, Psot, TPsot, TNsot
            part = struct.unpack_from(">L", body, 2)[0]
            tile_end = begin + part if part else len(stream) - 2
        if marker == _SOD:
            data, position = stream[position:tile_end], tile_end
        segments.append(Segment(marker, body, data))
    return segments


def joined(segments: list[Segment]) -> bytes:
    """Put segments together."""
    return b"".join(segment.encoded() for segment in segments)


def mutated(segments: list[Segment], random: Random, others: list[Segment]) -> bytes:
    """Return a stream with one to four faults; `others` are segments of other streams and codecs."""
    segments = list(segments)
    for _ in range(random.choice((1, 1, 1, 2, 2, 3, 4))):
        if segments:
            random.choice(_FAULTS)(segments, random, others)
    stream = joined(segments)
    if random.random() < 0.1:
        stream = stream[: random.randrange(len(stream) + 1)]
    return stream


def _parameter(segments: list[Segment], random: Random, _others: list[Segment]) -> None:
    """Give one, two or four bytes of a segment's parameters the value of an edge."""
    places = [place for place, segment in enumerate(segments) if segment.body]
    if not places:
        return
    place = random.choice(places)
    body = bytearray(segments[place].body or b"")
    size = random.choice((1, 1, 2, 2, 4))
    offset = random.randrange(min(len(body), 64))
    value = random.choice(EDGES) if size < 4 else random.choice((*EDGES, 2**31 - 1, 2**31, 2**32 - 1))
    body[offset : offset + size] = (value % 256**size).to_bytes(size, "big")
    segments[place] = replace(segments[place], body=bytes(body))


def _bit(segments: list[Segment], random: Random, _others: list[Segment]) -> None:
    """Flip bits of coded data."""
    places = [place for place, segment in enumerate(segments) if segment.data]
    if not places:
        return
    place = random.choice(places)
    data = bytearray(segments[place].data)
    for _ in range(random.choice((1, 2, 8, 64))):
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)
    segments[place] = replace(segments[place], data=bytes(data))


def _coded(segments: list[Segment], random: Random, _others: list[Segment]) -> None:
    """Cut coded data, repeat them, or put markers, zeros or ones into them."""
    places = [place for place, segment in enumerate(segments) if segment.data]
    if not places:
        return
    place = random.choice(places)
    data = segments[place].data
    cut = random.randrange(len(data) + 1)
    new = random.choice(
        (
            data[:cut],
            data[cut:],
            data + data[:cut],
            data[:cut] + bytes([0xFF, random.randrange(256)]) + data[cut:],
            data[:cut] + bytes(random.randrange(1, 500)) + data[cut:],
            data[:cut] + b"\xff" * random.randrange(1, 500) + data[cut:],
            b"",
        )
    )
    segments[place] = replace(segments[place], data=new)


def _length(segments: list[Segment], random: Random, _others: list[Segment]) -> None:
    """State a wrong length of a segment."""
    places = [place for place, segment in enumerate(segments) if segment.body is not None]
    if places:
        place = random.choice(places)
        length = len(segments[place].body or b"") + 2
        wrong = random.choice((0, 1, 2, 3, length - 1, length + 1, 2 * length, 65535))
        segments[place] = replace(segments[place], length=wrong)


def _resized(segments: list[Segment], random: Random, _others: list[Segment]) -> None:
    """Cut the parameters of a segment, or append to them, with the length that this has."""
    places = [place for place, segment in enumerate(segments) if segment.body]
    if places:
        place = random.choice(places)
        body = segments[place].body or b""
        new = random.choice((body[: random.randrange(len(body))], body + body, body + bytes(100), b""))
        segments[place] = replace(segments[place], body=new)


def _marker(segments: list[Segment], random: Random, _others: list[Segment]) -> None:
    """Replace a marker by another."""
    place = random.randrange(len(segments))
    segments[place] = replace(segments[place], marker=random.choice((*range(0x4F, 0x65), *range(0xC0, 0x100))))


def _order(segments: list[Segment], random: Random, others: list[Segment]) -> None:
    """Drop, repeat or exchange segments, or take one of another stream."""
    place = random.randrange(len(segments))
    kind = random.randrange(4)
    if kind == 0:
        del segments[place]
    elif kind == 1:
        segments[place:place] = [segments[place]] * random.choice((1, 1, 2, 100))
    elif kind == 2:
        other = random.randrange(len(segments))
        segments[place], segments[other] = segments[other], segments[place]
    else:
        segments.insert(place, random.choice(others))


_FAULTS: tuple[Callable[[list[Segment], Random, list[Segment]], None], ...] = (
    *(_parameter,) * 6,
    *(_bit,) * 2,
    *(_coded,) * 3,
    _length,
    _resized,
    _marker,
    *(_order,) * 2,
)


def rle_mutated(frame: bytes, random: Random) -> bytes:
    """Return an RLE frame (PS3.5 G.5) with wrong offsets, a wrong number of segments, or runs that end wrongly."""
    header, data = list(struct.unpack_from("<16L", frame)), bytearray(frame[64:])
    for _ in range(random.choice((1, 1, 2, 3))):
        kind = random.randrange(6)
        if kind == 0:
            header[0] = random.choice((0, 1, 2, 3, 14, 15, 16, 255, 2**31, 2**32 - 1))
        elif kind == 1:
            edges = (0, 1, 63, 64, 65, len(frame) - 1, len(frame), len(frame) + 1, 2**31, 2**32 - 1)
            header[random.randrange(1, 16)] = random.choice(edges)
        elif kind == 2 and data:
            data[random.randrange(len(data))] = random.choice((0, 1, 127, 128, 129, 255))
        elif kind == 3:
            del data[random.randrange(len(data) + 1) :]
        elif kind == 4:
            data += random.choice((b"\x80" * 1000, b"\x81\0" * 30_000, b"\x7f", bytes(1)))
        elif data:
            start = random.randrange(len(data))
            data[start : start + random.randrange(1, 50)] = random.randbytes(random.randrange(50))
    return struct.pack("<16L", *header) + bytes(data)
