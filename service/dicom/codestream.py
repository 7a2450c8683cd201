"""Checks of a compressed frame before it is decoded: what it says of its image, and whether it is complete."""

import struct
from dataclasses import dataclass

_START_OF_FRAME = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}  # ITU-T T.81 table B.1; F7: T.87
_WITHOUT_SEGMENT = {0x01, *range(0xD0, 0xD8)}  # markers TEM, RSTn
_SOC_SIZ = b"\xff\x4f\xff\x51"  # ITU-T T.800 A.4.1, A.5.1
_END = b"\xff\xd9"  # EOI, EOC
_MAX_TILES = 65535  # ITU-T T.800 B.3
_COD, _COC, _QCD, _QCC, _SOT = 0x52, 0x53, 0x5C, 0x5D, 0x90  # ITU-T T.800 table A.2
_MAX_LEVELS = 32  # levels of the wavelet transform, ITU-T T.800 table A.15


@dataclass(frozen=True)
class Stream:
    """The image that a code stream declares.

    Attributes
    ----------
    precision
        Bits of one sample.
    signed
        Whether samples have a sign; always False in JPEG and JPEG-LS.
    start
        Position of the code stream in the frame, after the boxes of a file format.
    """

    rows: int
    columns: int
    components: int
    precision: int
    signed: bool
    start: int = 0


def describe(frame: bytes) -> Stream | None:
    """Return what a JPEG, JPEG-LS or JPEG 2000 stream declares; None where it declares nothing."""
    return _jpeg(frame) if frame[:2] == b"\xff\xd8" else _jpeg2000(frame)


def is_complete(frame: bytes) -> bool:
    """Whether the stream has its end marker; decoders fill the rest of a truncated stream with grey."""
    return _END in frame.rstrip(b"\0")[-8:]  # some writers pad it with FF


def has_all_steps(stream: bytes) -> bool:
    """Whether a JPEG 2000 code stream has a quantisation step for each subband; OpenJPH reads beyond those it has.

    ITU-T T.800 A.6.1, A.6.2, A.6.4, A.6.5: what COC and QCC state of a component goes before COD and QCD. Other streams
    have all they need.
    """
    if not stream.startswith(_SOC_SIZ):
        return True
    header = _main_header(stream)
    # Levels of the wavelet, after the index of the component, style, progression, layers and transformation
    levels = (header[_COC][2:3] if _COC in header else header.get(_COD, b"")[5:6]) or b"\xff"
    steps = header[_QCC][1:] if _QCC in header else header.get(_QCD, b"")
    subbands = 3 * levels[0] + 1
    needed = {0: 1 + subbands, 1: 3, 2: 1 + 2 * subbands}  # bytes by style, ITU-T T.800 table A.28
    return levels[0] <= _MAX_LEVELS and len(steps) >= needed.get(steps[0] & 0x1F if steps else -1, len(steps) + 1)


def _main_header(stream: bytes) -> dict[int, bytes]:
    """Return the parameters of the last segment of each kind before the first tile part."""
    segments: dict[int, bytes] = {}
    position = 2
    while position + 4 <= len(stream) and (marker := stream[position + 1]) != _SOT:
        end = position + 2 + max(int.from_bytes(stream[position + 2 : position + 4], "big"), 2)
        segments[marker] = stream[position + 4 : end]
        position = end
    return segments


def _jpeg(frame: bytes) -> Stream | None:
    position = 2
    while position + 10 <= len(frame) and frame[position] == 0xFF:
        marker = frame[position + 1]
        if marker in _START_OF_FRAME:  # ITU-T T.81 B.2.2
            precision, rows, columns, components = struct.unpack_from(">BHHB", frame, position + 4)
            return Stream(rows, columns, components, precision, signed=False)
        if marker == 0xFF:  # fill byte
            position += 1
        elif marker in _WITHOUT_SEGMENT:
            position += 2
        else:
            position += 2 + int.from_bytes(frame[position + 2 : position + 4], "big")
    return None


def _jpeg2000(frame: bytes) -> Stream | None:
    start = frame.find(_SOC_SIZ, 0, 4096)  # some writers leave it inside JP2 boxes
    if start < 0 or start + 43 > len(frame):
        return None
    grid = struct.unpack_from(">8L", frame, start + 8)  # Xsiz Ysiz XOsiz YOsiz XTsiz YTsiz XTOsiz YTOsiz
    width, height, left, top = grid[:4]
    components, depth = struct.unpack_from(">HB", frame, start + 40)  # Csiz Ssiz, ITU-T T.800 table A.11
    if not 0 < _tiles(*grid[0::2]) * _tiles(*grid[1::2]) <= _MAX_TILES:
        return None
    return Stream(height - top, width - left, components, (depth & 0x7F) + 1, bool(depth & 0x80), start)


def _tiles(end: int, start: int, size: int, origin: int) -> int:
    """Return the number of tiles along an axis; 0 where the first does not hold the image's origin, ITU-T T.800 B.3.

    OpenJPH counts for minutes where the tiles begin after the image.
    """
    valid = origin <= start < min(end, origin + size)
    return -((origin - end) // size) if valid else 0
