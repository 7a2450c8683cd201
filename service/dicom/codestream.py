"""Checks of a compressed frame before it is decoded: the size that it declares, and whether it is complete."""

import struct

_START_OF_FRAME = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}  # ITU-T T.81 table B.1; F7: T.87
_WITHOUT_SEGMENT = {0x01, *range(0xD0, 0xD8)}  # markers TEM, RSTn
_SOC_SIZ = b"\xff\x4f\xff\x51"  # ITU-T T.800 A.4.1, A.5.1
_END = b"\xff\xd9"  # EOI, EOC


def dimensions(frame: bytes) -> tuple[int, int] | None:
    """Return the (rows, columns) that a JPEG, JPEG-LS or JPEG 2000 stream declares; None where it declares none."""
    return _jpeg(frame) if frame[:2] == b"\xff\xd8" else _jpeg2000(frame)


def is_complete(frame: bytes) -> bool:
    """Whether the stream has its end marker; decoders fill the rest of a truncated stream with grey."""
    return _END in frame.rstrip(b"\0")[-8:]  # some writers pad it with FF


def _jpeg(frame: bytes) -> tuple[int, int] | None:
    position = 2
    while position + 9 <= len(frame) and frame[position] == 0xFF:
        marker = frame[position + 1]
        if marker in _START_OF_FRAME:
            rows, columns = struct.unpack_from(">HH", frame, position + 5)
            return rows, columns
        if marker == 0xFF:  # fill byte
            position += 1
        elif marker in _WITHOUT_SEGMENT:
            position += 2
        else:
            position += 2 + int.from_bytes(frame[position + 2 : position + 4], "big")
    return None


def _jpeg2000(frame: bytes) -> tuple[int, int] | None:
    start = frame.find(_SOC_SIZ, 0, 4096)  # some writers leave it inside JP2 boxes
    if start < 0 or start + 24 > len(frame):
        return None
    width, height, left, top = struct.unpack_from(">4L", frame, start + 8)  # Xsiz Ysiz XOsiz YOsiz
    return height - top, width - left
