"""The number of pieces in a PDU that has arrived; pynetdicom builds an object for each, however small it is."""

import struct

ASSOCIATE_RQ, P_DATA, KINDS = 1, 4, range(1, 8)  # PS3.8 9.3.1
# 128 presentation contexts (their ids are odd bytes, PS3.8 9.3.2.2) with an abstract and 30 transfer syntaxes each, and
# as many items of user information, are 4,225.
MAX_ITEMS = 8192
_FIXED_BYTES = 68  # of an A-ASSOCIATE-RQ: version, AE titles and reserved bytes, PS3.8 table 9-11
_PRESENTATION_CONTEXT, _USER_INFORMATION = 0x20, 0x50


def items(body: bytes | bytearray) -> int:
    """Return the number of items and sub-items of an A-ASSOCIATE-RQ, or of those before one whose length is wrong.

    Parameters
    ----------
    body
        The bytes after the six of the header.
    """
    count, offset = 0, _FIXED_BYTES
    while offset + 4 <= len(body) and count <= MAX_ITEMS:
        kind, length = struct.unpack_from(">BxH", body, offset)
        offset += 4
        end = min(offset + length, len(body))
        count += 1
        if kind == _PRESENTATION_CONTEXT:
            count += _sub_items(body, offset + 4, end)  # an id and three reserved bytes
        elif kind == _USER_INFORMATION:
            count += _sub_items(body, offset, end)
        offset = end
    return count


def _sub_items(body: bytes | bytearray, offset: int, end: int) -> int:
    count = 0
    while offset + 4 <= end and count <= MAX_ITEMS:
        offset += 4 + struct.unpack_from(">H", body, offset + 2)[0]
        count += 1
    return count


def values(body: bytes | bytearray) -> int:
    """Return the number of presentation data values of a P-DATA-TF, or of those before one whose length is wrong."""
    count = offset = 0
    while offset + 4 <= len(body):
        offset += 4 + struct.unpack_from(">L", body, offset)[0]
        count += 1
    return count
