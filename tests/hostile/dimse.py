"""What a DICOM peer may send: PDUs, items, values and commands (PS3.8 9.3, PS3.7 6.3), right and wrong."""

import struct
from collections.abc import Callable
from random import Random

from tests.service.dimse import peer

_UIDS = (
    *(peer.VERIFICATION, peer.STORAGE, "1.2.840.10008.5.1.4.1.2.1.1", "1.2.840.10008.5.1.4.31", ""),
    *("../../../etc/passwd", "1.2;id|$(id)`id`", "1" * 64, "1" * 65, "1" * 3000, "1.2\n.3", "1.2\0.3", "１.２.é"),
)
_TITLES = (b"TRIAGE", b"", b" " * 16, b"A;B|$(id)", b"A\nB", b"\0" * 16, b"\xff" * 16, b"..\\..\\", b"X" * 16)
_EDGES = (0, 1, 2, 5, 6, 7, 255, 256, 16384, 65535)


def script(files: list[bytes], random: Random) -> bytes:
    """Return all that a peer sends on one connection: a request, messages, and a release, usually with faults."""
    faults = {random.choice(_FAULTS) for _ in range(random.choice((0, 1, 1, 2)))}
    if "garbage" in faults:
        return random.choice(_GARBAGE)(random)
    pdus = [_request(random) if "request" in faults else peer.request()]
    for number, data in enumerate(files, 1):
        pdus += _message(data, number, random) if "message" in faults else [peer.store(data, f"2.25.{number}")]
    pdus.append(random.choice((peer.pdu(5, bytes(4)), peer.pdu(7, b"\0\0\0\0"), b"")))
    if "order" in faults:
        random.shuffle(pdus)
    if "repeated" in faults:
        pdus += [random.choice(pdus)] * random.choice((1, 2, 20))
    if "kind" in faults:
        place = random.randrange(len(pdus))
        pdus[place] = bytes([random.randrange(12)]) + pdus[place][1:]
    if "length" in faults:
        place = random.randrange(len(pdus))
        length = random.choice((0, 1, 4, len(pdus[place]), 2**20, 2**20 + 1, 2**31, 2**32 - 1))
        pdus[place] = pdus[place][:2] + struct.pack(">L", length) + pdus[place][6:]
    data = b"".join(pdus)
    if "cut" in faults:
        data = data[: random.randrange(len(data) + 1)]
    if "bytes" in faults and data:
        changed = bytearray(data)
        for _ in range(random.choice((1, 2, 8))):
            changed[random.randrange(min(len(changed), 700))] = random.choice((0, 1, 4, 127, 128, 255, 16, 32, 80))
        data = bytes(changed)
    return data


_FAULTS = (
    *("request", "request", "request", "message", "message", "message", "message"),
    *("order", "repeated", "kind", "length", "cut", "bytes", "bytes", "garbage"),
)
_GARBAGE: tuple[Callable[[Random], bytes], ...] = (
    lambda random: random.randbytes(random.choice((0, 1, 5, 6, 7, 100, 3000))),
    lambda _: b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    lambda _: b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
    lambda random: peer.pdu(random.choice((2, 3, 4, 5, 6, 7, 8, 255)), bytes(random.choice((0, 1, 4, 68)))),
    lambda random: peer.pdu(4, peer.value(1, b"x", last=False) * random.choice((1, 2000, 50_000))),
)


def _request(random: Random) -> bytes:
    """Return an A-ASSOCIATE-RQ with items that are wrong, many, or of lengths that do not fit."""
    contexts = []
    for number in range(random.choice((0, 1, 2, 3, 128, 300))):
        syntaxes = tuple(random.choice(_SYNTAXES) for _ in range(random.choice((0, 1, 1, 3, 40))))
        contexts.append((random.choice((2 * number + 1, number, 1)) % 256, random.choice(_UIDS), syntaxes))
    user = _user(random)
    request = bytearray(peer.request(tuple(contexts), random.choice(_TITLES), random.choice(_TITLES), user))
    if random.random() < 0.4:
        for _ in range(random.choice((1, 2, 5))):
            place = random.randrange(74, len(request))
            request[place] = random.choice((0, 1, 0x10, 0x20, 0x30, 0x40, 0x50, 0x51, 0x52, 0x58, 0xFF))
    if random.random() < 0.1:
        request[6:8] = struct.pack(">H", random.choice((0, 2, 3, 65535)))
    return bytes(request)


_SYNTAXES = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99", "1.2", "", "x" * 300)


def _user(random: Random) -> bytes:
    """Return sub-items of user information (PS3.7 D.3.3), with wrong lengths among them."""
    items = [peer.user_information(random.choice((0, 1, 6, 7, 8, 16384, 2**32 - 1)))]
    for _ in range(random.choice((0, 1, 3, 500))):
        kind = random.choice((0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x00, 0xFF))
        body = random.choice(
            (
                b"",
                random.randbytes(random.choice((1, 2, 3, 4, 7, 40))),
                struct.pack(">H", random.choice(_EDGES)) + b"1.2" + b"\1\1",
                struct.pack(">BBH", random.randrange(6), 1, random.choice(_EDGES))
                + b"name"
                + struct.pack(">H", 4)
                + b"word",
                struct.pack(">HH", random.choice(_EDGES), random.choice(_EDGES)),
            )
        )
        items.append(peer.item(kind, body))
    return b"".join(items)[:60_000]


def _message(data: bytes, number: int, random: Random) -> list[bytes]:
    """Return the PDUs of a message, whose command, PDVs or flags may be wrong."""
    field = random.choice(
        (peer.STORE,) * 5 + (peer.ECHO, peer.FIND, peer.EVENT_REPORT, 0x0010, 0x0021, 0x0FFF, 0x8001, 0x7777)
    )
    instance = random.choice((f"2.25.{number}", *_UIDS, None))
    command = peer.command(field, random.choice((peer.STORAGE,) * 4 + _UIDS), instance, random.choice((1, 0, 65535)))
    if random.random() < 0.3:
        elements = [
            peer.element(
                random.choice((0, 2, 0x100, 0x110, 0x800, 0x900, 0x1000)),
                random.randbytes(random.choice((0, 1, 2, 4, 64))),
            )
            for _ in range(3)
        ]
        command = random.choice((b"".join(elements), command + b"".join(elements), command[:-3], b"", b"\0"))
    context = random.choice((3, 3, 3, 3, 1, 0, 2, 255))
    pieces = [peer.value(context, command, command=True, last=random.random() < 0.95)]
    size = random.choice((len(data) + 1, 16_000, 1000, 1)) if len(data) < 20_000 else 16_000
    starts = range(0, len(data), size)
    for start in list(starts)[:3000]:
        last = start + size >= len(data)
        pieces.append(peer.value(context, data[start : start + size], last=last and random.random() < 0.9))
    if random.random() < 0.2:
        place = random.randrange(len(pieces))
        wrong = struct.pack(">L", random.choice((0, 1, 2, 2**31, 2**32 - 1)))
        pieces[place] = wrong + pieces[place][4:]
    if random.random() < 0.1:
        random.shuffle(pieces)
    if random.random() < 0.3 and sum(map(len, pieces)) < 100_000:
        return [peer.pdu(4, b"".join(pieces))]
    return [peer.pdu(4, piece) for piece in pieces]
